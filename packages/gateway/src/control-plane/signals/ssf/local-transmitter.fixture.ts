import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'

/** What the receiver asked, and reported, in one request. */
export interface PollRequest {
  readonly authorization: string | undefined
  readonly body: Readonly<Record<string, unknown>>
}

/** A transmitter on loopback that keeps events until they are acknowledged (RFC 8936). */
export class LocalTransmitter {
  readonly url: string
  readonly requests: PollRequest[] = []
  readonly waiting = new Map<string, string>()
  readonly errors: Record<string, unknown> = {}
  /** Replaces the next answer. */
  answer: ((response: ServerResponse) => void) | undefined
  /** How many events one answer has. */
  atOnce = 10
  readonly #server: Server

  static async open(): Promise<LocalTransmitter> {
    const server = createServer()
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new LocalTransmitter(server)
  }

  private constructor(server: Server) {
    this.#server = server
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/poll`
    server.on('request', (request, response) => void this.#serve(request, response))
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = (await json(request)) as Record<string, unknown>
    this.requests.push({ authorization: request.headers.authorization, body })
    const { answer } = this
    this.answer = undefined
    if (answer !== undefined) {
      answer(response)
      return
    }
    for (const jti of (body['ack'] ?? []) as string[]) this.waiting.delete(jti)
    for (const [jti, error] of Object.entries(body['setErrs'] ?? {})) {
      this.errors[jti] = error
      this.waiting.delete(jti)
    }
    const sets = [...this.waiting].slice(0, this.atOnce)
    response.setHeader('content-type', 'application/json')
    response.end(
      JSON.stringify({
        sets: Object.fromEntries(sets),
        moreAvailable: this.waiting.size > sets.length,
      }),
    )
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }
}

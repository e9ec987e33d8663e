import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Received {
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

/** A receiver of webhooks that answers as a test says. */
export class TestReceiver implements AsyncDisposable {
  readonly asked: Received[] = []
  answer: (asked: Received, response: ServerResponse) => void = (_, response) => response.end()
  readonly #server: Server

  private constructor() {
    this.#server = createServer((request, response) => {
      const chunks: Buffer[] = []
      request.on('data', (chunk: Buffer) => chunks.push(chunk))
      request.on('end', () => {
        const asked = { headers: request.headers, body: Buffer.concat(chunks).toString() }
        this.asked.push(asked)
        this.answer(asked, response)
      })
    })
  }

  static async start(): Promise<TestReceiver> {
    const receiver = new TestReceiver()
    receiver.#server.listen(0, '127.0.0.1')
    await once(receiver.#server, 'listening')
    return receiver
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/in`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close()
    this.#server.closeAllConnections()
    await once(this.#server, 'close')
  }
}

import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { WebSocketServer, type Peer } from 'ws'

export interface Call {
  readonly method: string
  readonly token: string
  readonly body: Readonly<Record<string, unknown>>
}

/** A server that speaks as much of Slack's Web API and Socket Mode as the gateway does. */
export class TestSlack implements AsyncDisposable {
  readonly calls: Call[] = []
  readonly acked: string[] = []
  readonly peers: Peer[] = []
  opened = 0
  /** Answers instead of the usual: a status with headers, or an error of Slack. */
  refuse: (method: string) => { status: number; after?: string } | string | undefined = () =>
    undefined
  readonly #server: Server
  #count = 0

  private constructor() {
    const sockets = new WebSocketServer({ noServer: true })
    this.#server = createServer((request, response) => {
      let text = ''
      request.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
      request.on('end', () => {
        const method = (request.url ?? '').replace('/api/', '')
        const body = JSON.parse(text) as Call['body']
        this.calls.push({ method, token: request.headers.authorization ?? '', body })
        const refused = this.refuse(method)
        if (typeof refused === 'object') {
          const headers = refused.after === undefined ? {} : { 'retry-after': refused.after }
          return response.writeHead(refused.status, headers).end('slow down')
        }
        const answer =
          refused === undefined ? this.#answer(method, body) : { ok: false, error: refused }
        return response.end(JSON.stringify(answer))
      })
    })
    this.#server.on('upgrade', (request, socket, head) =>
      sockets.handleUpgrade(request, socket, head, (peer) => {
        this.opened += 1
        this.peers.push(peer)
        peer.on('message', (data) => {
          this.acked.push((JSON.parse(data.toString()) as { envelope_id: string }).envelope_id)
        })
        peer.on('close', () => this.peers.splice(this.peers.indexOf(peer), 1))
        peer.send(JSON.stringify({ type: 'hello', num_connections: 1 }))
      }),
    )
  }

  static async start(): Promise<TestSlack> {
    const slack = new TestSlack()
    slack.#server.listen(0, '127.0.0.1')
    await once(slack.#server, 'listening')
    return slack
  }

  get api(): string {
    return `http://127.0.0.1:${this.#port}/api`
  }

  named(method: string): Call[] {
    return this.calls.filter((each) => each.method === method)
  }

  /** Somebody presses a button, as Slack tells the socket. */
  press(action: string, value: string, over: object = {}): string {
    const envelope = `e-${(this.#count += 1)}`
    const payload = {
      type: 'block_actions',
      team: { id: 'T1' },
      user: { id: 'U1', username: 'maria', team_id: 'T1' },
      channel: { id: 'C123' },
      actions: [{ action_id: action, value, type: 'button' }],
      ...over,
    }
    this.tell({ type: 'interactive', envelope_id: envelope, payload })
    return envelope
  }

  tell(message: object): void {
    this.peers.at(-1)?.send(JSON.stringify(message))
  }

  get #port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  #answer(method: string, body: Call['body']): object {
    if (method === 'apps.connections.open')
      return { ok: true, url: `ws://127.0.0.1:${this.#port}/link?ticket=t` }
    if (method === 'chat.postMessage')
      return { ok: true, channel: body['channel'], ts: `17.${(this.#count += 1)}` }
    return { ok: true }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const peer of this.peers) peer.close()
    this.#server.close()
    this.#server.closeAllConnections()
    await once(this.#server, 'close')
  }
}

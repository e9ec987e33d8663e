/** The little of ws that tests use. */
export interface Peer {
  send(text: string): void
  close(): void
  on(event: 'message', listener: (data: { toString(): string }) => void): void
  on(event: 'close', listener: () => void): void
}
export class WebSocketServer {
  constructor(options: { readonly noServer: true })
  handleUpgrade(
    request: import('node:http').IncomingMessage,
    socket: import('node:stream').Duplex,
    head: Buffer,
    done: (peer: Peer) => void,
  ): void
}

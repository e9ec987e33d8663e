/** What is wrong with bytes that the network sent. It never quotes them, so that it can be logged. */
export class WireError extends Error {
  override readonly name: string = 'WireError'
  readonly kind: 'too-large' | 'malformed'
  /** The type byte of the message at fault; 0 where the message has none (startup packets, rows of a COPY). */
  readonly messageType: number

  constructor(kind: 'too-large' | 'malformed', message: string, messageType = 0) {
    super(message)
    this.kind = kind
    this.messageType = messageType
  }
}

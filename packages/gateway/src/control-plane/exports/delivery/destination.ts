/** One event as it is sent. */
export interface OutgoingEvent {
  /** Place in the order of all events. */
  readonly id: bigint
  /** JSON without line breaks. */
  readonly line: string
}

/** Where events go. */
export interface Destination {
  /** For people; no secret stands in it. */
  readonly where: string
  /** Resolves once the events are there for good, and rejects with a `DeliveryError` where they may not be. Aborting it leaves that open. */
  deliver(events: readonly OutgoingEvent[], signal: AbortSignal): Promise<void>
}

/** Events are not there, or it is not known whether they are. Its message is for operators, and holds no secret. */
export class DeliveryError extends Error {
  /** The receiver asked to be left alone for so long, in milliseconds. */
  readonly retryAfterMs: number | undefined
  /** It takes fewer at once. */
  readonly isTooLarge: boolean

  constructor(
    message: string,
    more: { retryAfterMs?: number | undefined; isTooLarge?: boolean } = {},
  ) {
    super(message)
    this.retryAfterMs = more.retryAfterMs
    this.isTooLarge = more.isTooLarge ?? false
  }
}

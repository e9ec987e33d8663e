import type { WebhookExport } from '../config/export-config.ts'
import type { Destination, OutgoingEvent } from './destination.ts'
import { postSigned } from './signed-post.ts'

/** Posts events as lines of JSON. The same events have the same id. */
export class Webhook implements Destination {
  readonly where: string
  readonly #config: WebhookExport
  readonly #now: () => number
  readonly #answerMs: number | undefined

  constructor(config: WebhookExport, now: () => number, answerMs?: number) {
    this.where = config.url
    this.#config = config
    this.#now = now
    this.#answerMs = answerMs
  }

  async deliver(events: readonly OutgoingEvent[], signal: AbortSignal): Promise<void> {
    const body = events.map(({ line }) => `${line}\n`).join('')
    const id = `${this.#config.name}-${events.at(0)?.id ?? 0}-${events.at(-1)?.id ?? 0}`
    const options = { now: this.#now, signal }
    await postSigned(
      this.#config,
      { id, type: 'application/x-ndjson', body },
      this.#answerMs === undefined ? options : { ...options, answerMs: this.#answerMs },
    )
  }
}

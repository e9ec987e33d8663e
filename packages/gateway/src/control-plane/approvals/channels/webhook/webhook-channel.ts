import { postSigned } from '../../../exports/delivery/signed-post.ts'
import type { Channel, Notice } from '../channel.ts'
import type { WebhookChannel as WebhookConfig } from '../config/channel-config.ts'
import { cloudEventOf, cloudEventType, testCloudEvent, type CloudEvent } from './cloud-event.ts'

export interface WebhookChannelOptions {
  readonly config: WebhookConfig
  /** The gateway's public URL. */
  readonly source: () => string
  readonly now: () => number
  /** How long an answer may take, in milliseconds. */
  readonly answerMs?: number
}

/** Posts CloudEvents, one a request, in structured mode, signed. */
export class WebhookChannel implements Channel {
  readonly where: string
  readonly isForPeople = false
  readonly edits = false
  readonly approvalsMax = 100
  readonly #options: WebhookChannelOptions

  constructor(options: WebhookChannelOptions) {
    this.where = options.config.url
    this.#options = options
  }

  async deliver(notice: Notice, signal: AbortSignal): Promise<undefined> {
    const { config, source } = this.#options
    const base = source().replace(/\/+$/u, '')
    const callback = `${base}/v1/approvals/callback/${config.name}`
    const takesAnswers = config.callback !== undefined && notice.kind === 'requested'
    const event = cloudEventOf(notice, source(), takesAnswers ? callback : undefined)
    await this.#post(event, signal)
  }

  async test(signal: AbortSignal): Promise<void> {
    const { config, source, now } = this.#options
    await this.#post(testCloudEvent(config.name, source(), now()), signal)
  }

  async close(): Promise<void> {}

  async #post(event: CloudEvent, signal: AbortSignal): Promise<void> {
    const { config, now, answerMs } = this.#options
    const options = { now, signal, ...(answerMs === undefined ? {} : { answerMs }) }
    const body = JSON.stringify(event)
    await postSigned(config, { id: event.id, type: cloudEventType, body }, options)
  }
}

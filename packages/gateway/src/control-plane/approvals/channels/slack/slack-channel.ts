import type { Channel, Notice, Receipt } from '../channel.ts'
import type { SlackChannel as SlackConfig } from '../config/channel-config.ts'
import { callSlack, type SlackApiOptions } from './slack-api.ts'
import { messageOf } from './slack-message.ts'
import type { SlackSocket } from './slack-socket.ts'

export interface SlackChannelOptions {
  readonly config: SlackConfig
  readonly now: () => number
  /** Brings what people press; undefined where nobody answers in the chat. */
  readonly socket: SlackSocket | undefined
}

/** Posts messages, and writes into them how their requests ended. */
export class SlackChannel implements Channel {
  readonly where: string
  readonly isForPeople = true
  readonly edits = true
  readonly approvalsMax = 1000
  readonly #config: SlackConfig
  readonly #api: SlackApiOptions
  readonly #socket: SlackSocket | undefined

  constructor({ config, now, socket }: SlackChannelOptions) {
    this.#config = config
    this.#api = { api: config.api, now }
    this.#socket = socket
    this.where = `Slack channel ${config.channel}`
    socket?.start()
  }

  async deliver(notice: Notice, signal: AbortSignal): Promise<Receipt | undefined> {
    if (notice.kind === 'requested') return await this.#post(notice, signal)
    for (const { receipt, count, approvals } of notice.earlier) {
      const isOver = approvals.every(({ state }) => state !== 'pending')
      const kind = isOver ? notice.kind : 'requested'
      const content = messageOf({ kind, count, approvals }, this.#socket !== undefined)
      const { channel, ts } = receipt
      await this.#call('chat.update', { channel, ts, ...content }, signal)
    }
    return undefined
  }

  async test(signal: AbortSignal): Promise<void> {
    const text = 'This is a test of a channel for requests for approval. Nothing waits.'
    await this.#call('chat.postMessage', { channel: this.#config.channel, text }, signal)
  }

  async close(): Promise<void> {
    await this.#socket?.stop()
  }

  async #post(notice: Notice, signal: AbortSignal): Promise<Receipt | undefined> {
    const { channel } = this.#config
    const content = messageOf(notice, this.#socket !== undefined)
    const posted = await this.#call('chat.postMessage', { channel, ...content }, signal)
    const { ts, channel: where } = posted
    return typeof ts === 'string' && typeof where === 'string' ? { ts, channel: where } : undefined
  }

  async #call(
    method: string,
    body: object,
    signal: AbortSignal,
  ): Promise<Readonly<Record<string, unknown>>> {
    return await callSlack(this.#api, method, this.#config.botToken, body, signal)
  }
}

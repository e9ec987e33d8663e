import { SallyportError } from '@sallyport/core'
import type { ChannelStatus, ChannelTest, NoticeView } from '../../contract/channels.ts'
import { DeliveryError } from '../../exports/delivery/destination.ts'
import { gatewayBy, type Ledger } from '../../ledger/ledger.ts'
import { ObjectsFolder } from '../../policies/objects-folder.ts'
import type { Store } from '../../ports/store.ts'
import type { ApprovalView } from '../approval.ts'
import type { Approvals } from '../approvals.ts'
import type { Channel } from './channel.ts'
import { ChannelSender } from './channel-sender.ts'
import type { ChannelConfig, SlackChannel as SlackConfig } from './config/channel-config.ts'
import { loadChannelsFolder } from './config/load-channels-folder.ts'
import { NoticeQueue } from './notice-queue.ts'
import { readLog, tidyNotices } from './notice-rows.ts'
import { EmailChannel } from './email/email-channel.ts'
import type { ChatLinks } from './people/chat-links.ts'
import type { KnownPeople } from './people/known-people.ts'
import { ChannelLease } from './slack/channel-lease.ts'
import { SlackChannel } from './slack/slack-channel.ts'
import { SlackPresses } from './slack/slack-presses.ts'
import { SlackSocket } from './slack/slack-socket.ts'
import { goesTo } from './routes.ts'
import { WebhookChannel } from './webhook/webhook-channel.ts'

export interface ChannelsOptions {
  readonly dir: string
  readonly store: Store
  readonly ledger: Ledger
  readonly approvals: Pick<Approvals, 'onChange' | 'get' | 'answer'>
  readonly people: Pick<KnownPeople, 'approver'>
  readonly links: Pick<ChatLinks, 'code' | 'principalOf'>
  /** The gateway's public URL. */
  readonly gatewayUrl: () => string
  /** Where a request is answered; undefined where nobody can log in. */
  readonly urlOf: (approval: string) => string | undefined
  readonly now: () => number
  /** The files were read again; `problems` is empty where they are in force. */
  readonly onConfig: (problems: string) => void
  readonly onFault: (error: unknown) => void
  /** The first wait after a failure, in milliseconds. */
  readonly retryMsFirst?: number
}

interface Open {
  readonly config: ChannelConfig
  readonly channel: Channel
  readonly sender: ChannelSender
}

/** What was missed, over a restart or a database that was away, is found at the latest then. */
const sweepEveryMs = 15_000
/** How long the log goes back. */
const logMs = 30 * 24 * 3_600_000
/** A database that was away is asked again after this long. */
const retryMs = 5000

/** All channels: they follow the files of their folder, and tell of each request that begins or ends. */
export class Channels {
  readonly #options: ChannelsOptions
  readonly #folder: ObjectsFolder<ChannelConfig>
  readonly #queue: NoticeQueue
  #open = new Map<string, Open>()
  #last: Promise<void> = Promise.resolve()
  #sweeping: Promise<void> = Promise.resolve()
  #timer: NodeJS.Timeout | undefined
  #retry: NodeJS.Timeout | undefined
  #stopWatching: () => void = () => undefined
  #isClosed = false

  private constructor(options: ChannelsOptions, folder: ObjectsFolder<ChannelConfig>) {
    this.#options = options
    this.#folder = folder
    const { store, now } = options
    this.#queue = new NoticeQueue({
      store,
      now,
      onFull: (name, approval) => this.#open.get(name)?.sender.overflowed(approval),
    })
  }

  /** Fails with `SP_CONFIG_INVALID` where a file is wrong. */
  static async open(options: ChannelsOptions): Promise<Channels> {
    const folder = await ObjectsFolder.open(options.dir, loadChannelsFolder)
    const channels = new Channels(options, folder)
    await channels.#apply()
    channels.#stopWatching = options.approvals.onChange((view) => void channels.#note(view))
    await folder.follow((isRight) => {
      options.onConfig(folder.problems)
      if (isRight) channels.#applyLater()
    })
    channels.#timer = setInterval(() => channels.#sweepLater(), sweepEveryMs)
    channels.#timer.unref()
    return channels
  }

  /** What is wrong with the files, for people; empty where nothing is. */
  get problems(): string {
    return this.#folder.problems
  }

  /** A channel that is in force, by its name. */
  config(name: string): ChannelConfig | undefined {
    return this.#open.get(name)?.config
  }

  async status(): Promise<ChannelStatus[]> {
    return await Promise.all([...this.#open.values()].map(({ sender }) => sender.status()))
  }

  /** Newest first. */
  async log(of: { readonly channel?: string; readonly limit: number }): Promise<NoticeView[]> {
    return await readLog(this.#options.store, of)
  }

  /** Sends a message that says that it is a test. */
  async test(name: string): Promise<ChannelTest> {
    const { channel } = this.#of(name)
    const { where } = channel
    try {
      await channel.test(new AbortController().signal)
      return { name, where, ok: true }
    } catch (error) {
      if (error instanceof DeliveryError) return { name, where, ok: false, problem: error.message }
      throw error
    }
  }

  /** Resolves when nothing is sent any more; what waits is sent by the next start. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#stopWatching()
    clearInterval(this.#timer)
    clearTimeout(this.#retry)
    this.#folder.close()
    await this.#last
    await this.#sweeping
    await this.#queue.settled()
    await this.#stopAll()
  }

  #of(name: string): Open {
    const found = this.#open.get(name)
    if (found !== undefined) return found
    const detail = `there is no channel "${name.slice(0, 64)}"`
    throw new SallyportError('SP_NOT_FOUND', detail, { detail })
  }

  /** A request is never kept from its answer by what happens here. */
  async #note(view: ApprovalView): Promise<void> {
    for (const open of this.#open.values()) {
      try {
        await this.#noteTo(open, view)
      } catch (error) {
        // The next sweep finds it.
        this.#options.onFault(error)
      }
    }
  }

  async #noteTo({ config, channel, sender }: Open, view: ApprovalView): Promise<void> {
    if (!goesTo(config, view)) return
    const { name, events } = config
    const { isForPeople, edits, approvalsMax } = channel
    const queued = { name, events, isForPeople, edits, approvalsMax }
    if (await this.#queue.note(queued, view)) sender.more()
  }

  #sweepLater(): void {
    this.#sweeping = this.#sweeping.then(async () => {
      if (!this.#isClosed) await this.#sweep().catch(this.#options.onFault)
    })
  }

  async #sweep(): Promise<void> {
    for (const open of this.#open.values()) {
      const { name, events } = open.config
      const { isForPeople, edits, approvalsMax } = open.channel
      const missing = this.#queue.missing({ name, events, isForPeople, edits, approvalsMax })
      for await (const id of missing)
        await this.#noteTo(open, await this.#options.approvals.get(id))
    }
  }

  #applyLater(): void {
    clearTimeout(this.#retry)
    this.#last = this.#last.then(async () => {
      if (this.#isClosed) return
      await this.#apply().catch((error: unknown) => {
        this.#options.onFault(error)
        this.#retry = setTimeout(() => this.#applyLater(), retryMs)
        this.#retry.unref()
      })
    })
  }

  async #apply(): Promise<void> {
    const { store, now } = this.#options
    const { config } = this.#folder
    await this.#stopAll()
    const oldest = new Date(now() - logMs)
    await store.durable(async (tx) => await tidyNotices(tx, [...config.keys()], oldest))
    this.#open = new Map([...config.values()].map((each) => [each.name, this.#begin(each)]))
    this.#sweepLater()
  }

  async #stopAll(): Promise<void> {
    await Promise.all([...this.#open.values()].map(async ({ sender }) => await sender.stop()))
  }

  #begin(config: ChannelConfig): Open {
    const { store, approvals, urlOf, now, onFault, ledger, retryMsFirst } = this.#options
    const { name, type } = config
    const channel = this.#channelOf(config)
    const sender = new ChannelSender({
      name,
      type,
      channel,
      store,
      urlOf,
      now,
      onFault,
      view: async (id) => await approvals.get(id),
      onFailure: (problem, dropped) => {
        onFault(new Error(`channel ${name}: ${problem}`))
        const detail = { problem, dropped }
        const actor = gatewayBy('channels')
        void ledger.write({ what: 'channel.failed', actor, subject: name, detail })
      },
      ...(retryMsFirst === undefined ? {} : { retryMsFirst }),
    })
    sender.start()
    return { config, channel, sender }
  }

  /** Nobody presses anything where there is no token of the app. */
  #socketOf(config: SlackConfig): SlackSocket | undefined {
    if (config.appToken === undefined) return undefined
    const { store, onFault, now, retryMsFirst } = this.#options
    const presses = new SlackPresses({ ...this.#options, config })
    return new SlackSocket({
      config,
      lease: new ChannelLease(store, config.name),
      now,
      onFault,
      onInteraction: async (payload) => await presses.take(payload),
      ...(retryMsFirst === undefined ? {} : { retryMsFirst }),
    })
  }

  #channelOf(config: ChannelConfig): Channel {
    const { gatewayUrl, now } = this.#options
    switch (config.type) {
      case 'webhook':
        return new WebhookChannel({ config, source: gatewayUrl, now })
      case 'email':
        return new EmailChannel({ config })
      case 'slack':
        return new SlackChannel({ config, now, socket: this.#socketOf(config) })
    }
  }
}

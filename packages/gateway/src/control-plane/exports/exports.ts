import { join } from 'node:path'
import { SallyportError } from '@sallyport/core'
import type { EventExport, ExportConfig } from './config/export-config.ts'
import { ExportsFolder } from './config/exports-folder.ts'
import { Deliverer, type DeliveryStatus } from './delivery/deliverer.ts'
import { DeliveryError, type Destination } from './delivery/destination.ts'
import { RotatingFile } from './delivery/rotating-file.ts'
import { Webhook } from './delivery/webhook.ts'
import type { ExportFeed } from './export-feed.ts'
import { testEvent, toOcsf } from './ocsf/to-ocsf.ts'
import type { Outbox } from './outbox.ts'

export interface ExportsOptions {
  readonly dataDir: string
  readonly outbox: Outbox
  readonly feed: ExportFeed
  /** The gateway's. */
  readonly version: string
  /** Milliseconds since the epoch. */
  readonly now: () => number
  /** The files were read again; `problems` is empty where they are in force. */
  readonly onConfig: (problems: string) => void
  readonly onFault: (error: unknown) => void
}

/** How a try at an export went. */
export interface ExportTest {
  readonly name: string
  readonly where: string
  readonly ok: boolean
  readonly problem?: string
}

/** A database that was away is asked again after this long. */
const retryMs = 5000

/** All exports: they follow the files of the folder `exports`. */
export class Exports {
  readonly #options: ExportsOptions
  readonly #folder: ExportsFolder
  #running = new Map<string, Deliverer>()
  #last: Promise<void> = Promise.resolve()
  #retry: NodeJS.Timeout | undefined
  #isClosed = false

  private constructor(options: ExportsOptions, folder: ExportsFolder) {
    this.#options = options
    this.#folder = folder
  }

  /** Fails with `SP_CONFIG_INVALID` where a file is wrong. What is recorded from then on is told. */
  static async open(options: ExportsOptions): Promise<Exports> {
    const folder = await ExportsFolder.open(join(options.dataDir, 'exports'))
    const exports = new Exports(options, folder)
    await options.outbox.open()
    await exports.#apply()
    await folder.follow((isRight) => {
      options.onConfig(folder.problems)
      if (isRight) exports.#applyLater()
    })
    return exports
  }

  /** What is wrong with the files, for people; empty where nothing is. */
  get problems(): string {
    return this.#folder.problems
  }

  async status(): Promise<DeliveryStatus[]> {
    return await Promise.all([...this.#running.values()].map(async (each) => await each.status()))
  }

  /** Sends an event that says that it is a test. */
  async test(name: string): Promise<ExportTest> {
    const config = this.#folder.config.get(name)
    if (config === undefined) {
      const detail = `there is no export "${name}"`
      throw new SallyportError('SP_NOT_FOUND', detail, { detail })
    }
    const { version, now } = this.#options
    const destination = this.#destination(config)
    const { where } = destination
    try {
      const line = JSON.stringify(testEvent(name, version, now()))
      await destination.deliver([{ id: 0n, line }], new AbortController().signal)
      return { name, where, ok: true }
    } catch (error) {
      if (error instanceof DeliveryError) return { name, where, ok: false, problem: error.message }
      throw error
    }
  }

  /** Resolves when nothing is sent any more; what waits is sent by the next start. */
  async close(): Promise<void> {
    this.#isClosed = true
    clearTimeout(this.#retry)
    this.#folder.close()
    await this.#last
    await this.#stopAll()
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
    const { outbox, feed, now } = this.#options
    const { config } = this.#folder
    await this.#stopAll()
    await outbox.useExports([...config.keys()], now())
    feed.use({
      keepSinceMs: config.size === 0 ? undefined : await outbox.since(),
      withText: [...config.values()].some(({ withText }) => withText),
      onFact: undefined,
    })
    this.#running = new Map([...config].map(([name, each]) => [name, this.#start(each)]))
  }

  async #stopAll(): Promise<void> {
    await Promise.all([...this.#running.values()].map(async (each) => await each.stop()))
  }

  #start(config: EventExport): Deliverer {
    const { outbox, version, onFault } = this.#options
    const { name, type, withText } = config
    const deliverer = new Deliverer({
      name,
      type,
      outbox,
      onFault,
      destination: this.#destination(config),
      lineOf: (fact) => {
        // Another export may ask for texts.
        if (fact.kind !== 'command' || withText) return JSON.stringify(toOcsf(fact, version))
        const { text: _text, ...command } = fact.command
        return JSON.stringify(toOcsf({ ...fact, command }, version))
      },
    })
    deliverer.start()
    return deliverer
  }

  #destination(config: ExportConfig): Destination {
    const { now } = this.#options
    return config.type === 'webhook' ? new Webhook(config, now) : new RotatingFile(config, now)
  }
}

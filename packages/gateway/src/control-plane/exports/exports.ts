import { join } from 'node:path'
import { SallyportError } from '@sallyport/core'
import type { AgentService } from '../agents/agent-service.ts'
import { ObjectsFolder } from '../policies/objects-folder.ts'
import type { EventExport, ExportConfig, TraceExport } from './config/export-config.ts'
import { loadExportsFolder } from './config/load-exports-folder.ts'
import { Deliverer } from './delivery/deliverer.ts'
import { DeliveryError, type Destination } from './delivery/destination.ts'
import { RotatingFile } from './delivery/rotating-file.ts'
import { StandardOutput } from './delivery/standard-output.ts'
import { Webhook } from './delivery/webhook.ts'
import type { ExportFeed } from './export-feed.ts'
import { testEvent, toOcsf } from './ocsf/to-ocsf.ts'
import type { ExportFact } from './facts/export-fact.ts'
import type { Outbox } from './outbox.ts'
import { TraceExporter } from './traces/trace-exporter.ts'
import type { ExportTest, DeliveryStatus } from '../contract/operations.ts'

export interface ExportsOptions {
  readonly dataDir: string
  readonly outbox: Outbox
  readonly feed: ExportFeed
  readonly agents: Pick<AgentService, 'onChange'>
  /** The gateway's. */
  readonly version: string
  /** Milliseconds since the epoch. */
  readonly now: () => number
  /** The files were read again; `problems` is empty where they are in force. */
  readonly onConfig: (problems: string) => void
  readonly onFault: (error: unknown) => void
}

/** A database that was away is asked again after this long. */
const retryMs = 5000

/** All exports: they follow the files of the folder `exports`. */
export class Exports {
  readonly #options: ExportsOptions
  readonly #folder: ObjectsFolder<ExportConfig>
  #running = new Map<string, Deliverer | TraceExporter>()
  #traces: readonly TraceExporter[] = []
  #last: Promise<void> = Promise.resolve()
  #retry: NodeJS.Timeout | undefined
  #isClosed = false

  private constructor(options: ExportsOptions, folder: ObjectsFolder<ExportConfig>) {
    this.#options = options
    this.#folder = folder
  }

  /** Fails with `SP_CONFIG_INVALID` where a file is wrong. What is recorded from then on is told. */
  static async open(options: ExportsOptions): Promise<Exports> {
    const folder = await ObjectsFolder.open(join(options.dataDir, 'exports'), loadExportsFolder)
    const exports = new Exports(options, folder)
    options.agents.onChange(({ agents }) => {
      for (const each of exports.#traces) for (const agent of agents) each.takeAgent(agent)
    })
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
    const where = whereOf(config)
    try {
      await this.#try(config)
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

  async #try(config: ExportConfig): Promise<void> {
    if (config.type === 'otlp') return await this.#tracer(config).test()
    const { version, now } = this.#options
    const line = JSON.stringify(testEvent(config.name, version, now()))
    const { signal } = new AbortController()
    await this.#destination(config).deliver([{ id: 0n, line }], signal)
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
    const events = [...config.values()].filter((each) => each.type !== 'otlp')
    const traces = [...config.values()].filter((each) => each.type === 'otlp')
    await outbox.useExports(
      events.map(({ name }) => name),
      now(),
    )
    const exporters = traces.map((each) => [each.name, this.#tracer(each)] as const)
    this.#traces = exporters.map(([, exporter]) => exporter)
    feed.use({
      keepSinceMs: events.length === 0 ? undefined : await outbox.since(),
      withText: [...config.values()].some(({ withText }) => withText),
      onFact: traces.length === 0 ? undefined : this.#trace,
    })
    const deliverers = events.map((each) => [each.name, this.#start(each)] as const)
    this.#running = new Map<string, Deliverer | TraceExporter>([...deliverers, ...exporters])
  }

  readonly #trace = (fact: ExportFact): void => {
    try {
      for (const each of this.#traces) each.take(fact)
    } catch (error) {
      // A span that cannot be made must not keep recordings from being shipped.
      this.#options.onFault(error)
    }
  }

  #tracer(config: TraceExport): TraceExporter {
    const { version, now, onFault } = this.#options
    return new TraceExporter({ config, version, now, onFault })
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

  #destination(config: EventExport): Destination {
    const { now } = this.#options
    switch (config.type) {
      case 'webhook':
        return new Webhook(config, now)
      case 'file':
        return new RotatingFile(config, now)
      case 'stdout':
        return new StandardOutput()
    }
  }
}

function whereOf(config: ExportConfig): string {
  switch (config.type) {
    case 'file':
      return config.path
    case 'stdout':
      return 'standard output'
    case 'webhook':
    case 'otlp':
      return config.url
  }
}

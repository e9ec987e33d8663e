import { setTimeout as sleep } from 'node:timers/promises'
import { isLedgerId, SallyportError, type DecodedRecord, type SessionId } from '@sallyport/core'
import {
  JournalFollower,
  type FollowedFile,
  type TakeRecord,
} from '../shipping/journal-follower.ts'
import { partName } from '../shipping/recorded-part.ts'
import { liveQuery, type LiveSession } from './live-query.ts'
import { LiveView, type ViewForm } from './live-view.ts'

/** Where journals are read from on, and whose entries follow: of each part that is open, its session. */
export interface Standing {
  readonly files: readonly FollowedFile[]
  readonly open: ReadonlyMap<string, string>
}

/** What is needed of the gateway. */
export interface LiveOptions {
  readonly journalDir: string
  readonly standing: () => Standing
  /** What is known of these sessions; fewer where some are not known yet. */
  readonly sessions: (ids: readonly string[]) => Promise<readonly LiveSession[]>
  readonly onFault: (error: unknown) => void
}

const viewsMax = 100
/** What is recorded is shown within a second; a look costs a few system calls. */
const lookEveryMs = 100
/** Of sessions that have just opened, the gateway hears a moment later than the journal. */
const knownTries = 20
const knownEveryMs = 50
/** Who watches may read this long what happened until the gateway stopped. */
const drainMsMax = 1000

interface LivePart {
  readonly session: LiveSession
  /** Position of the newest entry that was seen; undefined before the first. */
  position: number | undefined
}

/**
 * Shows sessions while they go on, to any number of watchers up to a bound: reads the journals behind the workers, as the
 * shipper does, while somebody watches and not otherwise. What is in them was masked before, so no more is shown than callers got.
 */
export class LiveSessions {
  readonly #options: LiveOptions
  readonly #views = new Set<LiveView>()
  #parts = new Map<string, LivePart>()
  #started: Promise<void> | undefined
  #isStopped = false

  constructor(options: LiveOptions) {
    this.#options = options
  }

  /** Throws `SP_QUERY_INVALID`, and `SP_LIMIT` where too many watch. A session that is watched by its id ends the view with its end. */
  async watch(of: string, form: ViewForm): Promise<LiveView> {
    const sinceMs = Date.now()
    const { matches, commands } = liveQuery(of, sinceMs)
    if (this.#views.size >= viewsMax) {
      const detail = `${viewsMax} watch already; this gateway serves no more at once`
      throw new SallyportError('SP_LIMIT', detail, { detail })
    }
    if (this.#isStopped) throw new SallyportError('SP_SHUTTING_DOWN', 'the gateway stops')
    const onClose = (closed: LiveView): void => {
      this.#views.delete(closed)
      this.#leave()
    }
    const only = of.startsWith('s_') ? { only: of } : {}
    const view = new LiveView(form, { matches, commands, sinceMs, ...only, onClose })
    // Before the first look, so that nothing happens between the two.
    this.#views.add(view)
    try {
      this.#started ??= this.#start()
      await this.#started
    } catch (error) {
      onClose(view)
      throw error
    }
    for (const { session } of this.#parts.values()) if (matches(session)) view.opened(session)
    return view
  }

  /** True while the session is open, as far as is known to those who watch. */
  isOpen(id: string): boolean {
    return [...this.#parts.values()].some(({ session }) => session.id === id)
  }

  /** Ends all views; those who read get what happened before. */
  async stop(): Promise<void> {
    this.#isStopped = true
    await this.#started?.catch(() => undefined)
    await this.#look?.().catch(this.#options.onFault)
    for (const view of this.#views) view.end('the gateway stops')
    const endMs = performance.now() + drainMsMax
    while ([...this.#views].some((view) => !view.isDrained) && performance.now() < endMs)
      await sleep(10)
  }

  #leave(): void {
    if (this.#views.size > 0) return
    this.#started = undefined
    this.#look = undefined
    this.#parts = new Map()
  }

  /** Reads what was written since; undefined while nobody watches. */
  #look: (() => Promise<void>) | undefined

  async #start(): Promise<void> {
    const { journalDir, standing } = this.#options
    const { files, open: all } = standing()
    // Who watches the ledger would read what watching writes to it.
    const open = [...all].filter(([, id]) => !isLedgerId(id))
    const follower = new JournalFollower(journalDir, files)
    const known = await this.#known([...new Set(open.map(([, id]) => id))])
    const parts = open.map(([part, id]) => {
      const nothing = { id, chain: [], connection: '', database: '', level: 0 }
      return [part, { session: known.get(id) ?? nothing, position: undefined }] as const
    })
    this.#parts = new Map<string, LivePart>(parts)
    let last: Promise<void> = Promise.resolve()
    // What is read after all have left belongs to nobody, nor to those who come next.
    const isWanted = (): boolean => this.#look === look
    const take: TakeRecord = (record, file) => {
      if (isWanted()) this.#take(record, file)
    }
    const look = async (): Promise<void> => {
      last = last.then(async () => await follower.read(take, isWanted))
      await last
    }
    this.#look = look
    await look()
    void this.#follow(look)
  }

  async #known(ids: readonly string[]): Promise<ReadonlyMap<string, LiveSession>> {
    for (let tries = 1; ; tries += 1) {
      const rows = await this.#options.sessions(ids)
      if (rows.length >= ids.length || tries === knownTries)
        return new Map(rows.map((row) => [row.id, row]))
      await sleep(knownEveryMs)
    }
  }

  async #follow(look: () => Promise<void>): Promise<void> {
    while (this.#look === look && !this.#isStopped) {
      try {
        await look()
      } catch (error) {
        // Journals that cannot be read are the shipper's to tell; a view must not end it for the others.
        this.#options.onFault(error)
        this.#started = undefined
        for (const view of this.#views) view.end('the journals cannot be read')
        return
      }
      await sleep(lookEveryMs)
    }
  }

  #take(record: DecodedRecord, file: FollowedFile): void {
    const { entry, position, timeMs } = record
    const of = { worker: file.worker, run: file.run ?? 0, reference: record.session }
    const name = partName(of)
    if (entry.kind === 'session.opened' && !isLedgerId(entry.session) && !this.#parts.has(name)) {
      const { session: id, chain, connection, database, level } = entry
      const session = { id, chain, connection, database, level }
      this.#parts.set(name, { session, position: undefined })
    }
    const part = this.#parts.get(name)
    if (part === undefined) return
    const { session } = part
    const missing = position - (part.position ?? position - 1) - 1
    // A file that was set aside is read again under its new name.
    if (missing < 0) return
    part.position = position
    const item = {
      kind: 'entry',
      session: session.id as SessionId,
      position,
      timeMs,
      // Nobody has checked the chain yet: replay and verify do.
      verified: false,
      entry,
    } as const
    for (const view of this.#watching(session, timeMs)) {
      view.opened(session)
      if (missing > 0) view.lost(session.id, missing)
      view.take(item)
    }
    if (entry.kind === 'session.closed') this.#parts.delete(name)
  }

  #watching(session: LiveSession, timeMs: number): LiveView[] {
    return [...this.#views].filter((view) => timeMs >= view.sinceMs && view.matches(session))
  }
}

import { hash, randomBytes } from 'node:crypto'
import { makeId, SallyportError, storeKeys } from '@sallyport/core'
import { sql } from 'kysely'
import { gatewayBy, type FactBy, type Ledger } from '../ledger/ledger.ts'
import type { RecordingStore } from '../ports/recording-store.ts'
import type { Store } from '../ports/store.ts'
import { countDueApprovals, eraseDueApprovals } from './due-approvals.ts'
import { allHolds, dueSessions, dueMax, type DueSession, type HoldRow } from './due-sessions.ts'
import { loadRetention, type RetentionRules } from './retention-config.ts'
import type { RetentionPlan, RetentionReport, Hold } from '../contract/retention.ts'
import type { SearchStatus } from '../contract/operations.ts'

/** What retention needs of the rest. */
export interface RetentionOptions {
  readonly dataDir: string
  readonly store: Store
  readonly recordings: RecordingStore
  readonly ledger: Ledger
  /** Ships and anchors the ledger: what it says is in the store before anything is removed. Rejects where it can't. */
  readonly settleLedger: () => Promise<void>
  /** Parts of which a journal has entries; asked for after the ledger is settled. */
  readonly inJournals: () => ReadonlySet<string>
  readonly index: () => SearchStatus
  readonly now: () => number
  readonly onFault: (error: unknown) => void
}

/** Tombstones that are shipped together: a run is many small steps. */
const batchMax = 20
const reasonCharactersMax = 500
const jobEveryMs = 10 * 60_000

/**
 * Erases recordings whose time is over: the ledger says so first, then the session's key goes, then its objects, then its rows.
 * Wherever it is interrupted, the next run goes on there. Nothing else may erase at the same time.
 */
export class Retention {
  readonly #options: RetentionOptions
  #last: Promise<unknown> = Promise.resolve()
  #timer: NodeJS.Timeout | undefined

  constructor(options: RetentionOptions) {
    this.#options = options
  }

  /** Looks every ten minutes from now on. */
  start(): void {
    this.#timer = setInterval(() => void this.job().catch(this.#options.onFault), jobEveryMs)
    this.#timer.unref()
  }

  /** Erases what is due where the rules have the job switched on. Rejects where not all of it could be. */
  async job(): Promise<void> {
    const { job } = await loadRetention(this.#options.dataDir)
    if (!job) return
    const { failed } = await this.apply(gatewayBy('retention'))
    const [first] = failed
    if (first === undefined) return
    const said = `${failed.length} recordings that are due are not erased; ${first.session}: ${first.why}`
    throw new SallyportError('SP_RECORD_UNAVAILABLE', said)
  }

  /** Resolves when what runs has come to an end. */
  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await this.#last
  }

  plan(): Promise<RetentionPlan> {
    return this.#next(async () => {
      const rules = await loadRetention(this.#options.dataDir)
      const sessions = await this.#due(rules)
      const { store, now } = this.#options
      const approvals = await countDueApprovals(store.db, rules.approvalsMs, now())
      return { job: rules.job, sessions, hasMore: sessions.length === dueMax, approvals }
    })
  }

  /** Erases what a plan would show now, and what an earlier run has begun. */
  apply(by: FactBy): Promise<RetentionReport> {
    return this.#next(async () => {
      const rules = await loadRetention(this.#options.dataDir)
      const erased: string[] = []
      const failed: { session: string; why: string }[] = []
      const finish = async (sessions: readonly string[]): Promise<void> => {
        if (sessions.length > 0) await this.#options.settleLedger()
        for (const session of sessions) {
          try {
            await this.#finish(session)
            erased.push(session)
          } catch (error) {
            failed.push({ session, why: error instanceof Error ? error.message : String(error) })
          }
        }
      }
      await finish(await this.#begun())
      const due = (await this.#due(rules)).filter(({ action }) => action === 'erase')
      for (let at = 0; at < due.length; at += batchMax) {
        const begun: string[] = []
        for (const each of due.slice(at, at + batchMax))
          if (await this.#begin(each, by)) begun.push(each.session)
        await finish(begun)
      }
      const { approvalsMs } = rules
      const approvals = await eraseDueApprovals(this.#options, approvalsMs, this.#options.now(), by)
      return { erased, failed, approvals }
    })
  }

  /** Keeps a session, or a tree, by its whole id. */
  hold(kind: HoldRow['kind'], subject: string, reason: string, actor: FactBy): Promise<Hold> {
    const { store, ledger, now } = this.#options
    if (reason === '' || reason.length > reasonCharactersMax)
      throw invalid(`a hold has a reason of at most ${reasonCharactersMax} characters`)
    return this.#next(async () => {
      if ((await this.#begun()).includes(subject)) throw invalid(`${subject} is being erased`)
      // A hold with a slip of the pen in it would keep nothing.
      if (!(await this.#isKnown(kind, subject)))
        throw new SallyportError('SP_NOT_FOUND', `there is no ${kind} "${subject}" to keep`, {
          detail: kind,
        })
      const id = makeId<string>('ho', randomBytes)
      const at = new Date(now())
      const stored = await store.durable(async (tx) => {
        const row = { id, kind, subject, reason, by_name: actor.name, at }
        await tx.insertInto('legal_hold').values(row).execute()
        const detail = { hold: id, kind, reason }
        return [ledger.write({ what: 'hold.added', actor, subject, detail })]
      })
      await Promise.all(stored)
      return { id, kind, subject, reason, by: actor.name, at: at.toISOString() }
    })
  }

  /** Oldest first. */
  async holds(): Promise<Hold[]> {
    const { rows } = await allHolds().execute(this.#options.store.db)
    return rows
      .toSorted((a, b) => a.at.getTime() - b.at.getTime())
      .map(({ by_name: by, at, ...row }) => ({ ...row, by, at: at.toISOString() }))
  }

  async removeHold(id: string, reason: string, actor: FactBy): Promise<void> {
    const { store, ledger } = this.#options
    await this.#next(async () => {
      const found = (await this.holds()).find((each) => each.id === id)
      if (found === undefined)
        throw new SallyportError('SP_NOT_FOUND', `there is no hold "${id}"`, { detail: 'hold' })
      const stored = await store.durable(async (tx) => {
        await tx.deleteFrom('legal_hold').where('id', '=', id).execute()
        const detail = { hold: id, reason }
        return [ledger.write({ what: 'hold.removed', actor, subject: found.subject, detail })]
      })
      await Promise.all(stored)
    })
  }

  async #isKnown(kind: HoldRow['kind'], subject: string): Promise<boolean> {
    const found =
      kind === 'session'
        ? sql`select from session where id = ${subject}`
        : sql`select from agent where id = ${subject}
            union all select from session where ${subject} = any (path) limit 1`
    return (await found.execute(this.#options.store.db)).rows.length > 0
  }

  /** What is not known cannot be judged: holds stand in the index too. */
  async #due(rules: RetentionRules): Promise<DueSession[]> {
    const { store, settleLedger, inJournals, index, now } = this.#options
    await settleLedger()
    const { rebuilding, problem } = index()
    if (rebuilding !== undefined || problem !== undefined) {
      const detail = `the index is not whole: ${problem ?? 'it is being made again'}`
      throw new SallyportError('SP_RECORD_UNAVAILABLE', detail, { detail })
    }
    return await dueSessions(store.db, rules, { inJournals: inJournals(), nowMs: now() })
  }

  async #begun(): Promise<string[]> {
    const rows = await this.#options.store.db
      .selectFrom('erasure')
      .select('session_id')
      .orderBy('session_id')
      .execute()
    return rows.map((row) => row.session_id)
  }

  /** The tombstone: written with the mark that the erasure has begun, or neither. False where there is nothing to go by. */
  async #begin(due: DueSession, actor: FactBy): Promise<boolean> {
    const { store, recordings, ledger, now } = this.#options
    const { session, why, connection, closedAt } = due
    const seal = await recordings.get(storeKeys.seal(session))
    if (seal === undefined) return false
    const parts = await store.db
      .selectFrom('recording_part')
      .select(['part', 'shipped', 'head', 'segments'])
      .where('session_id', '=', session)
      .orderBy('part')
      .execute()
    const detail = {
      why,
      connection,
      closedAt,
      entries: due.entries,
      seal: hash('sha256', seal),
      parts: parts.map(({ part, shipped, head }) => `${part} ${shipped} ${head}`),
    }
    const stored = await store.durable(async (tx) => {
      await tx
        .insertInto('erasure')
        .values({ session_id: session, at: new Date(now()) })
        .execute()
      return [ledger.write({ what: 'retention.erased', actor, subject: session, detail })]
    })
    await Promise.all(stored)
    return true
  }

  /** The key first: without it the rest is noise, however far this comes. */
  async #finish(session: string): Promise<void> {
    const { store, recordings } = this.#options
    await recordings.remove(storeKeys.sessionKey(session))
    const objects: string[] = []
    for await (const key of recordings.list(`${storeKeys.sessions(session)}/`)) objects.push(key)
    for (const key of objects) await recordings.remove(key)
    await store.durable(async (tx) => {
      for (const table of ['command', 'indexed_part', 'recording_part'] as const)
        await sql`delete from ${sql.table(table)} where session_id = ${session}`.execute(tx)
      await tx.deleteFrom('session').where('id', '=', session).execute()
      await tx.deleteFrom('erasure').where('session_id', '=', session).execute()
    })
  }

  /** One after the other: a hold that was given is known to whoever erases next. */
  #next<T>(work: () => Promise<T>): Promise<T> {
    const next = this.#last.then(work)
    this.#last = next.catch(() => undefined)
    return next
  }
}

function invalid(detail: string): SallyportError {
  return new SallyportError('SP_CONFIG_INVALID', detail, { detail })
}

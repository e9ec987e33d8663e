import { SallyportError } from '@sallyport/core'
import { sql, type Insertable, type Selectable } from 'kysely'
import type { SessionClosed, SessionOpened } from '../boundary/messages.ts'
import type { Store } from './ports/store.ts'
import type { SessionTable } from './ports/tables/recording-tables.ts'
import { sessionTerms } from './recordings/index/terms.ts'
import type { LiveSession } from './recordings/live/live-query.ts'
import type { SessionView } from './contract/sessions.ts'

const listMax = 200
/** A statement takes at most 65,535 parameters. */
const rowsPerInsert = 1000

/** The index of sessions, from what workers report. The journal, not this, is the truth for what was recorded; so it need not be synced. */
export class SessionIndex {
  readonly #store: Store
  /** One after the other: a session's end must not be written before its beginning. */
  #last: Promise<unknown> = Promise.resolve()
  readonly #opened: SessionOpened[] = []
  readonly #closed: SessionClosed[] = []

  constructor(store: Store) {
    this.#store = store
  }

  opened(session: SessionOpened): Promise<void> {
    this.#opened.push(session)
    return this.#next(async () => await this.#write())
  }

  closed(session: SessionClosed): Promise<void> {
    this.#closed.push(session)
    return this.#next(async () => await this.#write())
  }

  /** Closes rows that a killed process left open: of one worker, or of all at the start. */
  closeLost(reason: string, worker?: number): Promise<void> {
    return this.#next(async () => {
      const all = this.#store.db
        .updateTable('session')
        .set({ closed_at: new Date(), reason })
        .where('closed_at', 'is', null)
      await (worker === undefined ? all : all.where('worker', '=', worker)).execute()
    })
  }

  /** Newest first. */
  async list(): Promise<SessionView[]> {
    const rows = await this.#store.db
      .selectFrom('session')
      .selectAll()
      .orderBy('opened_at', 'desc')
      .limit(listMax)
      .execute()
    return rows.map(view)
  }

  /** What is known of these sessions, for those who watch them. */
  async live(ids: readonly string[]): Promise<LiveSession[]> {
    await this.settled()
    const rows: LiveSession[] = []
    for (let at = 0; at < ids.length; at += rowsPerInsert) {
      const some = await this.#store.db
        .selectFrom('session')
        .select(['id', 'chain', 'path', 'connection', 'database', 'level'])
        .where('id', 'in', ids.slice(at, at + rowsPerInsert))
        .execute()
      for (const { chain, path, level, ...row } of some)
        rows.push({
          ...row,
          level: level ?? 0,
          chain: chain.map((name, depth) => ({ id: path?.[depth] ?? '', name })),
        })
    }
    return rows
  }

  /** The one id that starts with `prefix`; the prefix itself where the index has none, since the journal may know more. */
  async whole(prefix: string): Promise<string> {
    const rows = await this.#store.db
      .selectFrom('session')
      .select('id')
      .where(sql<boolean>`starts_with(id, ${prefix})`)
      .limit(2)
      .execute()
    if (rows.length < 2) return rows[0]?.id ?? prefix
    const detail = `"${prefix}" is the start of several session ids. Give more of it.`
    throw new SallyportError('SP_CONFIG_INVALID', detail, { detail })
  }

  /** All that ends before it returns was reported before it was called. */
  settled(): Promise<unknown> {
    return this.#last
  }

  /** Writes all that was reported so far: hundreds of sessions may end at once, and a statement each would hold up everything else. */
  async #write(): Promise<void> {
    const opened = this.#opened.splice(0)
    const closed = this.#closed.splice(0)
    for (let at = 0; at < opened.length; at += rowsPerInsert) {
      const rows = opened.slice(at, at + rowsPerInsert).map(rowOf)
      await this.#store.db
        .insertInto('session')
        .values(rows)
        .onConflict((conflict) => conflict.doNothing())
        .execute()
    }
    if (closed.length === 0) return
    const ends = closed.map(({ closedAtMs, ...rest }) => ({
      ...rest,
      closedAt: new Date(closedAtMs).toISOString(),
    }))
    await sql`update session set closed_at = e."closedAt", reason = e.reason, commands = e.commands,
        blocked = e.blocked, masked_values = e."maskedValues"
      from jsonb_to_recordset(${JSON.stringify(ends)}::jsonb) as e (id text, "closedAt" timestamptz,
        reason text, commands integer, blocked integer, "maskedValues" integer)
      where session.id = e.id`.execute(this.#store.db)
  }

  #next(work: () => Promise<void>): Promise<void> {
    const next = this.#last.catch(() => undefined).then(work)
    this.#last = next.catch(() => undefined)
    return next
  }
}

function rowOf(session: SessionOpened): Insertable<SessionTable> {
  return {
    id: session.id,
    worker: session.worker,
    connection: session.connection,
    database: session.database,
    credential: session.credential,
    chain: JSON.stringify(session.chain),
    agent_id: session.agent,
    path: [...session.path],
    level: session.level,
    terms: sessionTerms({
      chain: session.path.map((id, depth) => ({ id, name: session.chain[depth] ?? '' })),
      connection: session.connection,
      level: session.level,
    }),
    application: session.application,
    source: session.source,
    opened_at: new Date(session.openedAtMs),
    closed_at: null,
    reason: null,
  }
}

function view(row: Selectable<SessionTable>): SessionView {
  return {
    id: row.id,
    connection: row.connection,
    database: row.database,
    chain: row.chain,
    application: row.application,
    source: row.source,
    openedAt: row.opened_at.toISOString(),
    ...(row.closed_at === null ? {} : { closedAt: row.closed_at.toISOString() }),
    ...(row.reason === null ? {} : { reason: row.reason }),
    commands: row.commands,
    blocked: row.blocked,
    maskedValues: row.masked_values,
  }
}

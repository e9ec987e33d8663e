import { SallyportError } from '@sallyport/core'
import { sql } from 'kysely'
import type { Store } from '../ports/store.ts'
import { plain } from '../recordings/index/terms.ts'
import type { ExportFact } from './facts/export-fact.ts'
import type { PartState } from './facts/part-facts.ts'

/** A fact that waits, with its place in the order in which facts are told. */
export interface WaitingFact {
  readonly id: bigint
  readonly fact: ExportFact
}

/** How far a part of a recording was read. `state` is absent where nothing more can come. */
export interface PartRow {
  readonly session: string
  readonly part: string
  readonly worker: number
  readonly run: number
  readonly position: number
  readonly state?: PartState
}

/** What waits for an export. */
export interface Backlog {
  readonly events: number
  /** When the oldest of them happened, in milliseconds since the epoch. */
  readonly sinceMs?: number
}

/** About 2 GB of the database. When so many wait, journals are kept and no more is read of them: nothing is dropped. */
const eventsMax = 2_000_000
/** Counting more would take the database's time; so many, or more, is told as this. */
export const backlogMax = 100_000
/** Of one statement: its rows are one JSON text. */
const rowsPerInsert = 200

/** Facts on their way to the exports: written once, kept until every export has them. */
export class Outbox {
  readonly #store: Store
  readonly #eventsMax: number
  #count = 0
  readonly #wakers = new Set<() => void>()

  constructor(store: Store, max = eventsMax) {
    this.#store = store
    this.#eventsMax = max
  }

  /** Learns what is there. */
  async open(): Promise<void> {
    await this.#recount()
  }

  get isFull(): boolean {
    return this.#count >= this.#eventsMax
  }

  /** Throws while no more is taken. */
  checkRoom(): void {
    if (!this.isFull) return
    const said = `${this.#count} events wait for exports, and no more are taken: see "sallyport exports list"`
    throw new SallyportError('SP_RECORD_UNAVAILABLE', said, { detail: said })
  }

  /** Calls `wake` when there is more. Returns a function that stops that. */
  onMore(wake: () => void): () => void {
    this.#wakers.add(wake)
    return () => this.#wakers.delete(wake)
  }

  /** Keeps facts, with how far the parts are that they come from, all or nothing. A fact that is there already stays once. */
  async write(facts: readonly ExportFact[], parts: readonly PartRow[]): Promise<void> {
    let written = 0n
    await this.#store.durable(async (tx) => {
      for (let at = 0; at < facts.length; at += rowsPerInsert) {
        const rows = facts.slice(at, at + rowsPerInsert).map((fact, n) => ({
          n,
          uid: fact.uid,
          at: new Date(fact.atMs).toISOString(),
          body: fact,
        }))
        const { numAffectedRows } = await sql`
          insert into export_event (uid, at, body)
          select uid, at, body
          from jsonb_to_recordset(${jsonOf(rows)}::jsonb) as e (n integer, uid text, at timestamptz, body jsonb)
          order by n
          on conflict (uid) do nothing`.execute(tx)
        written += numAffectedRows ?? 0n
      }
      for (let at = 0; at < parts.length; at += rowsPerInsert) {
        const json = jsonOf(parts.slice(at, at + rowsPerInsert))
        await sql`
          insert into export_part (session_id, part, worker, run, position, state)
          select session, part, worker, run, position, state
          from jsonb_to_recordset(${json}::jsonb) as e (session text, part text, worker integer,
            run integer, position integer, state jsonb)
          on conflict (session_id, part) do update set position = excluded.position, state = excluded.state`.execute(
          tx,
        )
      }
    })
    this.#count += Number(written)
    if (written > 0n) for (const wake of this.#wakers) wake()
  }

  /** How far parts of these runs are, by session and part; what was known of other runs is forgotten, since their journals are gone. */
  async parts(
    runs: readonly { readonly worker: number; readonly run: number }[],
  ): Promise<Map<string, PartRow>> {
    const { db } = this.#store
    const json = JSON.stringify(runs)
    await sql`delete from export_part where (worker, run) not in (
      select * from jsonb_to_recordset(${json}::jsonb) as e (worker integer, run integer))`.execute(
      db,
    )
    const rows = await db.selectFrom('export_part').selectAll().execute()
    return new Map(
      rows.map(({ session_id: session, state, ...row }) => [
        `${session}/${row.part}`,
        { ...row, session, ...(state === null ? {} : { state }) },
      ]),
    )
  }

  /** Says which exports there are. A new one begins with what happens from now on; what is gone is forgotten. */
  async useExports(names: readonly string[], nowMs: number): Promise<void> {
    await this.#store.durable(async (tx) => {
      await sql`delete from export_cursor where not (name = any(${[...names]}))`.execute(tx)
      for (const name of names) {
        await sql`
          insert into export_cursor (name, position, since)
          select ${name}, coalesce((select max(id) from export_event), 0), ${new Date(nowMs)}
          on conflict (name) do nothing`.execute(tx)
      }
      if (names.length === 0) await sql`delete from export_part`.execute(tx)
      await forgetTold(tx)
    })
    await this.#recount()
  }

  /** From when on something is told, in milliseconds since the epoch; undefined where there are no exports. */
  async since(): Promise<number | undefined> {
    const row = await this.#store.db
      .selectFrom('export_cursor')
      .select((of) => of.fn.min('since').as('since'))
      .executeTakeFirst()
    return row?.since === null ? undefined : row?.since.getTime()
  }

  /** The oldest facts that an export does not have. */
  async read(name: string, countMax: number): Promise<WaitingFact[]> {
    const { rows } = await sql<{ id: string; body: ExportFact }>`
      select e.id, e.body from export_event as e, export_cursor as c
      where c.name = ${name} and e.id > c.position and e.at >= c.since
      order by e.id limit ${countMax}`.execute(this.#store.db)
    return rows.map(({ id, body }) => ({ id: BigInt(id), fact: body }))
  }

  /** An export has everything up to this one: what all have is removed. */
  async told(name: string, id: bigint): Promise<void> {
    const removed = await this.#store.durable(async (tx) => {
      await sql`update export_cursor set position = ${String(id)}::bigint where name = ${name}`.execute(
        tx,
      )
      return await forgetTold(tx)
    })
    this.#count = Math.max(0, this.#count - Number(removed))
  }

  async backlog(name: string): Promise<Backlog> {
    const { rows } = await sql<{ events: string; since: Date | null }>`
      with waiting as (select e.id, e.at from export_event as e, export_cursor as c
        where c.name = ${name} and e.id > c.position and e.at >= c.since order by e.id limit ${backlogMax})
      select (select count(*) from waiting) as events, (select at from waiting order by id limit 1) as since`.execute(
      this.#store.db,
    )
    const { events = '0', since = null } = rows[0] ?? {}
    return { events: Number(events), ...(since === null ? {} : { sinceMs: since.getTime() }) }
  }

  async #recount(): Promise<void> {
    const { rows } = await sql<{ n: string }>`select count(*) as n from export_event`.execute(
      this.#store.db,
    )
    this.#count = Number(rows[0]?.n ?? 0)
  }
}

/** PostgreSQL's JSON has neither NUL nor halves of pairs, and names and texts come from callers. */
function jsonOf(rows: unknown): string {
  return JSON.stringify(rows, (_key, value: unknown) =>
    typeof value === 'string' ? plain(value).toWellFormed() : value,
  )
}

async function forgetTold(tx: Parameters<Parameters<Store['durable']>[0]>[0]): Promise<bigint> {
  const { numAffectedRows } = await sql`
    delete from export_event where id <= coalesce(
      (select min(position) from export_cursor), (select max(id) from export_event))`.execute(tx)
  return numAffectedRows ?? 0n
}

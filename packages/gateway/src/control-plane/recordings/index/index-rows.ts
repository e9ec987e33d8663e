import { isLedgerId } from '@sallyport/core'
import { sql, type Transaction } from 'kysely'
import type { Store } from '../../ports/store.ts'
import type { Tables } from '../../ports/tables/tables.ts'
import { dayTable } from './day-table.ts'
import type { Chunk, IndexedPartId, Outcome } from './indexed-part.ts'
import { parseName } from './parse-name.ts'
import { marks, plain, sessionTerms } from './terms.ts'

/** What one part adds. */
export interface PartChunk {
  readonly id: IndexedPartId
  readonly chunk: Chunk
}

type Tx = Transaction<Tables>

/** Of one statement: its rows are one JSON text. */
const rowsPerInsert = 100
/** Words that are known to be in the table of words, so that they aren't written again. */
const knownTermsMax = 100_000

/** The tables of the index, as they are written. */
export class IndexRows {
  readonly #store: Store
  #knownTerms = new Set<string>()

  constructor(store: Store) {
    this.#store = store
  }

  /** Writes the rows of these parts with how far they are then, all or nothing: so each command is there once. */
  async write(parts: readonly PartChunk[]): Promise<void> {
    const terms = new Set<string>()
    await this.#store.durable(async (tx) => {
      await writeSessions(tx, parts)
      await writeCommands(tx, parts)
      await writeChanges(tx, parts)
      await writeFacts(tx, parts)
      for (const { chunk } of parts) {
        for (const word of wordsOf(chunk)) if (!this.#knownTerms.has(word)) terms.add(word)
      }
      await writeTerms(tx, terms)
      await writePositions(
        tx,
        parts.map(({ id, chunk }) => ({ ...id, position: chunk.to, problem: null })),
      )
    })
    if (this.#knownTerms.size > knownTermsMax) this.#knownTerms.clear()
    for (const word of terms) this.#knownTerms.add(word)
  }

  /** Sets a part aside that cannot be written: no more of it is indexed. */
  async setAside({ id, chunk }: PartChunk, problem: string): Promise<void> {
    await this.#store.durable(
      async (tx) =>
        await writePositions(tx, [{ ...id, position: chunk.to, problem: plain(problem) }]),
    )
  }

  /** How far parts are: those of these runs, or all. */
  async positions(
    runs?: readonly { readonly worker: number; readonly run: number }[],
  ): Promise<Map<string, KnownPosition>> {
    const { rows } = await sql<{ key: string; position: number; aside: boolean }>`
      select session_id || '/' || part as key, position, problem is not null as aside
      from indexed_part ${
        runs === undefined
          ? sql``
          : sql`where (worker, run) in (
        select * from jsonb_to_recordset(${JSON.stringify(runs)}::jsonb) as e (worker integer, run integer))`
      }`.execute(this.#store.db)
    return new Map(rows.map(({ key, position, aside }) => [key, { position, aside }]))
  }

  /** Forgets everything. */
  async clear(): Promise<void> {
    await this.#store.durable(async (tx) => {
      for (const { day } of await days(tx))
        await sql`drop table ${sql.table(dayTable(day))}`.execute(tx)
      await sql`truncate command_day, search_term, indexed_part, fact`.execute(tx)
    })
    this.#knownTerms = new Set()
  }

  /** Counts what stands in days that have doubled since, which the embedded database does not do by itself. */
  async analyze(): Promise<void> {
    if (this.#store.kind !== 'embedded') return
    const { rows } = await sql<{ day: string }>`
      select day::text as day from command_day where commands >= 2 * analyzed and commands >= 1000`.execute(
      this.#store.db,
    )
    for (const { day } of rows) {
      await sql`analyze ${sql.table(dayTable(day))}`.execute(this.#store.db)
      await sql`update command_day set analyzed = commands where day = ${day}::date`.execute(
        this.#store.db,
      )
    }
  }
}

/** How far a part is; `aside` where no more of it is indexed. */
export interface KnownPosition {
  readonly position: number
  readonly aside: boolean
}

function wordsOf({ opened, commands, changes }: Chunk): string[] {
  const ofSession = opened === undefined ? [] : sessionTerms(opened.entry)
  const outcomes: Outcome[] = [...commands.values(), ...changes.values()]
  return [...ofSession, ...outcomes.flatMap(({ terms }) => terms)]
}

async function days(tx: Tx): Promise<readonly { day: string }[]> {
  const { rows } = await sql<{ day: string }>`select day::text as day from command_day`.execute(tx)
  return rows
}

/** The day of a moment, in UTC: `2026-11-21`. */
function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10)
}

async function writeCommands(tx: Tx, parts: readonly PartChunk[]): Promise<void> {
  const rows = parts.flatMap(({ id, chunk }) =>
    [...chunk.commands.values()].map(({ at, ...command }) => ({
      ...command,
      at: new Date(at).toISOString(),
      session_id: id.session,
      part: id.part,
    })),
  )
  const counts = new Map<string, number>()
  for (const { at } of rows) {
    const day = at.slice(0, 10)
    counts.set(day, (counts.get(day) ?? 0) + 1)
  }
  for (const [day, count] of counts) await makeDay(tx, day, count)
  for (const some of slices(rows)) {
    await sql`
      insert into command (at, session_id, part, seq, id, decision, verdict, rules, class, verb, objects, text,
        text_bytes, status, code, rows, bytes, columns, masks, mask_values, terms)
      select at, session_id, part, seq, id, decision, verdict, rules, class, verb, objects, text,
        text_bytes, status, code, rows, bytes, columns, masks, mask_values, terms
      from jsonb_to_recordset(${JSON.stringify(some)}::jsonb) as e (at timestamptz, session_id text,
        part text, seq integer, id text, decision text, verdict text, rules text[], class text, verb text,
        objects jsonb, text text, text_bytes integer, status text, code text, rows bigint,
        bytes bigint, columns text[], masks text[], mask_values bigint[], terms text[])
      on conflict do nothing`.execute(tx)
  }
}

/** Makes the partition of a day where there is none. */
async function makeDay(tx: Tx, day: string, count: number): Promise<void> {
  const { numAffectedRows } = await sql`
    update command_day set commands = commands + ${count} where day = ${day}::date`.execute(tx)
  if (numAffectedRows === 1n) return
  const next = dayOf(Date.parse(day) + dayMs)
  await sql`create table ${sql.table(dayTable(day))} partition of command
    for values from (${sql.lit(`${day} 00:00Z`)}) to (${sql.lit(`${next} 00:00Z`)})`.execute(tx)
  await sql`insert into command_day (day, commands) values (${day}::date, ${count})`.execute(tx)
}

const dayMs = 86_400_000

async function writeChanges(tx: Tx, parts: readonly PartChunk[]): Promise<void> {
  const rows = parts.flatMap(({ id, chunk }) =>
    [...chunk.changes.values()].map(({ at, ...change }) => ({
      ...change,
      at: at === undefined ? null : new Date(at).toISOString(),
      session_id: id.session,
      part: id.part,
    })),
  )
  // With its time the row is in one day's partition; without, all are asked.
  for (const known of [true, false]) {
    const alike = rows.filter(({ at }) => (at !== null) === known)
    for (const some of slices(alike)) {
      await sql`
        update command as c set status = coalesce(e.status, c.status), code = coalesce(e.code, c.code),
          rows = c.rows + e.rows, bytes = c.bytes + e.bytes, columns = c.columns || e.columns,
          masks = c.masks || e.masks, mask_values = c.mask_values || e.mask_values,
          terms = c.terms || e.terms
        from jsonb_to_recordset(${JSON.stringify(some)}::jsonb) as e (at timestamptz,
          session_id text, part text, seq integer, status text, code text, rows bigint, bytes bigint,
          columns text[], masks text[], mask_values bigint[], terms text[])
        where c.session_id = e.session_id and c.part = e.part and c.seq = e.seq
          ${known ? sql`and c.at = e.at` : sql``}`.execute(tx)
    }
  }
}

async function writeFacts(tx: Tx, parts: readonly PartChunk[]): Promise<void> {
  const rows = parts.flatMap(({ id, chunk }) =>
    chunk.facts.map(({ at, ...fact }) => ({
      ...fact,
      at: new Date(at).toISOString(),
      session_id: id.session,
      part: id.part,
    })),
  )
  for (const some of slices(rows)) {
    await sql`
      insert into fact (session_id, part, position, at, what, by_kind, actor, chain, path, subject,
        source, detail)
      select session_id, part, position, at, what, by, actor, chain, path, subject, source, detail
      from jsonb_to_recordset(${JSON.stringify(some)}::jsonb) as e (session_id text, part text,
        position integer, at timestamptz, what text, by text, actor text, chain text[], path text[],
        subject text, source text, detail jsonb)
      on conflict do nothing`.execute(tx)
  }
}

async function writeTerms(tx: Tx, terms: ReadonlySet<string>): Promise<void> {
  const rows = [...terms].map((word) => ({
    term: word,
    parts: word.startsWith(marks.object) ? parseName(word.slice(marks.object.length)) : null,
  }))
  for (const some of slices(rows)) {
    await sql`
      insert into search_term (term, parts)
      select term, parts from jsonb_to_recordset(${JSON.stringify(some)}::jsonb) as e (term text, parts text[])
      on conflict do nothing`.execute(tx)
  }
}

async function writePositions(
  tx: Tx,
  rows: readonly (IndexedPartId & { position: number; problem: string | null })[],
): Promise<void> {
  for (const some of slices(rows)) {
    await sql`
      insert into indexed_part (session_id, part, worker, run, position, problem)
      select session, part, worker, run, position, problem
      from jsonb_to_recordset(${JSON.stringify(some)}::jsonb) as e (session text, part text,
        worker integer, run integer, position integer, problem text)
      on conflict (session_id, part) do update set position = excluded.position, problem = excluded.problem`.execute(
      tx,
    )
  }
}

/** Rows that a worker's report makes too; they are here where the database was lost. */
async function writeSessions(tx: Tx, parts: readonly PartChunk[]): Promise<void> {
  const opened = parts.flatMap(({ id, chunk: { opened: each } }) => {
    // A ledger is recorded as a session is, and is none.
    if (each === undefined || isLedgerId(id.session)) return []
    const { entry, timeMs } = each
    return [
      {
        id: id.session,
        worker: entry.worker,
        connection: plain(entry.connection),
        database: plain(entry.database),
        credential: plain(entry.credential),
        chain: entry.chain.map(({ name }) => plain(name)),
        path: entry.chain.map((agent) => agent.id),
        agent: entry.chain.at(-1)?.id ?? null,
        level: entry.level,
        terms: sessionTerms(entry),
        application: plain(entry.application),
        source: plain(entry.source),
        opened: new Date(timeMs).toISOString(),
      },
    ]
  })
  for (const some of slices(opened)) {
    await sql`
      insert into session (id, worker, connection, database, credential, chain, agent_id, path, level,
        terms, application, source, opened_at)
      select id, worker, connection, database, credential, chain, agent, path, level, terms,
        application, source, opened
      from jsonb_to_recordset(${JSON.stringify(some)}::jsonb) as e (id text, worker integer,
        connection text, database text, credential text, chain jsonb, path text[], agent text,
        level integer, terms text[], application text, source text, opened timestamptz)
      on conflict do nothing`.execute(tx)
  }
  const closed = parts.flatMap(({ id, chunk: { closed: each } }) => {
    if (each === undefined) return []
    const { reason, commands, blocked, maskedValues } = each.entry
    const at = new Date(each.timeMs).toISOString()
    return [{ id: id.session, reason: plain(reason), commands, blocked, masked: maskedValues, at }]
  })
  for (const some of slices(closed)) {
    await sql`
      update session set closed_at = e.at, reason = e.reason, commands = e.commands,
        blocked = e.blocked, masked_values = e.masked
      from jsonb_to_recordset(${JSON.stringify(some)}::jsonb) as e (id text, at timestamptz,
        reason text, commands integer, blocked integer, masked integer)
      where session.id = e.id and session.closed_at is null`.execute(tx)
  }
}

function* slices<T>(rows: readonly T[]): Generator<readonly T[]> {
  for (let at = 0; at < rows.length; at += rowsPerInsert) yield rows.slice(at, at + rowsPerInsert)
}

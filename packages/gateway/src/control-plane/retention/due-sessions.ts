import { printTtl } from '@sallyport/core'
import { type Kysely, sql } from 'kysely'
import type { Tables } from '../ports/tables/tables.ts'
import { timestamp } from '../recordings/index/query/literals.ts'
import type { RetentionRules } from './retention-config.ts'

/** A session whose time is over, and what is to be done with it. */
export interface DueSession {
  readonly session: string
  readonly connection: string
  readonly chain: readonly string[]
  readonly closedAt: string
  readonly entries: number
  readonly bytes: number
  /** Which rule says so: `connection shop-db keeps 30d`. */
  readonly why: string
  /** `keep`: it is held, or not wholly in the store. */
  readonly action: 'erase' | 'keep'
  /** Why it is kept all the same. */
  readonly because?: string
}

interface Row {
  readonly session: string
  readonly connection: string
  readonly chain: string[]
  readonly closedAt: Date
  readonly entries: string
  readonly bytes: string
  readonly parts: string[]
  readonly isSealed: boolean
  readonly holds: string[]
}

/** One look takes at most this many, oldest first. */
export const dueMax = 1000

/**
 * Sessions whose time is over, oldest first. A hold is one of the table, or one that a ledger tells of and that was not
 * removed: a database that is new, or an older copy, must not let go of what is held. `inJournals` names parts of which
 * a journal still has entries, and with them the key.
 */
export async function dueSessions(
  db: Kysely<Tables>,
  rules: RetentionRules,
  { inJournals, nowMs }: { inJournals: ReadonlySet<string>; nowMs: number },
): Promise<DueSession[]> {
  const untils = [...rules.connections].map(([connection, keepMs]) => ({
    connection,
    until: keepMs === undefined ? '-infinity' : new Date(nowMs - keepMs).toISOString(),
  }))
  const otherwise = timestamp(rules.defaultMs === undefined ? -Infinity : nowMs - rules.defaultMs)
  const { rows } = await sql<Row>`
    select s.id as session, s.connection, s.chain, s.closed_at as "closedAt",
      coalesce(p.entries, 0) as entries, coalesce(p.bytes, 0) as bytes,
      coalesce(p.parts, '{}') as parts, coalesce(p.sealed, false) as "isSealed",
      array(select h.id || ': ' || h.reason from (${allHolds()}) as h
        where h.subject = s.id or h.subject = any (s.path) order by 1) as holds
    from session as s
      left join jsonb_to_recordset(${JSON.stringify(untils)}::jsonb)
        as r (connection text, until timestamptz) on r.connection = s.connection
      left join lateral (
        select sum(shipped) as entries, sum(bytes) as bytes, array_agg(part) as parts,
          bool_and(sealed_at is not null) as sealed
        from recording_part where session_id = s.id) as p on true
    where s.closed_at is not null and s.closed_at < coalesce(r.until, ${otherwise})
      and not exists (select from erasure as e where e.session_id = s.id)
    order by s.closed_at, s.id limit ${dueMax}`.execute(db)
  return rows.map((row) => {
    const because = keptBecause(row, inJournals)
    return {
      session: row.session,
      connection: row.connection,
      chain: row.chain,
      closedAt: row.closedAt.toISOString(),
      entries: Number(row.entries),
      bytes: Number(row.bytes),
      why: whyDue(row.connection, rules),
      action: because === undefined ? 'erase' : 'keep',
      ...(because === undefined ? {} : { because }),
    }
  })
}

/** All holds in force. */
export function allHolds() {
  return sql<HoldRow>`
    select id, kind, subject, reason, by_name, at from legal_hold
    union
    select a.detail ->> 'hold', a.detail ->> 'kind', a.subject, a.detail ->> 'reason', a.actor, a.at
    from fact as a where a.what = 'hold.added'
      and not exists (select from legal_hold as h where h.id = a.detail ->> 'hold')
      and not exists (select from fact as r where r.what = 'hold.removed'
        and r.detail ->> 'hold' = a.detail ->> 'hold')`
}

export interface HoldRow {
  readonly id: string
  readonly kind: 'session' | 'tree'
  readonly subject: string
  readonly reason: string
  readonly by_name: string
  readonly at: Date
}

function keptBecause(row: Row, inJournals: ReadonlySet<string>): string | undefined {
  if (row.holds.length > 0) return `held by ${row.holds.join('; ')}`
  if (!row.isSealed) return 'it is not wholly in the store'
  if (row.parts.some((part) => inJournals.has(part))) return 'a journal still has entries of it'
  return undefined
}

function whyDue(connection: string, { connections, defaultMs }: RetentionRules): string {
  const keepMs = connections.get(connection)
  if (keepMs !== undefined) return `connection ${connection} keeps ${printTtl(keepMs)}`
  return `the default keeps ${printTtl(defaultMs ?? 0)}`
}

import { type Kysely, sql } from 'kysely'
import { visibleText } from '@sallyport/core'
import type { Tables } from '../ports/tables/tables.ts'
import type { AgentFact, AgentOfIncident } from '../contract/incident-views.ts'
import type { LedgerFact } from './ledger-evidence.ts'

const agentsMax = 1000
const factsMax = 2000

/** The agents of these sessions and all above them, parents first. */
export async function agentsOf(
  db: Kysely<Tables>,
  sessions: readonly string[],
): Promise<AgentOfIncident[]> {
  if (sessions.length === 0) return []
  const { rows: ids } = await sql<{ id: string }>`
    select distinct unnest(path) as id from session where id = any (${[...sessions]}::text[])
    limit ${agentsMax}`.execute(db)
  if (ids.length === 0) return []
  const rows = await db
    .selectFrom('agent')
    .innerJoin('principal', 'principal.id', 'agent.principal')
    .selectAll('agent')
    .select(['principal.name as principal_name', 'principal.kind as principal_kind'])
    .where(
      'agent.id',
      'in',
      ids.map(({ id }) => id),
    )
    .orderBy('agent.depth')
    .orderBy('agent.created_at')
    .execute()
  const names = new Map(rows.map(({ id, name }) => [id, visibleText(name)]))
  return rows.map((row) => ({
    id: row.id,
    name: visibleText(row.name),
    chain: row.path.map((id) => names.get(id) ?? id).join(' › '),
    ...(row.parent_id === null ? {} : { parent: row.parent_id }),
    principal: visibleText(`${row.principal_name} (${row.principal_kind} ${row.principal})`),
    owner: row.owner,
    born: row.born,
    createdAt: row.created_at.toISOString(),
    state: row.state,
    ...(row.purpose === null ? {} : { purpose: visibleText(row.purpose) }),
    ...(row.ended_at === null
      ? {}
      : {
          ended: {
            at: row.ended_at.toISOString(),
            by: visibleText(row.ended_by ?? ''),
            reason: visibleText(row.end_reason ?? ''),
          },
        }),
  }))
}

/** What verified ledgers say of these agents, oldest first: births, or what stopped them. */
export function factsOf(
  facts: readonly LedgerFact[],
  agents: readonly string[],
  kinds: readonly string[],
): AgentFact[] {
  const own = facts.filter(({ subject, what }) => agents.includes(subject) && kinds.includes(what))
  return own
    .toSorted((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0))
    .slice(0, factsMax)
    .map(({ at, what, subject, actor, by, detail, ledger }) => {
      const reason = new Map(Object.entries(Object(detail))).get('reason')
      return {
        at,
        what,
        agent: subject,
        by: visibleText(actor === '' ? by : `${by} ${actor}`),
        ...(typeof reason === 'string' ? { reason: visibleText(reason) } : {}),
        ledger,
      }
    })
}

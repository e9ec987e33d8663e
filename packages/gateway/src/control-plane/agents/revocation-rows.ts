import type { AgentId, AgentState } from '@sallyport/core'
import { sql, type Transaction } from 'kysely'
import type { AgentEnd } from '../../boundary/agents.ts'
import type { Store } from '../ports/store.ts'
import type { Freeze, RevocationTable } from '../ports/tables/agent-tables.ts'
import type { Tables } from '../ports/tables/tables.ts'
import type { Actor } from './agent-events.ts'
import type { AgentNode } from './agent-node.ts'
import type { ClosureReport } from '../contract/agent-views.ts'

/** Any number that no other lock of this database has. */
const epochLock = 4_120_711

interface Epoch {
  readonly agent: AgentNode
  readonly mode: RevocationTable['mode']
  readonly by: Actor
  readonly reason: string
}

/** Epochs have no gaps and commit in order, so that a reader who has seen one has seen all before it. */
export async function nextEpoch(
  tx: Transaction<Tables>,
  { agent, mode, by, reason }: Epoch,
  agents: number,
  atMs: number,
): Promise<number> {
  await sql`select pg_advisory_xact_lock(${epochLock})`.execute(tx)
  const { epoch } = await tx
    .insertInto('revocation')
    .values((build) => ({
      epoch: sql<number>`coalesce(${build.selectFrom('revocation').select(({ fn }) => fn.max('epoch').as('last'))}, 0) + 1`,
      agent_id: agent.id,
      mode,
      by_name: by.name,
      reason,
      at: new Date(atMs),
      agents,
      report: null,
    }))
    .returning('epoch')
    .executeTakeFirstOrThrow()
  return Number(epoch)
}

export async function writeEnds(
  tx: Transaction<Tables>,
  agents: readonly AgentNode[],
  state: AgentState,
  { by, reason, atMs }: AgentEnd,
): Promise<void> {
  await tx
    .updateTable('agent')
    .set({ state, ended_at: new Date(atMs), ended_by: by, end_reason: reason })
    .where('id', '=', sql<string>`any(${agents.map(({ id }) => id)}::text[])`)
    .where('state', 'in', ['active', 'frozen'])
    .execute()
}

export async function writeFreezes(
  tx: Transaction<Tables>,
  after: ReadonlyMap<AgentNode, readonly Freeze[]>,
): Promise<void> {
  const ids = [...after.keys()].map(({ id }) => id)
  const lists = [...after.values()].map((freezes) => JSON.stringify(freezes))
  await sql`
    update agent set freezes = f.list::jsonb,
        state = case when f.list = '[]' then 'active' else 'frozen' end
      from unnest(${ids}::text[], ${lists}::text[]) as f (id, list)
      where agent.id = f.id and state in ('active', 'frozen')`.execute(tx)
}

export async function saveReport(
  store: Store,
  epoch: number,
  report: ClosureReport,
): Promise<void> {
  await store.durable((tx) =>
    tx
      .updateTable('revocation')
      .set({ report: JSON.stringify(report) })
      .where('epoch', '=', sql<string>`${epoch}`)
      .execute(),
  )
}

/** An end or a freeze as the API shows it. */
export interface RevocationView {
  readonly epoch: number
  readonly agent: AgentId
  /** Of the agent: who may read it. */
  readonly path: readonly string[]
  readonly mode: RevocationTable['mode']
  readonly by: string
  readonly reason: string
  readonly at: string
  readonly agents: number
  /** None while the workers are still asked. */
  readonly report?: ClosureReport
}

export async function readRevocation(
  store: Store,
  epoch: number,
): Promise<RevocationView | undefined> {
  const row = await store.db
    .selectFrom('revocation')
    .innerJoin('agent', 'agent.id', 'revocation.agent_id')
    .selectAll('revocation')
    .select('agent.path')
    .where('epoch', '=', sql<string>`${epoch}::bigint`)
    .executeTakeFirst()
  if (row === undefined) return undefined
  return {
    epoch,
    agent: row.agent_id as AgentId,
    path: row.path,
    mode: row.mode,
    by: row.by_name,
    reason: row.reason,
    at: row.at.toISOString(),
    agents: row.agents,
    ...(row.report === null ? {} : { report: row.report as ClosureReport }),
  }
}

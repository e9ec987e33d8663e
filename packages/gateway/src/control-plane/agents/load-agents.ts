import type { AgentId, BudgetKind, CredentialId } from '@sallyport/core'
import type { Selectable } from 'kysely'
import type { AgentTable } from '../ports/tables/agent-tables.ts'
import type { AgentContext } from './agent-context.ts'
import type { AgentNode } from './agent-node.ts'
import { fewest } from './changes-of-agents.ts'
import { KEPT_AFTER_END_MS, KEPT_AFTER_EXPIRY_MS } from './limits.ts'

/** Reads all agents that live or ended a short while ago, with everything above them, into an empty memory. */
export async function loadAgents(context: AgentContext): Promise<void> {
  const nowMs = context.now()
  const { store, tree } = context
  const rows = await store.db
    .selectFrom('agent')
    .innerJoin('principal', 'principal.id', 'agent.principal')
    .selectAll('agent')
    .select(['principal.kind', 'principal.name as principal_name', 'principal.groups'])
    .where('agent.id', 'in', (query) =>
      query
        .selectFrom('agent as kept')
        .select(({ fn }) => fn<string>('unnest', ['kept.path']).as('id'))
        .where((build) =>
          build.or([
            build('kept.state', 'in', ['active', 'frozen']),
            build('kept.ended_at', '>', new Date(nowMs - KEPT_AFTER_END_MS)),
          ]),
        ),
    )
    .orderBy('agent.depth')
    .orderBy('agent.created_at')
    .execute()
  for (const row of rows) {
    const principal = tree.principal({
      id: row.principal,
      kind: row.kind,
      name: row.principal_name,
      groups: row.groups,
    })
    tree.add(
      nodeOf(row, principal, row.parent_id === null ? undefined : tree.find(row.parent_id), nowMs),
    )
  }
  await loadBudgets(context)
  await loadHandles(context)
  await loadCredentials(context, nowMs)
}

function nodeOf(
  row: Selectable<AgentTable>,
  principal: AgentNode['principal'],
  parent: AgentNode | undefined,
  nowMs: number,
): AgentNode {
  const path: AgentNode[] = [...(parent?.path ?? [])]
  const node: AgentNode = {
    id: row.id as AgentId,
    parent,
    path,
    name: row.name,
    principal,
    owner: row.owner,
    born: row.born,
    detached: row.on_parent_end === 'detach',
    birthKey: row.birth_key ?? undefined,
    purpose: row.purpose ?? undefined,
    declared: row.declared,
    createdAtMs: row.created_at.getTime(),
    state: row.state,
    freezes: row.freezes,
    end:
      row.ended_at === null
        ? undefined
        : { by: row.ended_by ?? '', reason: row.end_reason ?? '', atMs: row.ended_at.getTime() },
    layers: fewest(row.layers),
    layersWritten: row.layers.length,
    entitlement: row.entitlement,
    limits: row.limits,
    expiresAtMs: row.expires_at.getTime(),
    budgets: new Map(),
    children: new Set(),
    liveNames: new Set(),
    liveBelow: 0,
    sessions: 0,
    credentials: 0,
    // Whoever beat before has its minute to be heard again.
    beatAtMs: row.last_beat_at === null ? undefined : nowMs,
    touchedAtMs: nowMs,
    version: 1,
  }
  path.push(node)
  return node
}

async function loadBudgets({ store, tree }: AgentContext): Promise<void> {
  const rows = await store.db
    .selectFrom('budget')
    .innerJoin('agent', 'agent.id', 'budget.agent_id')
    .selectAll('budget')
    .where('agent.state', 'in', ['active', 'frozen'])
    .execute()
  for (const { agent_id: id, kind, cap, used, reserved } of rows)
    tree
      .find(id)
      ?.budgets.set(kind as BudgetKind, { cap: Number(cap), used: Number(used), reserved })
}

async function loadHandles({ store, tree, handles }: AgentContext): Promise<void> {
  const rows = await store.db.selectFrom('agent_handle').selectAll().execute()
  for (const row of rows) {
    const agent = tree.find(row.agent_id)
    if (agent === undefined) continue
    const { id, secret_sha256: digest, bound_to: boundTo, networks } = row
    handles.set(id, { id, agent, digest, boundTo: boundTo ?? undefined, networks })
  }
}

async function loadCredentials(
  { store, tree, credentials }: AgentContext,
  nowMs: number,
): Promise<void> {
  const rows = await store.db
    .selectFrom('credential')
    .innerJoin('credential_verifier', 'credential_verifier.credential_id', 'credential.id')
    .selectAll('credential')
    .select('credential_verifier.data')
    .where('expires_at', '>', new Date(nowMs - KEPT_AFTER_EXPIRY_MS))
    .execute()
  for (const row of rows) {
    const agent = tree.find(row.agent_id)
    if (agent === undefined) continue
    agent.credentials += 1
    const id = row.id as CredentialId
    credentials.set(id, {
      id,
      connection: row.connection,
      agent,
      level: row.level,
      scram: row.data,
      expiresAtMs: row.expires_at.getTime(),
      maxUses: row.max_uses ?? undefined,
      uses: row.uses,
      pin: row.pin ?? undefined,
      sessions: 0,
      version: 1,
    })
  }
}

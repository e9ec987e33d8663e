import type { Principal } from '@sallyport/core'
import type { Insertable, Transaction } from 'kysely'
import { credentialDigest, makeSecretText } from '../credential-text.ts'
import type { AgentTable } from '../ports/tables/agent-tables.ts'
import type { Tables } from '../ports/tables/tables.ts'
import { type AgentEvent, eventRow } from './agent-events.ts'
import type { AgentNode } from './agent-node.ts'
import type { HandleNode } from './handles.ts'

/** A handle that was just made. */
export interface NewHandle {
  readonly id: string
  readonly text: string
  readonly digest: string
  readonly boundTo: string | undefined
}

export function newHandle(boundTo: string | undefined): NewHandle {
  const { id, text } = makeSecretText('spa')
  return { id, text, digest: credentialDigest(text), boundTo }
}

/** As memory keeps it. */
export function handleNode({ id, digest, boundTo }: NewHandle, agent: AgentNode): HandleNode {
  return { id, agent, digest, boundTo, networks: [] }
}

/** Writes an agent, its handle and its entry in the ledger in one statement, and its budgets. */
export async function insertBirth(
  tx: Transaction<Tables>,
  node: AgentNode,
  handle: NewHandle | undefined,
  born: AgentEvent,
): Promise<void> {
  const agent = tx.with('born', (db) => db.insertInto('agent').values(agentRow(node)))
  const all =
    handle === undefined
      ? agent
      : agent.with('held', (db) => db.insertInto('agent_handle').values(handleRow(node, handle)))
  await all.insertInto('agent_event').values(eventRow(born)).execute()
  if (node.budgets.size === 0) return
  const rows = [...node.budgets].map(([kind, { cap, reserved }]) => ({
    agent_id: node.id,
    kind,
    cap,
    used: 0,
    reserved,
  }))
  await tx.insertInto('budget').values(rows).execute()
}

function agentRow(node: AgentNode): Insertable<AgentTable> {
  return {
    id: node.id,
    root_id: (node.path[0] ?? node).id,
    parent_id: node.parent?.id ?? null,
    path: node.path.map((each) => each.id),
    depth: node.path.length - 1,
    name: node.name,
    principal: node.principal.current.id,
    owner: node.owner,
    born: node.born,
    state: node.state,
    layers: JSON.stringify(node.layers),
    entitlement: JSON.stringify(node.entitlement),
    limits: JSON.stringify(node.limits),
    purpose: node.purpose ?? null,
    declared: JSON.stringify(node.declared),
    birth_key: node.birthKey ?? null,
    freezes: '[]',
    on_parent_end: node.detached ? 'detach' : 'end',
    created_at: new Date(node.createdAtMs),
    expires_at: new Date(node.expiresAtMs),
  }
}

export async function insertHandle(
  tx: Transaction<Tables>,
  node: AgentNode,
  handle: NewHandle,
): Promise<void> {
  await tx.insertInto('agent_handle').values(handleRow(node, handle)).execute()
}

function handleRow(node: AgentNode, handle: NewHandle): Insertable<Tables['agent_handle']> {
  return {
    id: handle.id,
    agent_id: node.id,
    secret_sha256: handle.digest,
    bound_to: handle.boundTo ?? null,
    created_at: new Date(),
  }
}

export async function upsertPrincipal(
  tx: Transaction<Tables>,
  { id, kind, name, groups }: Principal,
): Promise<void> {
  const changes = { name, groups: JSON.stringify(groups) }
  await tx
    .insertInto('principal')
    .values({ id, kind, ...changes })
    .onConflict((conflict) => conflict.column('id').doUpdateSet(changes))
    .execute()
}

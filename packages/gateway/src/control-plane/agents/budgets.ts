import type { BudgetKind } from '@sallyport/core'
import { type Kysely, type RawBuilder, sql, type Transaction } from 'kysely'
import type { Lease, LeaseRequest } from '../../boundary/agents.ts'
import type { Tables } from '../ports/tables/tables.ts'
import type { AgentContext } from './agent-context.ts'
import type { AgentNode } from './agent-node.ts'

/** What a worker gets at once at most: a worker that is lost takes no more than this with it. Other kinds are taken exactly. */
export const LEASE_CHUNK: Partial<Record<BudgetKind, number>> = {
  commands: 64,
  rows: 5000,
  bytes: 1024 * 1024,
}

/** What a take left behind, for memory. */
interface Counter {
  readonly agent_id: string
  readonly kind: BudgetKind
  readonly amount: string
}

/**
 * Budgets of subtrees. What a worker was granted counts as used at once, on the agent and all above it, and what it
 * returns is taken off again: so a lease that is lost, with a worker or with the whole gateway, counts as spent.
 */
export class Budgets {
  readonly #context: AgentContext
  /** Granted and not returned, by worker, agent and kind: nobody returns more than it got. */
  readonly #leased = new Map<number, Map<string, number>>()

  constructor(context: AgentContext) {
    this.#context = context
  }

  async lease(agent: AgentNode, { amounts }: LeaseRequest, worker: number): Promise<Lease> {
    agent.touchedAtMs = this.#context.now()
    const asked = Object.entries(amounts).map(([kind, amount]): [BudgetKind, number] => {
      const known = kind as BudgetKind
      return [known, Math.min(amount, LEASE_CHUNK[known] ?? amount)]
    })
    const capped = asked.filter(([kind, amount]) => amount > 0 && isCapped(agent, kind))
    const granted = new Map<BudgetKind, number>(asked)
    if (capped.length > 0) {
      const taken = await this.#context.store.durable((tx) => takeBudget(tx, agent, capped))
      remember(agent, taken)
      for (const [kind] of capped) granted.set(kind, amountOf(taken, kind))
    }
    this.#hold(worker, agent, granted)
    const spent = capped.find(([kind]) => granted.get(kind) === 0)?.[0]
    return {
      granted: Object.fromEntries(granted),
      ...(spent === undefined ? {} : { spent: capOf(agent, spent) }),
    }
  }

  async giveBack(agent: AgentNode, { amounts }: LeaseRequest, worker: number): Promise<void> {
    const held = this.#leased.get(worker)
    const back: [BudgetKind, number][] = []
    for (const [kind, amount] of Object.entries(amounts) as [BudgetKind, number][]) {
      const key = `${agent.id} ${kind}`
      const most = held?.get(key) ?? 0
      const returned = Math.max(0, Math.min(amount, most))
      held?.set(key, most - returned)
      if (returned > 0 && isCapped(agent, kind)) back.push([kind, returned])
    }
    if (back.length === 0) return
    const given = await this.#context.store.durable((tx) => returnBudget(tx, agent, back))
    remember(agent, given, -1)
  }

  workerLost(worker: number): void {
    this.#leased.delete(worker)
  }

  /** Gives back what agents that have ended had reserved and not spent. Once: a crash before it costs the rest. */
  async free(ended: readonly AgentNode[]): Promise<void> {
    const reserving = ended.filter(({ budgets }) =>
      [...budgets.values()].some((each) => each.reserved),
    )
    // What the deepest give back may have been reserved by those above them.
    for (const agent of reserving.toSorted((left, right) => right.path.length - left.path.length)) {
      const given = await this.#context.store.durable((tx) => freeBudget(tx, agent))
      for (const counter of agent.budgets.values()) counter.reserved = false
      remember(agent, given, -1)
    }
  }

  #hold(worker: number, agent: AgentNode, granted: ReadonlyMap<BudgetKind, number>): void {
    const held = this.#leased.get(worker) ?? new Map<string, number>()
    this.#leased.set(worker, held)
    for (const [kind, amount] of granted) {
      if (amount === 0 || !isCapped(agent, kind)) continue
      const key = `${agent.id} ${kind}`
      held.set(key, (held.get(key) ?? 0) + amount)
    }
  }
}

export function isCapped(agent: AgentNode, kind: BudgetKind): boolean {
  return agent.path.some((each) => each.budgets.has(kind))
}

/** The first cap on the path, from the agent upwards, that has the least left. */
export function capOf(agent: AgentNode, kind: BudgetKind): NonNullable<Lease['spent']> {
  let least: { left: number; cap: number; agent: string } | undefined
  for (const each of agent.path.toReversed()) {
    const counter = each.budgets.get(kind)
    if (counter === undefined) continue
    const left = counter.cap - counter.used
    if (least === undefined || left < least.left)
      least = { left, cap: counter.cap, agent: each.name }
    if (counter.reserved) break
  }
  return { kind, cap: least?.cap ?? 0, agent: least?.agent ?? agent.name }
}

/**
 * Takes as much of each kind as every agent that pays has left, from all of them or from none. The rows are locked in one
 * order, so that takes that come at once wait for each other instead of meeting crosswise. Whoever reserved pays last:
 * those above did when it was born.
 */
export async function takeBudget(
  tx: Transaction<Tables> | Kysely<Tables>,
  agent: AgentNode,
  asked: readonly (readonly [BudgetKind, number])[],
): Promise<readonly Counter[]> {
  const { path, kinds, amounts } = columns(agent, asked)
  const { rows } = await sql<Counter>`
    with asked as (select * from unnest(${kinds}::text[], ${amounts}::bigint[]) as a (kind, amount)),
    ${paying(path, kinds)},
    granted as materialized (
      select kind, least(min(cap - used), min(amount)) as amount
        from paying join asked using (kind) group by kind)
    update budget b set used = b.used + g.amount
      from paying p join granted g using (kind) where b.agent_id = p.agent_id and b.kind = p.kind
      returning b.agent_id, b.kind, g.amount`.execute(tx)
  return rows
}

async function returnBudget(
  tx: Transaction<Tables>,
  agent: AgentNode,
  amounts: readonly (readonly [BudgetKind, number])[],
): Promise<readonly Counter[]> {
  const given = columns(agent, amounts)
  const { rows } = await sql<Counter>`
    with given as (
      select * from unnest(${given.kinds}::text[], ${given.amounts}::bigint[]) as a (kind, amount)),
    ${paying(given.path, given.kinds)}
    update budget b set used = greatest(0, b.used - g.amount)
      from paying p join given g using (kind) where b.agent_id = p.agent_id and b.kind = p.kind
      returning b.agent_id, b.kind, g.amount`.execute(tx)
  return rows
}

/** What an agent reserved and has not spent goes back to those that paid for it; it is their budget again that it spends. */
async function freeBudget(tx: Transaction<Tables>, agent: AgentNode): Promise<readonly Counter[]> {
  const kinds = [...agent.budgets].filter(([, { reserved }]) => reserved).map(([kind]) => kind)
  const { path } = columns(agent, [])
  const above = path.slice(0, -1)
  const { rows } = await sql<Counter>`
    with ${locked(path, kinds)},
    rest as materialized (
      select kind, cap - used as amount from locked where agent_id = ${agent.id} and reserved),
    payers as materialized (
      select l.agent_id, l.kind from locked l join rest using (kind)
        where l.agent_id = any(${above}::text[]) and l.at >= coalesce((
          select max(r.at) from locked r
            where r.kind = l.kind and r.reserved and r.agent_id = any(${above}::text[])), 0)),
    freed as (
      update budget b set reserved = false
        from rest r where b.agent_id = ${agent.id} and b.kind = r.kind returning b.kind)
    update budget b set used = greatest(0, b.used - r.amount)
      from payers p join rest r using (kind) where b.agent_id = p.agent_id and b.kind = p.kind
      returning b.agent_id, b.kind, r.amount`.execute(tx)
  return rows
}

/** The counters of a path, held until the transaction ends, with their depth. */
function locked(path: readonly string[], kinds: readonly string[]): RawBuilder<unknown> {
  return sql`
    locked as materialized (
      select agent_id, kind, cap, used, reserved, array_position(${path}::text[], agent_id) as at
        from budget
        where agent_id = any(${path}::text[]) and kind = any(${kinds}::text[])
        order by agent_id, kind for update)`
}

/** Of these, for each kind, those from the nearest one that reserved downwards. Read under the lock: a reservation may end meanwhile. */
function paying(path: readonly string[], kinds: readonly string[]): RawBuilder<unknown> {
  return sql`${locked(path, kinds)},
    paying as materialized (
      select * from locked l where l.at >= coalesce(
        (select max(r.at) from locked r where r.kind = l.kind and r.reserved), 0))`
}

function columns(
  agent: AgentNode,
  amounts: readonly (readonly [BudgetKind, number])[],
): { path: string[]; kinds: string[]; amounts: number[] } {
  return {
    path: agent.path.map((each) => each.id),
    kinds: amounts.map(([kind]) => kind),
    amounts: amounts.map(([, amount]) => amount),
  }
}

/** Adds what was taken to memory. Answers may arrive in another order than the store made them in; sums don't mind. */
export function remember(agent: AgentNode, counters: readonly Counter[], sign: 1 | -1 = 1): void {
  for (const { agent_id: id, kind, amount } of counters) {
    const counter = agent.path.find((each) => each.id === id)?.budgets.get(kind)
    if (counter !== undefined) counter.used += sign * Number(amount)
  }
}

export function amountOf(counters: readonly Counter[], kind: BudgetKind): number {
  return Number(counters.find((each) => each.kind === kind)?.amount ?? 0)
}

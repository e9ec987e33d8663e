import { randomBytes } from 'node:crypto'
import {
  type AgentId,
  type Budget,
  type BudgetKind,
  type GrantLayer,
  makeId,
  SallyportError,
} from '@sallyport/core'
import type { Transaction } from 'kysely'
import type { Committed } from '../ports/store.ts'
import type { Tables } from '../ports/tables/tables.ts'
import type { AgentContext } from './agent-context.ts'
import { type Actor, actorOf, type AgentEvent } from './agent-events.ts'
import { type AgentNode, chainOf, isLive } from './agent-node.ts'
import type { RootRequest, Spawned, SpawnRequest } from './agent-requests.ts'
import { viewOf } from './agent-views.ts'
import { authorize } from './authorize-agent.ts'
import { handleNode, insertBirth, insertHandle, newHandle, upsertPrincipal } from './birth-rows.ts'
import type { HandleNode } from './handles.ts'
import { limited } from '../ledger/told-facts.ts'
import { amountOf, isCapped, remember, takeBudget } from './budgets.ts'
import { fitLayers } from './grant-asks.ts'
import { LAYERS_MAX, PURPOSE_CHARACTERS_MAX, TTL } from './limits.ts'
import {
  ChildAsk,
  checkedName,
  childName,
  checkedText,
  checkRoom,
  freeName,
  invalid,
  rootLimits,
  SpawnRates,
} from './spawn-rules.ts'

/** Runs in the transaction of a birth, once the agent's row is there. */
export type AlsoInBirth = (tx: Transaction<Tables>, agent: AgentNode) => Promise<void>

/** Makes roots and children. */
export class Births {
  /** Told where a birth was asked for again by somebody who may be another. */
  rotated: ((made: HandleNode, former: readonly HandleNode[]) => void) | undefined
  readonly #context: AgentContext
  readonly #rates: SpawnRates

  constructor(context: AgentContext) {
    this.#context = context
    this.#rates = new SpawnRates(context.spawnsPerSecond, (why, subject) => {
      void context.ledger.write(limited(why, subject))
    })
  }

  createRoot(request: RootRequest, by: Actor): Promise<Spawned> {
    return this.#inTurn(async () => {
      const known = this.#rootOfKey(request.key)
      if (known !== undefined) return this.#again(known, request)
      const nowMs = this.#context.now()
      const ttlMs = rootTtl(request)
      const { entitlement = [] } = request
      checkLayers(request.layers, entitlement.length === 0 ? 1 : 0)
      const principal = this.#context.tree.principal(request.principal)
      const node = newNode({
        parent: undefined,
        name: checkedName(request.name),
        principal,
        owner: request.owner,
        born: request.born,
        layers: request.layers,
        entitlement,
        limits: rootLimits(request.delegate, ttlMs),
        budget: request.budget,
        detached: false,
        birthKey: request.key,
        purpose: undefined,
        declared: request.declared ?? {},
        nowMs,
        expiresAtMs: nowMs + ttlMs,
      })
      const upsert: AlsoInBirth = (tx) => upsertPrincipal(tx, request.principal)
      const spawned = await this.#bear(node, request, [], by, undefined, upsert)
      this.#changePrincipal(principal, request.principal)
      return spawned
    })
  }

  spawn(
    parent: AgentNode,
    request: SpawnRequest,
    by: Actor = actorOf(parent),
    also?: AlsoInBirth,
  ): Promise<Spawned> {
    return this.#inTurn(async () => {
      const nowMs = this.#context.now()
      authorize(parent, nowMs)
      parent.touchedAtMs = nowMs
      const known = childOfKey(parent, request.key)
      if (known !== undefined) return this.#again(known, request)
      const wanted = childName(parent, request, this.#context.owner)
      checkLayers(request.layers, 0)
      checkRoom(parent, wanted)
      // What is refused counts too: grants that someone made up take long to compare.
      this.takeRate(parent, wanted, nowMs)
      const ask = new ChildAsk(parent, request)
      const { layers, cut } = fitLayers(parent, wanted, request.layers, request.cut === true)
      const node = newNode({
        parent,
        name: freeName(wanted, parent.liveNames),
        principal: parent.principal,
        owner: parent.owner,
        born: request.born,
        layers,
        entitlement: [],
        limits: ask.limits(),
        budget: ask.budget(),
        reserve: request.reserve === true,
        detached: ask.detached(),
        birthKey: request.key,
        purpose: checkedPurpose(request.purpose),
        declared: request.declared ?? {},
        nowMs,
        expiresAtMs: ask.expiresAtMs(nowMs),
      })
      return this.#bear(node, request, [...cut, ...ask.cut], by, also)
    })
  }

  /** Throws where a tree asks too fast. */
  takeRate(parent: AgentNode, name: string, nowMs: number): void {
    this.#rates.take(parent, name, nowMs)
  }

  /** Replaces what the `Grant` objects allow a root. Its layers stay. */
  setEntitlement(root: AgentNode, layers: readonly GrantLayer[]): Promise<void> {
    return this.#context.serial.runUrgent(async () => {
      if (root.parent !== undefined || layers.length === 0)
        throw invalid('only a root has an entitlement, and it is never empty')
      const entitlement = JSON.stringify(layers)
      if (entitlement === JSON.stringify(root.entitlement)) return
      await this.#context.store.durable((tx) =>
        tx.updateTable('agent').set({ entitlement }).where('id', '=', root.id).execute(),
      )
      root.entitlement = layers
      this.#context.log.commit({ agents: [root] })
    })
  }

  /** The groups of a principal are looked up when a command is judged, so a change reaches all its trees. */
  updatePrincipal(principal: RootRequest['principal']): Promise<void> {
    return this.#context.serial.runUrgent(async () => {
      await this.#context.store.durable((tx) => upsertPrincipal(tx, principal))
      this.#changePrincipal(this.#context.tree.principal(principal), principal)
    })
  }

  /** One birth commits after the other, but they reach the disk together. */
  async #inTurn(birth: () => Promise<Committed<Spawned>>): Promise<Spawned> {
    const { value, onDisk } = await this.#context.serial.run(birth)
    await onDisk
    return value
  }

  async #bear(
    node: AgentNode,
    asked: HandleAsk,
    cut: readonly string[],
    by: Actor,
    also?: AlsoInBirth,
    before?: AlsoInBirth,
  ): Promise<Committed<Spawned>> {
    const { store, events, tree, log, handles } = this.#context
    const handle = asked.handle ? newHandle(asked.boundTo) : undefined
    const event: AgentEvent = {
      kind: 'born',
      agent: node,
      by,
      atMs: node.createdAtMs,
      detail: { born: node.born, chain: chainOf(node), cut },
    }
    const {
      value: { taken, recorded },
      onDisk,
    } = await store.commit(async (tx) => {
      await before?.(tx, node)
      const reserved = await reserveAbove(tx, node)
      await insertBirth(tx, node, handle, event)
      await also?.(tx, node)
      // Not awaited here: births that follow each other share what waits for the disk.
      return { taken: reserved, recorded: [events.record(event)] }
    })
    if (node.parent !== undefined) remember(node.parent, taken)
    tree.add(node)
    if (handle !== undefined) handles.set(handle.id, handleNode(handle, node))
    log.commit({ agents: [node] })
    events.tell([event])
    const shown = handle === undefined ? {} : { handle: handle.text }
    const both = Promise.all([onDisk, ...recorded]).then(() => undefined)
    both.catch(() => undefined)
    return { value: { agent: viewOf(node), ...shown, cut }, onDisk: both }
  }

  /** The answer of the first birth may have been lost, so its handle is replaced and not kept beside the new one. */
  async #again(node: AgentNode, asked: HandleAsk): Promise<Committed<Spawned>> {
    if (!asked.handle) return { value: { agent: viewOf(node), cut: [] }, onDisk: Promise.resolve() }
    const { store, handles } = this.#context
    const handle = newHandle(asked.boundTo)
    const { onDisk } = await store.commit(async (tx) => {
      await tx.deleteFrom('agent_handle').where('agent_id', '=', node.id).execute()
      await insertHandle(tx, node, handle)
    })
    const former = [...handles.values()].filter(({ agent }) => agent === node)
    for (const { id } of former) handles.delete(id)
    const made = handleNode(handle, node)
    handles.set(handle.id, made)
    // Whoever asks again with the key of before is who asked before.
    if (former.some(({ boundTo }) => boundTo === undefined || boundTo !== handle.boundTo))
      this.rotated?.(made, former)
    return { value: { agent: viewOf(node), handle: handle.text, cut: [] }, onDisk }
  }

  #rootOfKey(key: string | undefined): AgentNode | undefined {
    if (key === undefined) return undefined
    for (const node of this.#context.tree.all())
      if (node.parent === undefined && node.birthKey === key && isLive(node)) return node
    return undefined
  }

  #changePrincipal(holder: AgentNode['principal'], principal: RootRequest['principal']): void {
    if (JSON.stringify(holder.current) === JSON.stringify(principal)) return
    holder.current = principal
    const agents = [...this.#context.tree.all()].filter((node) => node.principal === holder)
    this.#context.log.commit({ agents })
  }
}

type HandleAsk = Pick<SpawnRequest, 'handle' | 'boundTo'>

/** Takes what a child reserves from those above, all of it or nothing. */
async function reserveAbove(
  tx: Transaction<Tables>,
  { parent, name, budgets }: AgentNode,
): ReturnType<typeof takeBudget> {
  if (parent === undefined) return []
  const asked = [...budgets].flatMap(([kind, { cap, reserved }]) =>
    reserved && cap > 0 && isCapped(parent, kind) ? [[kind, cap] as const] : [],
  )
  if (asked.length === 0) return []
  const taken = await takeBudget(tx, parent, asked)
  for (const [kind, cap] of asked) {
    const left = amountOf(taken, kind)
    if (left === cap) continue
    const detail = `cannot spawn "${name}": it reserves ${kind}=${cap}, of which ${left} are left above it`
    throw new SallyportError('SP_BUDGET_SPENT', detail, { detail })
  }
  return taken
}

type Newborn = Pick<
  AgentNode,
  | 'parent'
  | 'name'
  | 'principal'
  | 'owner'
  | 'born'
  | 'layers'
  | 'entitlement'
  | 'limits'
  | 'detached'
  | 'birthKey'
  | 'purpose'
  | 'declared'
  | 'expiresAtMs'
> & { readonly budget: Budget; readonly reserve?: boolean; readonly nowMs: number }

function newNode({ budget, reserve = false, nowMs, ...fixed }: Newborn): AgentNode {
  const path: AgentNode[] = [...(fixed.parent?.path ?? [])]
  const caps = Object.entries(budget) as [BudgetKind, number][]
  const node: AgentNode = {
    ...fixed,
    id: makeId<AgentId>('a', randomBytes),
    path,
    state: 'active',
    freezes: [],
    end: undefined,
    layersWritten: fixed.layers.length,
    createdAtMs: nowMs,
    budgets: new Map(caps.map(([kind, cap]) => [kind, { cap, used: 0, reserved: reserve }])),
    children: new Set(),
    liveNames: new Set(),
    liveBelow: 0,
    sessions: 0,
    credentials: 0,
    beatAtMs: undefined,
    touchedAtMs: nowMs,
    version: 0,
  }
  path.push(node)
  return node
}

function childOfKey(parent: AgentNode, key: string | undefined): AgentNode | undefined {
  if (key === undefined) return undefined
  for (const child of parent.children) if (child.birthKey === key && isLive(child)) return child
  return undefined
}

function rootTtl({ principal, ttlMs }: RootRequest): number {
  const most = principal.kind === 'workload' ? TTL.workloadRootMaxMs : TTL.rootMaxMs
  if (Number.isSafeInteger(ttlMs) && ttlMs > 0 && ttlMs <= most) return ttlMs
  throw invalid(`ttl must be at least 1 ms and at most ${most / 1000} s`)
}

function checkLayers(layers: readonly unknown[], least: number): void {
  if (layers.length >= least && layers.length <= LAYERS_MAX) return
  throw invalid(`a grant has ${least} to ${LAYERS_MAX} layers`)
}

function checkedPurpose(purpose: string | undefined): string | undefined {
  return purpose === undefined
    ? undefined
    : checkedText('a purpose', purpose, PURPOSE_CHARACTERS_MAX)
}

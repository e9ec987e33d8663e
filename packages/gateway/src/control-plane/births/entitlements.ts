import {
  hoursHold,
  matchesAny,
  parseHours,
  type AgentId,
  type Budget,
  type BudgetKind,
  type DelegateLimits,
  type GrantClient,
  type GrantLayer,
  type GrantWindow,
  type Permission,
  type Principal,
} from '@sallyport/core'
import { LIMITS_DEFAULT } from '../agents/limits.ts'
import { type Grant, type IdentityConfig, loginProviders } from './config/identity-config.ts'
import { permissionOf } from './config/read-grant.ts'
import type { BirthAgents, ListConnections, LoginGate } from './ports.ts'

/** What all `Grant` objects that name a principal allow together. */
export interface Entitlement {
  /** The conjunction of these; never empty. */
  readonly layers: readonly GrantLayer[]
  readonly budget: Budget
  readonly delegate: DelegateLimits
}

export interface EntitlementOptions {
  readonly config: () => IdentityConfig
  readonly connections: ListConnections
  readonly agents: Pick<BirthAgents, 'liveRoots' | 'setEntitlement' | 'setGroups'>
  /** Which of the groups that a provider states a person really has. */
  readonly gate: Pick<LoginGate, 'groupsOf'>
  readonly now?: () => number
  readonly onFault: (error: unknown) => void
}

type LiveRoot = { readonly id: AgentId; readonly principal: Principal }
type NamedConnections = Awaited<ReturnType<ListConnections>>

/** Windows open and close at whole minutes. */
const minuteMs = 60_000

/** Keeps what every live root holds equal to what the `Grant` objects say now: who loses a group loses its rights with it. */
export class Entitlements {
  readonly #options: EntitlementOptions
  readonly #now: () => number
  /** What was set last, so that only changes are written. */
  readonly #known = new Map<AgentId, string>()
  /** A change has not reached every root yet. */
  #isBehind = false
  #running: Promise<void> = Promise.resolve()
  #timer: NodeJS.Timeout | undefined

  constructor(options: EntitlementOptions) {
    this.#options = options
    this.#now = options.now ?? Date.now
    this.#wait()
  }

  /** What a principal may hold at this moment. */
  async of(principal: Principal): Promise<Entitlement> {
    return this.#of(principal, await this.#options.connections())
  }

  /** After a birth: what was looked up before it may have changed meanwhile, when the root was not there to be changed. */
  async settle(root: AgentId, principal: Principal, born: Entitlement): Promise<void> {
    const { layers } = await this.of(principal)
    if (JSON.stringify(layers) === JSON.stringify(born.layers)) return
    await this.#options.agents.setEntitlement(root, layers)
    this.#known.delete(root)
  }

  /** The provider says which groups a person is in now; the roots of the person follow. */
  setGroups(principal: Pick<Principal, 'id' | 'name'>, stated: readonly string[]): Promise<void> {
    return this.#inOrder(async () => {
      const { agents, gate } = this.#options
      // Asked for in its turn: an answer from before a loss of groups must not be written after it.
      await agents.setGroups(principal.id, await gate.groupsOf(principal, stated))
      await this.#refresh()
    })
  }

  /** Takes groups away from the people that are meant; gives none. */
  narrow(isMeant: (root: LiveRoot) => boolean, isKept: (group: string) => boolean): Promise<void> {
    return this.#inOrder(async () => {
      const { agents } = this.#options
      const people = new Map<string, Principal>()
      for (const root of agents.liveRoots())
        if (isMeant(root)) people.set(root.principal.id, root.principal)
      for (const person of people.values()) {
        const groups = person.groups.filter(isKept)
        if (groups.length < person.groups.length) await agents.setGroups(person.id, groups)
      }
      await this.#refresh()
    })
  }

  /** Looks at every live root again: after a change of the files, of a connection, or of groups. */
  refresh(): Promise<void> {
    return this.#inOrder(() => this.#refresh())
  }

  #inOrder(change: () => Promise<void>): Promise<void> {
    const run = this.#running.then(change)
    this.#running = run.catch(() => {})
    return run
  }

  close(): void {
    clearTimeout(this.#timer)
  }

  async #refresh(): Promise<void> {
    this.#isBehind = true
    const connections = await this.#options.connections()
    const live = new Set<AgentId>()
    let failures = 0
    for (const { id, principal } of this.#options.agents.liveRoots()) {
      if (!isGoverned(principal)) continue
      live.add(id)
      try {
        await this.#set(id, this.#of(principal, connections).layers)
      } catch (error) {
        // One root that can't be changed must not keep what others have lost.
        failures += 1
        this.#options.onFault(error)
      }
    }
    for (const id of this.#known.keys()) if (!live.has(id)) this.#known.delete(id)
    this.#isBehind = failures > 0
  }

  async #set(root: AgentId, layers: readonly GrantLayer[]): Promise<void> {
    const text = JSON.stringify(layers)
    if (this.#known.get(root) === text) return
    await this.#options.agents.setEntitlement(root, layers)
    this.#known.set(root, text)
  }

  #of(principal: Principal, connections: NamedConnections): Entitlement {
    const config = this.#options.config()
    const names = namesOf(principal, config)
    const grants = [...config.grants.values()].filter(
      (grant) => grant.to.some((who) => names.has(who)) && isOpen(grant.window, this.#now()),
    )
    return {
      layers: layersOf(grants, connections),
      budget: smallest(grants.map(({ budget }) => budget)),
      delegate: tightest(grants.map(({ delegate }) => delegate)),
    }
  }

  /** Grants with windows join and leave the union at their minute. A window in a layer could only narrow all grants alike. */
  #wait(): void {
    const rest = minuteMs - (Date.now() % minuteMs)
    this.#timer = setTimeout(() => {
      this.#wait()
      const hasWindow = [...this.#options.config().grants.values()].some(
        (grant) => grant.window !== undefined,
      )
      if (hasWindow || this.#isBehind) this.refresh().catch(this.#options.onFault)
    }, rest)
    this.#timer.unref()
  }
}

/** The id of a person, as a provider knows it. */
export function humanId(issuer: string, subject: string): string {
  return `oidc:${issuer}|${subject}`
}

/** The id of a person who logged in by SAML. */
export function samlId(entityId: string, nameId: string): string {
  return `saml:${entityId}|${nameId}`
}

/** Issuer and subject of a person's id. No issuer has a bar; subjects may. */
export function partsOfPerson(id: string): { readonly issuer: string; readonly subject: string } {
  const bar = id.indexOf('|')
  return { issuer: id.slice(id.indexOf(':') + 1, bar), subject: id.slice(bar + 1) }
}

/** The id of everything that a trust rule lets in. */
export function workloadId(rule: string): string {
  return `trust:${rule}`
}

/** The id of a service, as `Grant` objects name it. */
export function serviceId(name: string): string {
  return `service:${name}`
}

/** Roots of the local owner have no `Grant` objects. */
function isGoverned({ id }: Principal): boolean {
  return ['oidc:', 'saml:', 'trust:', 'service:'].some((kind) => id.startsWith(kind))
}

/** A person whose provider was removed has no names left. A rule that is gone is named by no grant: the files would be refused. */
function namesOf(principal: Principal, config: IdentityConfig): ReadonlySet<string> {
  if (principal.kind !== 'human') return new Set([principal.id])
  const { issuer } = partsOfPerson(principal.id)
  const isKnown = loginProviders(config).some((provider) => provider.issuer === issuer)
  if (!isKnown) return new Set()
  return new Set([`user:${principal.name}`, ...principal.groups.map((group) => `group:${group}`)])
}

function isOpen(window: GrantWindow | undefined, nowMs: number): boolean {
  if (window === undefined) return true
  if (window.afterMs !== undefined && nowMs < window.afterMs) return false
  if (window.beforeMs !== undefined && nowMs >= window.beforeMs) return false
  if (window.hours === undefined) return true
  const hours = parseHours(window.hours)
  return typeof hours !== 'string' && hoursHold(hours, nowMs)
}

/** The union is one layer. Conditions on the client can't be a union in layers, so all of them have to hold: narrower, never wider. */
function layersOf(grants: readonly Grant[], connections: NamedConnections): readonly GrantLayer[] {
  const permits = grants.flatMap((grant) => permitsOf(grant, connections))
  const clients = new Map<string, GrantClient>()
  for (const { client } of grants)
    if (client !== undefined) clients.set(JSON.stringify(client), client)
  if (clients.size === 0) return [{ permits }]
  return [...clients.values()].map((client) => ({ permits, client }))
}

function permitsOf(grant: Grant, connections: NamedConnections): Permission[] {
  return grant.on.flatMap((target) => {
    const wanted = Object.entries(target.labels)
    if (wanted.length === 0) return [permissionOf(target, target.connections, grant.classes)]
    const names = connections
      .filter(({ labels }) =>
        wanted.every(([key, value]) => Object.hasOwn(labels, key) && labels[key] === value),
      )
      .map(({ name }) => name)
      .filter((name) => target.connections.length === 0 || matchesAny(target.connections, name))
    return names.length === 0 ? [] : [permissionOf(target, names, grant.classes)]
  })
}

/** A cap that one grant states holds for the whole tree, or the next grant without one would lift it. */
function smallest(budgets: readonly Budget[]): Budget {
  return budgets.reduce(smallerBudget, {})
}

/** The smaller cap of each kind. */
export function smallerBudget(one: Budget, other: Budget): Budget {
  const kinds = [...new Set([...Object.keys(one), ...Object.keys(other)])] as BudgetKind[]
  return Object.fromEntries(
    kinds.map((kind) => [kind, Math.min(one[kind] ?? Infinity, other[kind] ?? Infinity)]),
  )
}

/** What is held, less what was asked to be left out. Asking for a limit that nobody stated gives no more than the gateway's default. */
export function askedOf(held: DelegateLimits, ask: DelegateLimits): DelegateLimits {
  const { depth, children, agents } = LIMITS_DEFAULT
  const most: DelegateLimits = { depth, children, agents, detach: false, ...held }
  const asked = tightest([most, ask])
  return Object.fromEntries(
    Object.entries(asked).filter(([name]) => Object.hasOwn(held, name) || Object.hasOwn(ask, name)),
  )
}

/** The tightest of the limits that are stated. */
export function tightest(limits: readonly DelegateLimits[]): DelegateLimits {
  const result: { -readonly [K in keyof DelegateLimits]: DelegateLimits[K] } = {}
  for (const each of limits) {
    for (const name of ['depth', 'children', 'agents', 'ttlMs'] as const) {
      const value = each[name]
      if (value !== undefined) result[name] = Math.min(result[name] ?? value, value)
    }
    if (each.detach !== undefined) result.detach = (result.detach ?? true) && each.detach
  }
  return result
}

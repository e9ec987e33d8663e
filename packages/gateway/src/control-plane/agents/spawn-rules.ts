import {
  type Budget,
  type BudgetKind,
  type DelegateLimits,
  printTtl,
  SallyportError,
} from '@sallyport/core'
import type { AgentLimits } from '../ports/tables/agent-tables.ts'
import { RateError, Rates } from '../rates.ts'
import { type AgentNode, describe } from './agent-node.ts'
import type { SpawnRequest } from './agent-requests.ts'
import { LIMITS_DEFAULT, LIMITS_MAX, TTL } from './limits.ts'

const namePattern = /^[a-z0-9][a-z0-9-]{0,31}$/
/** An ask for as long as the parent has left is late by the time it took to send. */
const ttlToleranceMs = 60_000

export function checkedName(name: string): string {
  if (namePattern.test(name)) return name
  throw invalid('a name has 1 to 32 characters of a-z, 0-9 and -, and begins with no -')
}

/** Who else does things to agents, as messages name them: people of the operator, the gateway, its timers and findings. */
const namesOfOthers = new Set(
  'admin administrator gateway heartbeat operator owner root sallyport security system time'.split(
    ' ',
  ),
)

/**
 * The name of a child, unless "revoked by <name>" would read as if a person or the gateway had done it. A platform's own
 * name for a job can't be asked for again, so that one is changed.
 */
export function childName(parent: AgentNode, request: SpawnRequest, owner: string): string {
  const name = checkedName(request.name)
  const root = parent.path[0] ?? parent
  const people = [
    owner,
    root.principal.current.name,
    root.principal.current.name.split('@')[0] ?? '',
  ]
  const isSomebody =
    namesOfOthers.has(name) ||
    /^s\d+$/.test(name) ||
    name === root.name ||
    people.some((each) => rootName(each) === name)
  if (!isSomebody) return name
  if (request.born === 'attach') return `agent-${name}`.slice(0, 32)
  throw invalid(`the name "${name}" reads as a person or as the gateway. Choose another`)
}

/** The name of a person or a service, as the name of a root. */
export function rootName(text: string): string {
  const name = text
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-+|-+$/g, '')
  return name.slice(0, 32) || 'root'
}

/** `scout`, or `scout#2` where a living sibling has that name. */
export function freeName(name: string, taken: ReadonlySet<string>): string {
  if (!taken.has(name)) return name
  for (let number = 2; ; number += 1) {
    const next = `${name}#${number}`
    if (!taken.has(next)) return next
  }
}

/** Refuses a child that would make the tree too deep, the family too large or the tree too large. */
export function checkRoom(parent: AgentNode, name: string): void {
  const depth = parent.path.length
  for (const each of parent.path) {
    const deepest = Math.min(each.path.length - 1 + each.limits.depth, LIMITS_MAX.depth)
    if (depth > deepest)
      throw refusal(
        'SP_SPAWN_DEPTH',
        `cannot spawn "${name}": depth ${deepest} is the limit for this tree`,
      )
  }
  const { children } = parent.limits
  if (parent.liveNames.size >= children) {
    const have = `${parent.name} has ${parent.liveNames.size} live children (limit ${children})`
    throw refusal('SP_SPAWN_LIMIT', `cannot spawn "${name}": ${have}`)
  }
  for (const each of parent.path) {
    if (each.liveBelow < each.limits.agents) continue
    const have = `${each.liveBelow} agents live in the tree of ${each.name} (limit ${each.limits.agents})`
    throw refusal('SP_SPAWN_LIMIT', `cannot spawn "${name}": ${have}`)
  }
}

export function rootLimits(ask: DelegateLimits, ttlMs: number): AgentLimits {
  return {
    depth: counted('depth', ask.depth, LIMITS_DEFAULT.depth, LIMITS_MAX.depth),
    children: counted('children', ask.children, LIMITS_DEFAULT.children, LIMITS_MAX.children),
    agents: counted('agents', ask.agents, LIMITS_DEFAULT.agents, LIMITS_MAX.agents),
    ttlMs: counted('ttl', ask.ttlMs, ttlMs, TTL.rootMaxMs),
    detach: ask.detach ?? false,
  }
}

/** What a child may have of its parent's things; says what was cut, or refuses. */
export class ChildAsk {
  readonly cut: string[] = []
  readonly #parent: AgentNode
  readonly #request: SpawnRequest

  constructor(parent: AgentNode, request: SpawnRequest) {
    this.#parent = parent
    this.#request = request
  }

  limits(): AgentLimits {
    const { limits } = this.#parent
    const ask = this.#request.delegate ?? {}
    const least = (name: string, asked: number | undefined, most: number): number =>
      this.#atMost(`${name} ${asked}`, counted(name, asked, most, Number.MAX_SAFE_INTEGER), most)
    return {
      depth: least('depth', ask.depth, Math.max(0, limits.depth - 1)),
      children: least('children', ask.children, limits.children),
      agents: least('agents', ask.agents, limits.agents),
      ttlMs: least('delegated ttl', ask.ttlMs, limits.ttlMs),
      detach: this.#detach(ask.detach ?? false),
    }
  }

  /** Only a root's grant can give leave to outlive a parent. */
  detached(): boolean {
    return this.#detach(this.#request.detach ?? false)
  }

  budget(): Budget {
    const caps: Partial<Record<BudgetKind, number>> = {}
    for (const [kind, cap] of Object.entries(this.#request.budget ?? {}) as [
      BudgetKind,
      number,
    ][]) {
      const above = this.#parent.path.flatMap((each) => each.budgets.get(kind)?.cap ?? [])
      const asked = counted(kind, cap, 0, Number.MAX_SAFE_INTEGER)
      caps[kind] = this.#atMost(
        `${kind}=${asked}`,
        asked,
        Math.min(...above, Number.MAX_SAFE_INTEGER),
      )
    }
    return caps
  }

  expiresAtMs(nowMs: number): number {
    const rest = Math.min(this.#parent.expiresAtMs - nowMs, this.#parent.limits.ttlMs)
    const asked = this.#request.ttlMs
    if (asked === undefined) return nowMs + Math.min(rest, TTL.childDefaultMs)
    const ttl = counted('ttl', asked, 0, Number.MAX_SAFE_INTEGER)
    if (ttl === 0) throw invalid('ttl must be longer than nothing')
    if (ttl <= rest + ttlToleranceMs) return nowMs + Math.min(ttl, rest)
    return nowMs + this.#atMost(`ttl ${printTtl(ttl)}`, ttl, rest)
  }

  #detach(asked: boolean): boolean {
    if (!asked || this.#parent.path[0]?.limits.detach === true) return asked
    this.#exceeds('detach')
    return false
  }

  #atMost(what: string, asked: number, most: number): number {
    if (asked <= most) return asked
    this.#exceeds(what)
    return most
  }

  #exceeds(what: string): void {
    if (this.#request.cut !== true)
      throw exceeds(this.#request.name, `${what}, which ${describe(this.#parent)} does not hold`)
    this.cut.push(what)
  }
}

export function exceeds(name: string, what: string): SallyportError {
  return refusal('SP_GRANT_EXCEEDS_PARENT', `cannot spawn "${name}": asks for ${what}`)
}

/** How fast each tree may spawn. */
export class SpawnRates {
  readonly #rates: Rates
  readonly #onLimit: (what: string, root: string) => void

  constructor(perSecond: number, onLimit: (what: string, root: string) => void) {
    this.#onLimit = onLimit
    this.#rates = new Rates({ perSecond, burst: perSecond })
  }

  take(parent: AgentNode, name: string, nowMs: number): void {
    const { id: root } = parent.path[0] ?? parent
    const waitMs = this.#rates.wait(root, nowMs)
    if (waitMs === 0) return
    this.#onLimit('this tree spawns too fast', root)
    throw new RateError(
      'SP_SPAWN_LIMIT',
      `cannot spawn "${name}": this tree spawns too fast`,
      waitMs,
    )
  }
}

function counted(name: string, asked: number | undefined, otherwise: number, most: number): number {
  const value = asked ?? otherwise
  if (Number.isSafeInteger(value) && value >= 0 && value <= most) return value
  throw invalid(`${name} must be a whole number from 0 to ${most}`)
}

function refusal(
  code: 'SP_SPAWN_DEPTH' | 'SP_SPAWN_LIMIT' | 'SP_GRANT_EXCEEDS_PARENT',
  detail: string,
): SallyportError {
  return new SallyportError(code, detail, { detail })
}

/** What no line of a ledger or a terminal should hold: controls, halves of letters, and marks that turn the reading direction. */
const unfit = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u{202A}-\u{202E}\u{2066}-\u{2069}]/u

/** A text that a caller wrote and that others will read. */
export function checkedText(what: string, text: string, charactersMax: number): string {
  if (text.length > charactersMax) throw invalid(`${what} has at most ${charactersMax} characters`)
  if (unfit.test(text)) throw invalid(`${what} has characters that cannot be seen`)
  return text
}

export function invalid(detail: string): SallyportError {
  return new SallyportError('SP_CONFIG_INVALID', detail, { detail })
}

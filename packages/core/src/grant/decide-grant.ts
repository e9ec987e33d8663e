import type { Chain, ChainAgent } from '../chain.ts'
import type { Access, EffectClass, Effects, ObjectName } from '../command.ts'
import { CompiledLayer } from './compile-layer.ts'

/** Who opens a session on what, when and from where. */
export interface OpeningRequest {
  readonly connection: string
  /** Milliseconds since the epoch. */
  readonly nowMs: number
  /** The address of the caller. */
  readonly source: string
  /** The attribution level of the session. */
  readonly level: number
}

/** A command of a session. */
export interface GrantRequest extends OpeningRequest {
  readonly effects: Effects
  readonly database: string
}

/** Whether the grants of a whole chain allow something; where not, the first agent that lacks it, and what it lacks. */
export type GrantDecision = GrantAllowed | GrantRefused

export interface GrantAllowed {
  readonly allowed: true
  /** Rows that the command may return at most; absent = any number. */
  readonly rowsMax?: number
  /** The first instant at which a window may say otherwise; absent = the decision holds as long as the chain. */
  readonly holdsUntilMs?: number
}

export interface GrantRefused {
  readonly allowed: false
  /** `unresolved`: a permit names the class but limits objects, and the object could not be told. */
  readonly reason:
    | 'not-granted'
    | 'unresolved'
    | 'outside-window'
    | 'wrong-client'
    | 'level-too-low'
  readonly effect: EffectClass
  readonly object?: ObjectName
  /** The name of the agent whose grant lacks it. */
  readonly agent: string
  /** The nearest agent above whose own grants would allow it. */
  readonly nearestHolder?: string
  /** The level that is asked for, where it is too low. */
  readonly minLevel?: number
}

const allowed: GrantAllowed = { allowed: true }

/** Every access of the command must be matched by a permit of every layer of every agent of the chain, so a child never has more than its parents. */
export function decideGrant(chain: Chain, request: GrantRequest): GrantDecision {
  const { effects } = request
  return decideAccesses(chain, request, request.database, accessesOf(effects), effects.classes[0])
}

/** Opening a session needs at least one permit for the connection in every layer, within its window and for its client. */
export function decideOpening(chain: Chain, request: OpeningRequest): GrantDecision {
  return decideAccesses(chain, request, '', [], undefined)
}

/** Whether every agent of the chain holds a permit for the connection, whenever and from wherever. */
export function opensConnection(chain: Chain, connection: string): boolean {
  if (!hasRootLayer(chain)) return false
  return chain.agents.every((agent) =>
    agent.layers.every((layer) => CompiledLayer.of(layer).hasConnection(connection)),
  )
}

function decideAccesses(
  chain: Chain,
  request: OpeningRequest,
  database: string,
  accesses: readonly Access[],
  firstClass: EffectClass | undefined,
): GrantDecision {
  const first = accesses[0] ?? { effect: firstClass ?? 'unknown', resolved: false }
  let rowsMax = Infinity
  let holdsUntilMs = Infinity
  let parent: ChainAgent | undefined
  // An agent without layers holds what its parent holds; a root without layers would hold everything.
  if (!hasRootLayer(chain)) return refuse('not-granted', first, chain.agents[0], undefined)
  for (const agent of chain.agents) {
    for (const layer of agent.layers) {
      const compiled = CompiledLayer.of(layer)
      if (!compiled.isWithinWindow(request.nowMs)) {
        return refuse('outside-window', first, agent, parent)
      }
      if (!compiled.holdsSource(request.source)) {
        return refuse('wrong-client', first, agent, parent)
      }
      if (!compiled.holdsLevel(request.level)) {
        const minLevel = layer.client?.minLevel
        const refusal = refuse('level-too-low', first, agent, parent)
        return minLevel === undefined ? refusal : { ...refusal, minLevel }
      }
      // A text without accesses (an empty statement) still needs the connection to be granted.
      if (!compiled.hasConnection(request.connection)) {
        return refuse('not-granted', first, agent, parent)
      }
      for (const access of accesses) {
        const found = compiled.judge(request.connection, access, database)
        if (found.fit !== 'match') return refuse(found.fit, access, agent, parent)
        if (found.rowsMax < rowsMax) rowsMax = found.rowsMax
      }
      holdsUntilMs = Math.min(holdsUntilMs, compiled.windowHoldsUntil(request.nowMs))
    }
    parent = agent
  }
  return allow(rowsMax, holdsUntilMs)
}

function allow(rowsMax: number, holdsUntilMs: number): GrantAllowed {
  if (rowsMax === Infinity && holdsUntilMs === Infinity) return allowed
  return {
    allowed: true,
    ...(rowsMax === Infinity ? {} : { rowsMax }),
    ...(holdsUntilMs === Infinity ? {} : { holdsUntilMs }),
  }
}

/** Agents are judged from the root down, each in full, so the parent of the first that refuses is the nearest holder. */
function refuse(
  reason: GrantRefused['reason'],
  access: Access,
  agent: ChainAgent | undefined,
  parent: ChainAgent | undefined,
): GrantRefused {
  return {
    allowed: false,
    reason,
    effect: access.effect,
    agent: agent?.name ?? '',
    ...(access.object === undefined ? {} : { object: access.object }),
    ...(parent === undefined ? {} : { nearestHolder: parent.name }),
  }
}

function hasRootLayer(chain: Chain): boolean {
  const root = chain.agents[0]
  return root !== undefined && root.layers.length > 0
}

const completed = new WeakMap<Effects, readonly Access[]>()

/** The accesses, and one to no known object for each class without an access of its own (`persist` accompanies another). */
function accessesOf(effects: Effects): readonly Access[] {
  const known = completed.get(effects)
  if (known !== undefined) return known
  const own = new Set(effects.accesses.map((access) => access.effect))
  const missing = effects.classes.filter((effect) => !own.has(effect))
  const made =
    missing.length === 0
      ? effects.accesses
      : [...effects.accesses, ...missing.map((effect) => ({ effect, resolved: false }))]
  completed.set(effects, made)
  return made
}

import type { Chain, ChainAgent, GrantLayer, Permission } from '../chain.ts'
import type { Access, EffectClass, Effects, ObjectName } from '../command.ts'
import { matchesAny } from '../policy/star-glob.ts'

/** Whether the grants of a whole chain allow a command; where not, the first access that one of the agents lacks. */
export type GrantDecision =
  | { readonly allowed: true }
  | {
      readonly allowed: false
      /** `unresolved`: a permit names the class but limits objects, and the object could not be told. */
      readonly reason: 'not-granted' | 'unresolved'
      readonly effect: EffectClass
      readonly object?: ObjectName
      /** The name of the agent that lacks the permit. */
      readonly agent: string
    }

const allowed: GrantDecision = { allowed: true }

/** Every access of the command must be matched by a permit of every agent of the chain, so a child never has more than its parents. */
export function decideGrant(
  chain: Chain,
  connection: string,
  effects: Effects,
  database: string,
): GrantDecision {
  for (const { agent, layer } of layersOf(chain)) {
    const permits = layer.permits.filter((permit) => matchesAny(permit.connections, connection))
    // A text without accesses (an empty statement) still needs the connection to be granted.
    if (permits.length === 0) return refuse('not-granted', firstAccess(effects), agent.name)
    for (const access of effects.accesses) {
      const fit = bestFit(permits, access, database)
      if (fit !== 'match') return refuse(fit, access, agent.name)
    }
    for (const effect of effects.classes) {
      // A class without an access of its own (`persist` accompanies another) is an access to no object.
      if (effects.accesses.some((access) => access.effect === effect)) continue
      const access = { effect, resolved: false }
      const fit = bestFit(permits, access, database)
      if (fit !== 'match') return refuse(fit, access, agent.name)
    }
  }
  return allowed
}

/** Opening a session needs at least one permit for the connection at every agent of the chain. */
export function opensConnection(chain: Chain, connection: string): boolean {
  return [...layersOf(chain)].every(({ layer }) =>
    layer.permits.some((permit) => matchesAny(permit.connections, connection)),
  )
}

function* layersOf(chain: Chain): Iterable<{ agent: ChainAgent; layer: GrantLayer }> {
  for (const agent of chain.agents) for (const layer of agent.layers) yield { agent, layer }
}

function firstAccess(effects: Effects): Access {
  return effects.accesses[0] ?? { effect: effects.classes[0] ?? 'unknown', resolved: false }
}

function refuse(
  reason: 'not-granted' | 'unresolved',
  access: Access,
  agent: string,
): GrantDecision {
  const decision = { allowed: false, reason, effect: access.effect, agent } as const
  return access.object === undefined ? decision : { ...decision, object: access.object }
}

type Fit = 'match' | 'unresolved' | 'not-granted'

function bestFit(permits: readonly Permission[], access: Access, database: string): Fit {
  let best: Fit = 'not-granted'
  for (const permit of permits) {
    if (!coversClass(permit.classes, access.effect)) continue
    const fit = fitDimensions(permit.dimensions, access, database)
    if (fit === 'match') return fit
    if (fit === 'unresolved') best = fit
  }
  return best
}

function coversClass(classes: readonly string[], effect: EffectClass): boolean {
  return classes.includes(effect) || (effect !== 'unknown' && classes.includes('*'))
}

function fitDimensions(
  dimensions: Permission['dimensions'],
  access: Access,
  database: string,
): Fit {
  for (const [name, globs] of Object.entries(dimensions)) {
    const value = name === 'db' ? { part: database } : partOf(name, access)
    if (value === 'none') continue
    if (value === undefined) return 'unresolved'
    if (!matchesAny(globs, value.part)) return 'not-granted'
  }
  return 'match'
}

/** The part of an access that a dimension limits: undefined where it can't be told, `none` where the access touches no object. */
function partOf(dimension: string, access: Access): { part: string } | 'none' | undefined {
  const object = access.object
  if (object === undefined) return access.resolved ? 'none' : undefined
  if (!access.resolved) return undefined
  const fromEnd = dimension === 'table' ? 1 : dimension === 'schema' ? 2 : 0
  const part = fromEnd === 0 ? undefined : object[object.length - fromEnd]
  return part === undefined ? undefined : { part }
}

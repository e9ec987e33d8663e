import {
  buildSessionFacts,
  coversMasks,
  maskSetOf,
  SallyportError,
  selectRules,
  type Chain,
  type CompiledRule,
  type MaskRule,
} from '@sallyport/core'
import type { ConnectionConfig, GuardLogin } from '../../../../boundary/snapshot.ts'
import type { Known } from '../../../snapshot-holder.ts'

/** Whose session is opened, and where. */
export interface GuardedOpening {
  readonly connection: ConnectionConfig
  readonly database: string
  readonly chain: Chain
  readonly client: { readonly ip: string; readonly app: string }
  readonly now: Date
}

/** Facts that stay the same as long as a session and its chain do. */
const lasting =
  /^(?:conn\.(?:name|type|env|labels)|agent\.(?:id|name|depth|level|chain)|root\.(?:id|name|kind|groups)|client\.(?:ip|app))(?:\.|$)/u

/** Nodes that the conditions of one opening may visit together, and text that their expressions may read. */
const nodesMax = 100_000
const matchedMax = 65_536

/**
 * The role in which a session speaks to a target that masks by itself: of those that enforce all masks that may hold for
 * it, the one with the fewest. Undefined where none may hold. Throws where no role enforces them.
 */
export function guardRoleOf(known: Known, opening: GuardedOpening): GuardLogin | undefined {
  const { connection } = opening
  const masks = masksThatMayHold(known, opening)
  if (maskSetOf(masks) === undefined) return undefined
  const fitting = (connection.guard?.sets ?? []).filter((set) => coversMasks(set, masks))
  const [fewest] = fitting.toSorted((a, b) => a.lines.length - b.lines.length)
  if (fewest === undefined) {
    throw guardMissing(
      `No role of ${connection.name} enforces the masks that hold for this session.`,
    )
  }
  return fewest
}

/** Rules that can be decided now, and hold; and those that only a command can decide, which may. */
function masksThatMayHold(known: Known, opening: GuardedOpening): MaskRule[] {
  const { connection, chain, client, now, database } = opening
  const session = { protocol: 'postgres', login: connection.login.user, database }
  const facts = buildSessionFacts({ chain, connection, client, now, session })
  const meter = { nodes: nodesMax, matched: matchedMax }
  const holds = (rule: CompiledRule): boolean => {
    if (!rule.condition.reads.every((path) => lasting.test(path))) return true
    const outcome = rule.condition.evaluate(facts, meter)
    return outcome.kind !== 'value' || outcome.value
  }
  const { rules } = selectRules(known.policies, 'sql', connection, chain)
  return rules
    .filter((rule) => rule.rule.effect === 'mask' && !rule.observe && holds(rule))
    .flatMap((rule) => rule.masks)
}

/** A refusal that says what is missing. */
export function guardMissing(detail: string): SallyportError {
  return new SallyportError('SP_GUARD_MISSING', detail, { detail })
}

import {
  buildSqlFacts,
  decideGrant,
  decideSelected,
  ERRORS,
  makeId,
  printChain,
  printObjectName,
  selectRules,
  type Chain,
  type Command,
  type DecisionId,
  type Effects,
  type ErrorCode,
  type GrantDecision,
  type PolicyOutcome,
  type Refusal,
  type SelectedRules,
  type Verdict,
} from '@sallyport/core'
import type { ConnectionConfig } from '../../boundary/snapshot.ts'
import { pooledRandom } from '../random-pool.ts'
import type { Known, SnapshotHolder } from '../snapshot-holder.ts'

/** Whose commands are decided, and where they go. */
export interface DecisionContext {
  readonly chain: Chain
  readonly connection: ConnectionConfig
  readonly database: string
  readonly client: { readonly ip: string; readonly app: string }
}

/** The verdict without its id. */
type Decision = Verdict extends infer Each
  ? Each extends Verdict
    ? Omit<Each, 'id'>
    : never
  : never

/** Decides the commands of one session: grants of the whole chain first, then policy. Pure but for the clock that is given. */
export class Decider {
  readonly #snapshots: SnapshotHolder
  readonly #context: DecisionContext
  readonly #now: () => number
  readonly #expiresAtMs: number
  #known: Known | undefined
  #selected: SelectedRules | undefined
  #cached = new WeakMap<Effects, { readonly text: string; readonly decision: Decision }>()

  constructor(snapshots: SnapshotHolder, context: DecisionContext, now: () => number) {
    this.#snapshots = snapshots
    this.#context = context
    this.#now = now
    this.#expiresAtMs = Math.min(...context.chain.agents.map((agent) => agent.expiresAtMs))
  }

  decide(command: Command): Verdict {
    const id = makeId<DecisionId>('d', pooledRandom)
    const { known } = this.#snapshots
    if (this.#snapshots.isStale) return { id, ...refused(known, 'SP_STATE_STALE', id) }
    if (this.#expiresAtMs <= this.#now()) {
      return { id, ...refused(known, 'SP_CREDENTIAL_EXPIRED', id) }
    }
    const selected = this.#select(known)
    const cached = this.#cachedDecision(selected, command)
    if (cached !== undefined) return { id, ...cached }
    const decision = this.#decide(known, selected, command, id)
    // A refusal names its own id in its hint.
    if (decision.effect === 'allow') {
      this.#cached.set(command.effects, { text: command.text, decision })
    }
    return { id, ...decision }
  }

  #cachedDecision(selected: SelectedRules, command: Command): Decision | undefined {
    if (selected.readsVolatileFacts) return undefined
    const cached = this.#cached.get(command.effects)
    // Texts that differ in constants alone have the same effects.
    return selected.readsText && cached?.text !== command.text ? undefined : cached?.decision
  }

  #select(known: Known): SelectedRules {
    if (this.#known === known && this.#selected !== undefined) return this.#selected
    this.#known = known
    this.#cached = new WeakMap()
    this.#selected = selectRules(
      known.policies,
      'sql',
      this.#context.connection,
      this.#context.chain,
    )
    return this.#selected
  }

  #decide(known: Known, selected: SelectedRules, command: Command, id: DecisionId): Decision {
    const { chain, connection, client, database } = this.#context
    const { policyVersion } = known
    const grant = decideGrant(chain, connection.name, command.effects, database)
    if (!grant.allowed && grant.effect === 'unknown') {
      const reason = unknownEffect(command, connection, id)
      return { effect: 'block', rules: [], policyVersion, reason }
    }
    if (!grant.allowed) {
      const reason = notGranted(grant, this.#context, id)
      return { effect: 'block', rules: [], policyVersion, reason }
    }
    const now = new Date(this.#now())
    const facts = buildSqlFacts({ command, chain, connection, client, now })
    const outcome = decideSelected(selected, facts, command.effects.class === 'unknown')
    const { rules, masks } = outcome
    if (outcome.effect === 'allow') return { effect: 'allow', masks, rules, policyVersion }
    const reason = refusalOf(outcome, command, connection, id)
    if (outcome.effect === 'block') return { effect: 'block', rules, policyVersion, reason }
    return { effect: 'approve', masks, rules, policyVersion, reason }
  }
}

function refused(
  known: Known,
  code: ErrorCode,
  id: DecisionId,
): Extract<Decision, { effect: 'block' }> {
  const reason: Refusal = {
    code,
    message: `Sallyport: ${ERRORS[code].say}`,
    detail: 'Nothing was sent to the target.',
    hint: `Decision ${id}. (${code})`,
  }
  return { effect: 'block', rules: [], policyVersion: known.policyVersion, reason }
}

function notGranted(
  decision: Extract<GrantDecision, { allowed: false }>,
  context: DecisionContext,
  id: DecisionId,
): Refusal {
  const { chain, connection } = context
  const object = decision.object === undefined ? '' : ` ${printObjectName(decision.object)}`
  const leaf = chain.agents.at(-1)
  const granted = [...new Set(leaf?.layers.at(-1)?.permits.flatMap((permit) => permit.classes) ?? [])].join(', ')
  return {
    code: 'SP_NOT_GRANTED',
    message: `not in your grant: ${decision.effect} on ${connection.name}${object}`,
    detail: `${printChain(chain)} holds: ${granted}. Nothing was sent to ${connection.name}.`,
    hint: `Ask for a wider grant; retrying will not help. Decision ${id}. (SP_NOT_GRANTED)`,
  }
}

function refusalOf(
  outcome: PolicyOutcome,
  command: Command,
  connection: ConnectionConfig,
  id: DecisionId,
): Refusal {
  const sent = `Nothing was sent to ${connection.name}.`
  if (outcome.decidedBy === undefined && command.effects.class === 'unknown') {
    return unknownEffect(command, connection, id)
  }
  const rule = outcome.decidedBy
  const isHeld = outcome.effect === 'approve'
  const code = isHeld ? 'SP_APPROVAL_UNAVAILABLE' : 'SP_POLICY_BLOCKED'
  const by = rule === undefined ? "Sallyport's default" : `Sallyport rule "${rule}"`
  return {
    code,
    message: isHeld ? `needs approval by ${by}, which isn't available yet` : `blocked by ${by}`,
    detail: `${outcome.message} ${sent}`.trim(),
    hint: `Do not retry unchanged. Decision ${id}. (${code})`,
    ...(rule === undefined ? {} : { rule }),
  }
}

function unknownEffect(command: Command, connection: ConnectionConfig, id: DecisionId): Refusal {
  const why = command.effects.opaque.join(', ')
  return {
    code: 'SP_EFFECT_UNKNOWN',
    message: `Sallyport cannot tell what this statement does (${why}), and unknown commands are blocked here`,
    detail: `Nothing was sent to ${connection.name}.`,
    hint: `Rewrite it so that its effect can be read. Decision ${id}. (SP_EFFECT_UNKNOWN)`,
  }
}

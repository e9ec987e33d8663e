import { isDeepStrictEqual } from 'node:util'
import {
  buildSqlFacts,
  decideGrant,
  decideSelected,
  ERRORS,
  selectRules,
  type Chain,
  type Command,
  type DecisionId,
  type Effects,
  type MaskRule,
  type ErrorCode,
  type GrantRefused,
  type GrantRequest,
  type PolicyOutcome,
  type Refusal,
  type SelectedRules,
  type Verdict,
} from '@sallyport/core'
import type { ConnectionConfig } from '../../boundary/snapshot.ts'
import { pooledId } from '../random-pool.ts'
import type { SessionAgent } from '../agents/session-agent.ts'
import type { Known, SnapshotHolder } from '../snapshot-holder.ts'
import { isAboutAccess, refusalOfGrant } from './grant-refusal.ts'

/** Whose commands are decided, and where they go. */
export interface DecisionContext {
  readonly agent: SessionAgent
  readonly connection: ConnectionConfig
  readonly database: string
  readonly client: { readonly ip: string; readonly app: string }
}

function placeOf({ target, tls, login }: ConnectionConfig): readonly unknown[] {
  return [target.host, target.port, tls.mode, tls.ca, login.user]
}

/** The verdict without its id. */
type Decision = Verdict extends infer Each
  ? Each extends Verdict
    ? Omit<Each, 'id' | 'askedAtMs'>
    : never
  : never

/** A decision to allow, the text that it was made for, and when the windows of the grants let it hold. */
interface Cached {
  readonly text: string
  readonly decision: Decision
  readonly decidedAtMs: number
  readonly holdsUntilMs: number
}

/** Decides the commands of one session: grants of the whole chain first, then policy. Pure but for the clock that is given. */
export class Decider {
  readonly #snapshots: SnapshotHolder
  readonly #context: DecisionContext
  readonly #now: () => number
  #known: Known | undefined
  #chain: Chain | undefined
  #selected: SelectedRules | undefined
  #cached = new WeakMap<Effects, Cached>()
  readonly #columnMasks = new WeakMap<SelectedRules, readonly MaskRule[]>()

  constructor(snapshots: SnapshotHolder, context: DecisionContext, now: () => number) {
    this.#snapshots = snapshots
    this.#context = context
    this.#now = now
  }

  decide(command: Command): Verdict {
    const id = pooledId<DecisionId>('d')
    const { known } = this.#snapshots
    if (this.#snapshots.isStale) return { id, ...refused(known, 'SP_STATE_STALE', id) }
    const nowMs = this.#now()
    const standing = this.standing()
    if (standing !== undefined) return { id, ...stopped(known, standing) }
    const selected = this.#select(known)
    const cached = this.#cachedDecision(selected, command, nowMs)
    if (cached !== undefined) return { id, ...cached, askedAtMs: nowMs }
    const grant = decideGrant(this.#context.agent.chain, this.#grantRequest(command, nowMs))
    if (!grant.allowed) return { id, ...this.#refuse(known, grant, command, id) }
    const decision = this.#applyPolicy(known, selected, command, nowMs, grant.rowsMax, id)
    // A refusal names its own id in its hint.
    if (decision.effect === 'allow') {
      const holdsUntilMs = grant.holdsUntilMs ?? Infinity
      this.#cached.set(command.effects, {
        text: command.text,
        decision,
        decidedAtMs: nowMs,
        holdsUntilMs,
      })
    }
    return { id, ...decision, askedAtMs: nowMs }
  }

  /** All masks of columns that a command of this session may get. The same list until policies or the chain change. */
  columnMasks(): readonly MaskRule[] {
    const selected = this.#select(this.#snapshots.known)
    let masks = this.#columnMasks.get(selected)
    if (masks === undefined) {
      const all = selected.rules.flatMap((rule) => (rule.observe ? [] : rule.masks))
      masks = all.filter(({ columns }) => columns.length > 0)
      this.#columnMasks.set(selected, masks)
    }
    return masks
  }

  /** What facts are about, beside the chain and the command. */
  get about(): Pick<DecisionContext, 'connection' | 'client'> {
    return this.#context
  }

  /** The same object until an agent of the chain changes. */
  get chain(): Chain {
    return this.#context.agent.chain
  }

  /** Why the agent may do nothing now; undefined where it may. */
  standing(): Refusal | undefined {
    return this.#context.agent.refusal(this.#now())
  }

  /** Whether the connection still is what the session was opened by: the same server and the same login there. */
  isConnectionTheSame(): boolean {
    const { connection } = this.#context
    const now = this.#snapshots.known.connections.get(connection.name)
    return now !== undefined && isDeepStrictEqual(placeOf(now), placeOf(connection))
  }

  #grantRequest(command: Command, nowMs: number): GrantRequest {
    const { agent, connection, client, database } = this.#context
    const { chain } = agent
    return {
      connection: connection.name,
      effects: command.effects,
      database,
      nowMs,
      source: client.ip,
      level: chain.level,
    }
  }

  #cachedDecision(selected: SelectedRules, command: Command, nowMs: number): Decision | undefined {
    if (selected.readsVolatileFacts) return undefined
    const cached = this.#cached.get(command.effects)
    if (cached === undefined) return undefined
    // A clock that was set back may stand before the window.
    if (nowMs >= cached.holdsUntilMs || nowMs < cached.decidedAtMs) return undefined
    // Texts that differ in constants alone have the same effects.
    return selected.readsText && cached.text !== command.text ? undefined : cached.decision
  }

  #select(known: Known): SelectedRules {
    const { chain } = this.#context.agent
    const isSame = this.#known === known && this.#chain === chain
    if (isSame && this.#selected !== undefined) return this.#selected
    this.#known = known
    this.#chain = chain
    this.#cached = new WeakMap()
    this.#selected = selectRules(known.policies, 'sql', this.#context.connection, chain)
    return this.#selected
  }

  #refuse(known: Known, grant: GrantRefused, command: Command, id: DecisionId): Decision {
    const reason =
      grant.effect === 'unknown' && isAboutAccess(grant)
        ? unknownEffect(command, this.#context.connection, id)
        : refusalOfGrant(
            grant,
            { chain: this.#context.agent.chain, connection: this.#context.connection },
            id,
          )
    return { effect: 'block', rules: [], policyVersion: known.policyVersion, reason }
  }

  #applyPolicy(
    known: Known,
    selected: SelectedRules,
    command: Command,
    nowMs: number,
    rowsMax: number | undefined,
    id: DecisionId,
  ): Decision {
    const { agent, connection, client } = this.#context
    const { chain } = agent
    const { policyVersion } = known
    const facts = buildSqlFacts({ command, chain, connection, client, now: new Date(nowMs) })
    const outcome = decideSelected(selected, facts, command.effects.class === 'unknown')
    const { masks } = outcome
    // What a rule in observe mode would have done is on record too: that is all it is for.
    const rules =
      outcome.observed.length === 0 ? outcome.rules : [...outcome.rules, ...outcome.observed]
    const rows = rowsMax === undefined ? {} : { rowsMax }
    if (outcome.effect === 'allow') {
      return { effect: 'allow', masks, rules, policyVersion, ...rows }
    }
    const reason = refusalOf(outcome, command, connection, id)
    if (outcome.effect === 'block') return { effect: 'block', rules, policyVersion, reason }
    const { demands } = outcome
    return { effect: 'approve', masks, rules, policyVersion, demands, reason, ...rows }
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

function stopped(known: Known, reason: Refusal): Extract<Decision, { effect: 'block' }> {
  return { effect: 'block', rules: [], policyVersion: known.policyVersion, reason }
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
    message: isHeld ? `needs approval by ${by}, and nobody can be asked` : `blocked by ${by}`,
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

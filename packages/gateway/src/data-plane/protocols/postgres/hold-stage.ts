import { isDeepStrictEqual } from 'node:util'
import {
  sameDemands,
  type ApprovalId,
  type Command,
  type Effects,
  type Refusal,
  type RuleDemand,
  type Verdict,
} from '@sallyport/core'
import type { TargetQuestions } from '../../../boundary/approvals.ts'
import type { Approved, HeldCommand, HoldDesk } from '../../approvals/hold-desk.ts'
import type { SessionJournal } from '../../journal/session-journal.ts'
import type { StoredEntry } from '../../journal/stored-entry.ts'
import type { Leave } from '../../pipeline/run-command.ts'
import type { HeldCatalog } from './catalogs.ts'
import { portalOf, type Unit } from './unit.ts'

/** A command that waits for an approval. */
export interface HeldUnit {
  readonly unit: Unit
  readonly command: Command
  readonly entry: StoredEntry
  readonly verdict: Extract<Verdict, { effect: 'approve' }>
}

/** What its session knows of a command that is held. */
export interface HeldSession {
  /** Settings that an approval is bound to. */
  settings(): readonly string[]
  /** What the command does beyond its words, as of now. */
  meaningOf(unit: Unit, effects: Effects): readonly string[]
  /** What may be asked of the target about it. */
  questions(unit: Unit, command: Command): TargetQuestions
  classify(unit: Unit): Command
  judge(unit: Unit, command: Command): Verdict
  /** Why its agent may not act at all. */
  standing(): Refusal | undefined
  /** Whether its connection still leads where it led when the session began. */
  isConnectionTheSame(): boolean
  /** It leaves now. */
  leaves(unit: Unit): void
}

export interface HoldStageDeps {
  readonly desk: HoldDesk
  readonly journal: Pick<SessionJournal, 'closed'>
  readonly catalog: Pick<HeldCatalog, 'look' | 'isOutdated' | 'load' | 'markStale'>
  readonly session: HeldSession
}

/** The stage of the pipeline in which a command waits for a yes. */
export class HoldStage {
  readonly #deps: HoldStageDeps
  /** A command waits for an approval, or runs by one and has not left; and why it is not to run any more. */
  #isHolding = false
  #withdrawnFor: string | undefined
  /** A yes that has come, as long as it may still turn out to be in vain. */
  #yes: { readonly held: HeldCommand; readonly approved: Approved } | undefined

  constructor(deps: HoldStageDeps) {
    this.#deps = deps
  }

  /**
   * Waits for a yes. All may have changed by then, so the command is judged again: what was approved is what runs, under the
   * rules of now. `ready` resolves once it can be classified anew; false where its session has ended.
   */
  async hold(held: HeldUnit, ready: () => Promise<boolean>): Promise<Leave | Refusal> {
    if (this.#deps.journal.closed) return held.verdict.reason
    this.#isHolding = true
    this.#withdrawnFor = undefined
    try {
      return await this.#askUntilSettled(held, ready)
    } finally {
      this.#isHolding = false
      this.#yes = undefined
    }
  }

  /** A command that waits for an approval, or has one and has not left, is not to run any more. False where there is none. */
  withdraw(why: string): boolean {
    if (!this.#isHolding) return false
    this.#withdrawnFor ??= why
    this.#deps.desk.withdraw(why)
    // At once: the recording may end before the command that looks at the target does.
    this.#inVain(why)
    return true
  }

  /** Somebody has said yes, and the command is not to run in spite of it. */
  get isGivenUp(): boolean {
    return this.#withdrawnFor !== undefined
  }

  async #askUntilSettled(
    { unit, entry, ...held }: HeldUnit,
    ready: () => Promise<boolean>,
  ): Promise<Leave | Refusal> {
    const { desk, session } = this.#deps
    // Of a statement that was prepared in SQL a Bind has no text of its own.
    const [text = held.command.text] = unit.text === '' ? unit.standsFor : []
    const command = { ...held.command, text }
    let { verdict } = held
    const untilMs = desk.untilMs({ command, verdict })
    for (;;) {
      const standing = session.standing()
      if (standing !== undefined) return standing
      const { parameters, formats } = unit
      const settings = session.settings()
      const meaning = session.meaningOf(unit, command.effects)
      const questions = session.questions(unit, command)
      const bound = { settings, meaning, questions, untilMs }
      const asked = { command, entry, verdict, parameters, formats, ...bound }
      const answer = await desk.ask(asked)
      if ('code' in answer) return answer
      this.#yes = { held: asked, approved: answer }
      const isReady = await this.#looksAgain(command, ready).catch((error: unknown) => {
        this.#inVain('what it does could not be looked up again')
        throw error
      })
      if (!isReady) return verdict.reason
      const again = session.classify(unit)
      const isSame = isDeepStrictEqual(session.meaningOf(unit, again.effects), meaning)
      const judged = isSame ? session.judge(unit, { ...again, id: command.id }) : undefined
      if (judged === undefined || judged.effect === 'block') {
        const reason = judged?.reason ?? otherEffect(verdict)
        this.#inVain(reason.message)
        return reason
      }
      const { approval } = answer
      if (!session.isConnectionTheSame()) this.withdraw('its connection leads elsewhere by now')
      if (this.#withdrawnFor !== undefined) return withdrawnLate(approval, this.#withdrawnFor)
      if (judged.effect === 'allow' || sameDemands(judged.demands, verdict.demands)) {
        const stored = await desk.goOn(asked, answer)
        if (this.#withdrawnFor !== undefined) return withdrawnLate(approval, this.#withdrawnFor)
        session.leaves(unit)
        noteApproved(unit, verdict.demands)
        return { entry: stored, verdict: { ...judged, effect: 'allow' } }
      }
      this.#inVain('other approvals are asked for since')
      verdict = judged
    }
  }

  #inVain(why: string): void {
    if (this.#yes === undefined) return
    const { held, approved } = this.#yes
    this.#yes = undefined
    this.#deps.desk.inVain(held, approved, why)
  }

  /** Whatever was known of the target is minutes old. */
  async #looksAgain({ inTransaction }: Command, ready: () => Promise<boolean>): Promise<boolean> {
    const { catalog } = this.#deps
    if (inTransaction) {
      // A transaction's own locks may stand in the way of reading all, so that this is done only where somebody has changed something.
      await catalog.look()
      if (catalog.isOutdated) await catalog.load()
    } else catalog.markStale()
    return await ready()
  }
}

/** Whether the unit continues a portal whose execution was approved: for the same demands. */
export function wasApproved(unit: Unit, verdict: Verdict): boolean {
  const approved = portalOf(unit)?.approvedFor
  if (approved === undefined || verdict.effect !== 'approve') return false
  return sameDemands(verdict.demands, approved)
}

function noteApproved(unit: Unit, demands: readonly RuleDemand[]): void {
  unit.approvedFor = demands
  const portal = portalOf(unit)
  if (portal !== undefined) portal.approvedFor = demands
}

function withdrawnLate(approval: ApprovalId, why: string): Refusal {
  return {
    code: 'SP_APPROVAL_WITHDRAWN',
    message: `the request for approval ${approval} was withdrawn: ${why}`,
    detail: 'Not executed.',
    hint: `Approval ${approval}. (SP_APPROVAL_WITHDRAWN)`,
  }
}

function otherEffect(verdict: Verdict): Refusal {
  return {
    code: 'SP_APPROVAL_WITHDRAWN',
    message: 'what the command does has changed since its approval was asked for',
    detail: 'Not executed.',
    hint: `Run it again. Decision ${verdict.id}. (SP_APPROVAL_WITHDRAWN)`,
  }
}

import type { Command, Refusal, Verdict } from '@sallyport/core'
import type { StoredEntry } from '../journal/stored-entry.ts'
import { Answer } from './answer.ts'
import { Permit } from './permit.ts'

type Held = Extract<Verdict, { effect: 'approve' }>

/** A command that may leave: the entry that says so, and what its answer is to be. */
export interface Leave {
  readonly entry: StoredEntry
  /** As it is judged now: while a command was held, the rules may have changed. */
  readonly verdict: Extract<Verdict, { effect: 'allow' }>
}

/** What one session lends its commands. Each member is a stage; docs/life-of-a-command.md walks them in this order. */
export interface Stages<Unit> {
  classify(unit: Unit): Command
  decide(unit: Unit, command: Command): Verdict
  recordVerdict(unit: Unit, command: Command, verdict: Verdict): Promise<StoredEntry>
  hold(unit: Unit, command: Command, entry: StoredEntry, verdict: Held): Promise<Leave | Refusal>
  forward(unit: Unit, permit: Permit, answer: Answer): void
  /** Why the command may not leave any more; undefined where it may. */
  recheck(unit: Unit, command: Command): Refusal | undefined
  refuse(unit: Unit, refusal: Refusal, entry: StoredEntry): void
}

/** Carries one command from the caller to the target, with the plan for its answer. This function is the product. */
export async function runCommand<Unit>(unit: Unit, stages: Stages<Unit>): Promise<void> {
  const command = stages.classify(unit)
  const verdict = stages.decide(unit, command)

  // Stored before anything leaves the gateway: a crash must never lose the command that caused it.
  const entry = await stages.recordVerdict(unit, command, verdict)

  if (verdict.effect === 'block') return stages.refuse(unit, verdict.reason, entry)
  const leave: Leave | Refusal =
    verdict.effect === 'approve'
      ? await stages.hold(unit, command, entry, verdict)
      : { entry, verdict }
  if ('code' in leave) return stages.refuse(unit, leave, entry) // denied, expired or withdrawn: a code

  // An agent that was taken away or narrowed while its command was stored or held: the command stays.
  const tooLate = stages.recheck(unit, command)
  if (tooLate !== undefined) return stages.refuse(unit, tooLate, leave.entry)

  // Masked before it is recorded, so a recording never holds what its reader may not see.
  const { masks, rowsMax } = leave.verdict
  stages.forward(unit, Permit.issue(leave.entry), Answer.expect(leave.entry, masks, rowsMax))
}

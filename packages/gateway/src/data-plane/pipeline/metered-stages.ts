import type { ConnectionMeter } from '../meters/worker-meter.ts'
import type { Stages } from './run-command.ts'

/** A unit that remembers when the gateway began to look at it, in milliseconds of `performance.now()`. */
interface Timed {
  startedMs: number
}

/** The same stages, which count what they decide, and how long the gateway keeps what it forwards. */
export function meteredStages<Unit extends Timed>(
  stages: Stages<Unit>,
  meter: Pick<ConnectionMeter, 'judged' | 'left' | 'refused'>,
): Stages<Unit> {
  return {
    ...stages,
    classify(unit) {
      unit.startedMs = performance.now()
      return stages.classify(unit)
    },
    recordVerdict(unit, command, verdict) {
      meter.judged(verdict.effect, command.effects.class, performance.now() - unit.startedMs)
      return stages.recordVerdict(unit, command, verdict)
    },
    async hold(unit, command, entry, verdict) {
      const sinceMs = performance.now()
      const leave = await stages.hold(unit, command, entry, verdict)
      // How long people take is not what the gateway adds.
      unit.startedMs += performance.now() - sinceMs
      return leave
    },
    forward(unit, permit, answer) {
      stages.forward(unit, permit, answer)
      meter.left(performance.now() - unit.startedMs)
    },
    refuse(unit, refusal, entry) {
      meter.refused(refusal.code)
      stages.refuse(unit, refusal, entry)
    },
  }
}

import { cpus } from 'node:os'

/** The longest rest between two pieces of work. */
const restMsMax = 2000
/** Of all processors, how much is idle on a machine that has time for everybody. */
const idleShareMin = 0.1
/** Journals that wait whole: with more of them, room runs out before callers do. */
const filesWaitingMax = 4

/** Milliseconds that all processors together were idle, and that passed for them, since the machine started. */
export interface ProcessorTimes {
  readonly idle: number
  readonly all: number
}

/**
 * How long who is behind rests after a piece of work, so that those who are served find the processor and the database free:
 * as long as it worked, and four times as long while the machine has nothing to spare and the journals have room.
 */
export class Rest {
  readonly #times: () => ProcessorTimes
  #before: ProcessorTimes

  constructor(times: () => ProcessorTimes = processorTimes) {
    this.#times = times
    this.#before = times()
  }

  /** `filesWaiting`: journals to which nothing more is written, and that were not read to their ends. Milliseconds. */
  afterWork(workedMs: number, filesWaiting: number): number {
    const now = this.#times()
    const passed = now.all - this.#before.all
    const idleShare = passed > 0 ? (now.idle - this.#before.idle) / passed : 0
    this.#before = now
    const isPatient = idleShare < idleShareMin && filesWaiting <= filesWaitingMax
    return Math.min(workedMs * (isPatient ? 4 : 1), restMsMax)
  }
}

function processorTimes(): ProcessorTimes {
  let idle = 0
  let all = 0
  for (const { times } of cpus()) {
    idle += times.idle
    all += times.user + times.nice + times.sys + times.idle + times.irq
  }
  return { idle, all }
}

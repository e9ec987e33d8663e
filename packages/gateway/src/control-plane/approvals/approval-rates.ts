import type { Approver } from '@sallyport/core'
import { answerRefused } from './approval.ts'

/** How often people may say yes, and from where on a tree asks often. */
export interface ApprovalLimits {
  /** Acts of one person, or of one agent, within a minute: a bundle is one. No is never counted. */
  readonly approvalsPerMinute: number
  /** Requests of one tree within ten minutes, beyond which it is told that it asks often. */
  readonly askedPerTenMinutes: number
}

/** Ten a minute leave six seconds for each, which is little for a statement that matters. */
export const APPROVAL_LIMITS: ApprovalLimits = { approvalsPerMinute: 10, askedPerTenMinutes: 10 }

const minuteMs = 60_000
const askedWithinMs = 10 * minuteMs

/** Guards against saying yes without a look, and against asking until somebody does. What it counts is forgotten by a restart. */
export class ApprovalRates {
  readonly #limits: ApprovalLimits
  readonly #now: () => number
  /** When, by who stands behind whom: a person and their agent are one. */
  readonly #approved = new Map<string, number[]>()
  readonly #asked = new Map<string, number[]>()
  readonly #told = new Map<string, number>()

  constructor(limits: ApprovalLimits, now: () => number) {
    this.#limits = limits
    this.#now = now
  }

  /** Takes a yes. Gives what takes it back where it could not be stored. Throws SP_APPROVAL_REFUSED where there were too many. */
  approve({ principal, name }: Approver): () => void {
    const { approvalsPerMinute } = this.#limits
    const nowMs = this.#now()
    const times = recent(this.#approved, principal, nowMs - minuteMs)
    const [first = nowMs] = times
    if (times.length >= approvalsPerMinute) {
      const seconds = Math.max(1, Math.ceil((first + minuteMs - nowMs) / 1000))
      throw answerRefused(
        `too-fast: ${name} has approved ${times.length} times within a minute. Read the next one for ${seconds} s; a no is taken at once`,
      )
    }
    times.push(nowMs)
    return () => {
      const at = times.indexOf(nowMs)
      if (at !== -1) times.splice(at, 1)
    }
  }

  /** A tree has asked. Gives how often within ten minutes, where it is to be told that: once a minute at most. */
  asked(tree: string): number | undefined {
    const nowMs = this.#now()
    const times = recent(this.#asked, tree, nowMs - askedWithinMs)
    times.push(nowMs)
    if (times.length <= this.#limits.askedPerTenMinutes) return undefined
    if (nowMs - (this.#told.get(tree) ?? -Infinity) < minuteMs) return undefined
    this.#told.set(tree, nowMs)
    return times.length
  }

  /** How often a tree has asked within ten minutes, where that is often. */
  often(tree: string): number | undefined {
    const times = this.#asked.get(tree) ?? []
    const sinceMs = this.#now() - askedWithinMs
    const count = times.filter((each) => each > sinceMs).length
    return count > this.#limits.askedPerTenMinutes ? count : undefined
  }

  /** Forgets whom nothing was heard of. */
  tidy(): void {
    const nowMs = this.#now()
    for (const [map, sinceMs] of [
      [this.#approved, nowMs - minuteMs],
      [this.#asked, nowMs - askedWithinMs],
    ] as const)
      for (const key of map.keys()) if (recent(map, key, sinceMs).length === 0) map.delete(key)
    for (const [tree, toldMs] of this.#told) if (nowMs - toldMs >= minuteMs) this.#told.delete(tree)
  }
}

/** The times of a key since then, oldest first; those of before are dropped. */
function recent(times: Map<string, number[]>, key: string, sinceMs: number): number[] {
  const all = times.get(key) ?? []
  const from = all.findIndex((each) => each > sinceMs)
  all.splice(0, from === -1 ? all.length : from)
  times.set(key, all)
  return all
}

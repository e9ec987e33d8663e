import { randomBytes } from 'node:crypto'
import { makeId } from '@sallyport/core'
import { answerRefused } from '../approvals/approval.ts'
import type { GlassRequest } from './glasses.ts'

/** Long enough to log in, short enough that nobody says yes to what was asked for yesterday. */
const draftMs = 10 * 60_000
const draftsMax = 1000

interface Draft {
  readonly id: string
  readonly request: GlassRequest
  readonly untilMs: number
}

/** What agents ask their persons to break the glass for. Nothing of it counts before a person has said yes; a restart forgets it. */
export class GlassDrafts {
  /** One an agent: the last. */
  readonly #drafts = new Map<string, Draft>()
  readonly #now: () => number

  constructor(now: () => number) {
    this.#now = now
  }

  add(request: GlassRequest, asking: string): string {
    for (const [agent, { untilMs }] of this.#drafts)
      if (this.#now() >= untilMs) this.#drafts.delete(agent)
    if (this.#drafts.size >= draftsMax) throw answerRefused('too many ask to break the glass')
    const id = makeId<string>('bg', randomBytes)
    this.#drafts.set(asking, { id, request, untilMs: this.#now() + draftMs })
    return id
  }

  /** Throws SP_APPROVAL_REFUSED where there is none any more. */
  get(id: string): GlassRequest {
    const found = [...this.#drafts.values()].find((each) => each.id === id)
    if (found !== undefined && this.#now() < found.untilMs) return found.request
    throw answerRefused(`${id.slice(0, 32)} is too old, was answered, or never was`)
  }

  /** The same, once. */
  take(id: string): GlassRequest {
    const request = this.get(id)
    for (const [agent, each] of this.#drafts) if (each.id === id) this.#drafts.delete(agent)
    return request
  }
}

import { SallyportError, type Approver } from '@sallyport/core'
import type { HoldAsked } from '../../boundary/approvals.ts'
import { answerRefused, type ApprovalAnswer, type ApprovalRecord } from './approval.ts'
import type { ApprovalRates } from './approval-rates.ts'
import { type Bundle, bundlesOf, noBundle } from './bundles.ts'
import { countsDespite, type RecentChange } from './recent-changes.ts'
import { storeAnswers, type AnswerStores, type GivenAnswer, type Settled } from './store-answer.ts'
import type { Turns } from './turns.ts'
import {
  factBy,
  mustBeApprover,
  mustBeNote,
  mustNotHaveChanged,
  type ApprovalAgents,
  type Waiting,
} from './waiting.ts'

export interface AnswersOptions extends AnswerStores {
  readonly agents: ApprovalAgents
  /** What was changed a short time ago, by whom. */
  readonly changes: (asked: HoldAsked) => Promise<readonly RecentChange[]>
  readonly rates: ApprovalRates
}

/** The requests that answers are given to. */
export interface OpenRequests {
  readonly waiting: ReadonlyMap<string, Waiting>
  /** Changes of one request follow each other. */
  readonly turns: Turns
  find(prefix: string): Promise<ApprovalRecord>
  /** What was answered is stored. */
  settled(waiting: Waiting, said: ApprovalAnswer, came: Settled): void
}

/** What somebody says: to one request, or to all of a bundle. */
export type Said = Pick<ApprovalAnswer, 'answer' | 'note' | 'shape'>

/** Answers to requests that wait: who may give them, and what comes of them. */
export class ApprovalAnswers {
  readonly #options: AnswersOptions
  readonly #open: OpenRequests

  constructor(options: AnswersOptions, open: OpenRequests) {
    this.#options = options
    this.#open = open
  }

  /** A request, for who may answer it. Throws SP_APPROVAL_REFUSED for anybody else. */
  async forApprover(prefix: string, approver: Approver): Promise<ApprovalRecord> {
    const record = await this.#open.find(prefix)
    const waiting = this.#open.waiting.get(record.asked.id)
    if (waiting === undefined) throw answerRefused(`${record.asked.id} has ended: ${record.state}`)
    mustBeApprover(waiting, approver, this.#options)
    return record
  }

  /**
   * One person's, or one agent's, yes or no. A no ends the request; a yes does where all that is asked for is there then.
   * Gives the id. Throws SP_APPROVAL_REFUSED for who may not answer, and for a request that has ended.
   */
  async answer(prefix: string, approver: Approver, said: Said): Promise<string> {
    mustBeNote(said.note)
    const { id } = (await this.#open.find(prefix)).asked
    return await this.#open.turns.take(id, async () => {
      const waiting = this.#open.waiting.get(id)
      if (waiting === undefined) throw answerRefused(`${id} has ended: ${await this.#endOf(id)}`)
      await this.#settle([waiting], approver, said)
      return id
    })
  }

  bundles(): Bundle[] {
    return bundlesOf(this.#open.waiting.values())
  }

  /** The bundle of this id, for who may answer it. Throws as `answerBundle`. */
  bundleFor(id: string, approver: Approver): Bundle {
    const bundle = this.bundle(id)
    for (const each of bundle.requests) mustBeApprover(each, approver, this.#options)
    return bundle
  }

  /**
   * As `answer`, to all requests of a bundle or to none. Throws SP_APPROVAL_REFUSED where the set is not what it was when its id
   * was read: what has come since then was not seen.
   */
  async answerBundle(id: string, approver: Approver, said: Said): Promise<Bundle> {
    mustBeNote(said.note)
    const ids = this.bundle(id).requests.map(({ asked }) => asked.id)
    return await this.#open.turns.takeAll(ids, async () => {
      // Nothing of it can end from here on, and what comes now is not of it.
      const bundle = this.bundle(id)
      await this.#settle(bundle.requests, approver, said, id)
      return bundle
    })
  }

  /** Throws SP_APPROVAL_REFUSED where there is none of this id now. */
  bundle(id: string): Bundle {
    const found = this.bundles().find((each) => each.id === id)
    if (found !== undefined) return found
    throw noBundle(id)
  }

  async #settle(
    requests: readonly Waiting[],
    approver: Approver,
    said: Said,
    bundle?: string,
  ): Promise<void> {
    const { ledger, now, shapes } = this.#options
    const atMs = now()
    const given: GivenAnswer[] = []
    for (const waiting of requests) {
      const { asked, requester } = waiting
      if (atMs >= asked.untilMs) throw answerRefused(`${asked.id} has ended: expired`)
      mustBeApprover(waiting, approver, this.#options)
      const changes = await this.#options.changes(asked)
      if (said.answer === 'approve') {
        mustNotHaveChanged(waiting, approver, changes, ledger)
        shapes.mustOffer(asked, said.shape)
      }
      const answer = { ...said, approver, atMs }
      const countsFor = countsDespite(changes, requester)
      given.push({ waiting, answer, countsFor, ...(bundle === undefined ? {} : { bundle }) })
    }
    const came = await this.#counted(given, approver, said)
    for (const [n, { waiting, answer }] of given.entries()) {
      const settled = came[n]
      if (settled === undefined)
        throw new SallyportError('SP_INTERNAL', 'an answer came to nothing')
      this.#open.settled(waiting, answer, settled)
    }
  }

  /** Counted before it is stored: of many at once no more than the limit are. */
  async #counted(
    given: readonly GivenAnswer[],
    approver: Approver,
    { answer }: Said,
  ): Promise<Settled[]> {
    if (answer === 'deny') return await storeAnswers(this.#options, given)
    const takeBack = this.#taken(approver, given)
    return await storeAnswers(this.#options, given).catch((error: unknown) => {
      takeBack()
      throw error
    })
  }

  #taken(approver: Approver, given: readonly GivenAnswer[]): () => void {
    try {
      return this.#options.rates.approve(approver)
    } catch (error) {
      const subject = given[0]?.waiting.asked.id ?? ''
      const fact = { actor: factBy(approver), subject, detail: { why: 'too-fast' } }
      void this.#options.ledger.write({ what: 'approval.refused', ...fact })
      throw error
    }
  }

  async #endOf(id: string): Promise<string> {
    const { state } = await this.#open.find(id)
    return state === 'pending' ? 'expired' : state
  }
}

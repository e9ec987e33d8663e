import { areMet, type CountsFor } from '@sallyport/core'
import type { Fact, Ledger } from '../ledger/ledger.ts'
import type { Store } from '../ports/store.ts'
import { answerRefused, type ApprovalAnswer } from './approval.ts'
import { moveApproval, putAnswer, type Tx } from './approval-rows.ts'
import type { ApprovalShapes } from './shapes.ts'
import { factBy, type Waiting } from './waiting.ts'

export interface AnswerStores {
  readonly store: Store
  readonly ledger: Ledger
  readonly shapes: ApprovalShapes
  readonly now: () => number
}

/** An answer to one request. */
export interface GivenAnswer {
  readonly waiting: Waiting
  readonly answer: ApprovalAnswer
  readonly countsFor: CountsFor
  /** The bundle that was answered. */
  readonly bundle?: string
}

/** What a request has come to by an answer. `to` is undefined where more have to say yes. */
export interface Settled {
  readonly to: 'approved' | 'denied' | undefined
  /** Who has brought that about. */
  readonly by: readonly string[]
}

/**
 * Stores answers and what their requests come to by them, all or none, before anything goes on by them. Throws where one of the
 * requests has ended meanwhile.
 */
export async function storeAnswers(
  stores: AnswerStores,
  given: readonly GivenAnswer[],
): Promise<Settled[]> {
  const came = given.map(cameOf)
  const afterwards: (() => void)[] = []
  const stored = await stores.store.durable(async (tx) => {
    const facts: Fact[] = []
    for (const [n, each] of given.entries()) {
      const settled = came[n]
      if (settled === undefined) continue
      facts.push(...(await storeOne(tx, stores, each, settled, afterwards)))
    }
    // The ledger is told last: what it has taken down it does not forget where a request turns out to have ended.
    return facts.map((fact) => stores.ledger.write(fact))
  })
  await Promise.all(stored)
  for (const each of afterwards) each()
  return came
}

interface Came extends Settled {
  /** For how long others of its shape need nobody's yes. */
  readonly duration?: string
}

function cameOf({ waiting, answer: said, countsFor }: GivenAnswer): Came {
  const { asked, requester, answers } = waiting
  const all = new Map(answers).set(said.approver.id, said)
  const yes = [...all.values()].filter(({ answer }) => answer === 'approve')
  const approvers = yes.map(({ approver }) => approver)
  const isMet = areMet(asked.demands, approvers, requester, countsFor)
  const to = said.answer === 'deny' ? 'denied' : isMet ? 'approved' : undefined
  const by = (to === 'denied' ? [said] : yes).map(({ approver }) => approver.name)
  // By its shape only where everybody whose yes counts has said so.
  const duration = yes.every(({ shape }) => shape === said.shape) ? said.shape : undefined
  return { to, by, ...(to === 'approved' && duration !== undefined ? { duration } : {}) }
}

async function storeOne(
  tx: Tx,
  { shapes, now }: AnswerStores,
  { waiting: { asked }, answer: said, bundle }: GivenAnswer,
  { to, by, duration }: Came,
  afterwards: (() => void)[],
): Promise<Fact[]> {
  // A command that waits in its session goes on at once.
  const state = to === 'approved' && asked.wait === 'hold' ? 'used' : to
  await putAnswer(tx, asked.id, said)
  const isFirst =
    state === undefined ||
    (await moveApproval(tx, asked.id, 'pending', state, { atMs: now(), note: '' }))
  if (!isFirst) throw answerRefused(`${asked.id} has ended meanwhile`)
  const detail = { answer: said.answer, note: said.note, binding: asked.binding, bundle }
  const actor = factBy(said.approver)
  const answered = { what: 'approval.answered', actor, subject: asked.id, detail } as const
  if (duration === undefined) return [answered]
  afterwards.push(await shapes.grant(tx, asked, { duration, by }))
  const granted = { duration, by, agent: asked.agent, connection: asked.connection }
  return [answered, { what: 'approval.shape', actor, subject: asked.id, detail: granted }]
}

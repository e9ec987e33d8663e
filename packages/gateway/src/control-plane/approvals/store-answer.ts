import { areMet, type CountsFor } from '@sallyport/core'
import type { Ledger } from '../ledger/ledger.ts'
import type { Store } from '../ports/store.ts'
import { answerRefused, type ApprovalAnswer } from './approval.ts'
import { moveApproval, putAnswer } from './approval-rows.ts'
import type { ApprovalShapes } from './shapes.ts'
import { factBy, type Waiting } from './waiting.ts'

export interface AnswerStores {
  readonly store: Store
  readonly ledger: Ledger
  readonly shapes: ApprovalShapes
  readonly now: () => number
}

/** What a request has come to by an answer. `to` is undefined where more have to say yes. */
export interface Settled {
  readonly to: 'approved' | 'denied' | undefined
  /** Who has brought that about. */
  readonly by: readonly string[]
}

/** Stores an answer and what the request comes to by it, before anything goes on by it. Throws where it has ended meanwhile. */
export async function storeAnswer(
  { store, ledger, shapes, now }: AnswerStores,
  { asked, requester, answers }: Waiting,
  said: ApprovalAnswer,
  countsFor: CountsFor,
): Promise<Settled> {
  const all = new Map(answers).set(said.approver.id, said)
  const yes = [...all.values()].filter(({ answer }) => answer === 'approve')
  const approvers = yes.map(({ approver }) => approver)
  const isMet = areMet(asked.demands, approvers, requester, countsFor)
  const to = said.answer === 'deny' ? 'denied' : isMet ? 'approved' : undefined
  // A command that waits in its session goes on at once.
  const state = to === 'approved' && asked.wait === 'hold' ? 'used' : to
  const by = (to === 'denied' ? [said] : yes).map(({ approver }) => approver.name)
  // By its shape only where everybody whose yes counts has said so.
  const duration = yes.every(({ shape }) => shape === said.shape) ? said.shape : undefined
  let shapeStored: (() => void) | undefined
  const stored = await store.durable(async (tx) => {
    await putAnswer(tx, asked.id, said)
    const isFirst =
      state === undefined ||
      (await moveApproval(tx, asked.id, 'pending', state, { atMs: now(), note: '' }))
    if (!isFirst) throw answerRefused(`${asked.id} has ended meanwhile`)
    const detail = { answer: said.answer, note: said.note, binding: asked.binding }
    const actor = factBy(said.approver)
    const told = [ledger.write({ what: 'approval.answered', actor, subject: asked.id, detail })]
    if (to !== 'approved' || duration === undefined) return told
    shapeStored = await shapes.grant(tx, asked, { duration, by })
    const granted = { duration, by, agent: asked.agent, connection: asked.connection }
    const fact = { what: 'approval.shape', actor, subject: asked.id, detail: granted } as const
    return [...told, ledger.write(fact)]
  })
  await Promise.all(stored)
  shapeStored?.()
  return { to, by }
}

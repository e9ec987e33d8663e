import type { HoldAnswer, HoldAsked } from '../../boundary/approvals.ts'
import { gatewayBy } from '../ledger/ledger.ts'
import { moveApproval, readApprovals } from './approval-rows.ts'
import type { AnswerStores } from './store-answer.ts'

/** One execution, within this time of the decision. */
const usableMs = 5 * 60_000

/** What was answered for the same command before: a yes is used by this, a request that waits is told again. */
export async function useEarlier(
  { store, ledger, now }: Pick<AnswerStores, 'store' | 'ledger' | 'now'>,
  asked: HoldAsked,
  isWaiting: (id: string) => boolean,
): Promise<HoldAnswer | undefined> {
  const states = ['pending', 'approved'] as const
  const [found] = await readApprovals(store, { states, binding: asked.binding, limit: 1 })
  if (found === undefined) return undefined
  const insteadOf = found.asked.id
  if (found.state === 'pending') {
    if (isWaiting(insteadOf)) return { outcome: 'pending', by: [], note: '', insteadOf }
    // It has ended, and that could not be stored then.
    const how = { atMs: now(), note: '' }
    await store.durable(async (tx) => await moveApproval(tx, insteadOf, 'pending', 'expired', how))
    return undefined
  }
  const atMs = now()
  const isUsable = atMs < (found.endedAtMs ?? 0) + usableMs
  const stored = await store.durable(async (tx): Promise<Promise<void>[] | undefined> => {
    const how = { atMs, note: isUsable ? '' : 'it was not used in time' }
    const to = isUsable ? 'used' : 'expired'
    if (!(await moveApproval(tx, insteadOf, 'approved', to, how))) return undefined
    const detail = { outcome: to, session: asked.session, command: asked.seq }
    const actor = gatewayBy('approvals')
    return [ledger.write({ what: 'approval.ended', actor, subject: insteadOf, detail })]
  })
  if (stored === undefined || !isUsable) return undefined
  await Promise.all(stored)
  const by = found.answers.filter(({ answer }) => answer === 'approve')
  return {
    outcome: 'approved',
    by: by.map(({ approver }) => approver.name),
    note: by.at(-1)?.note ?? '',
    insteadOf,
  }
}

import type { Hold, RetentionPlan } from '@sallyport/gateway'
import type { VerbContext } from '../context.ts'
import { EXIT } from '../exit-codes.ts'
import { printList, printOne, table } from '../output.ts'

type Due = RetentionPlan['sessions'][number]

const dueColumns = {
  SESSION: ({ session }: Due) => session,
  'ENDED (UTC)': ({ closedAt }: Due) => closedAt.slice(0, 16).replace('T', ' '),
  CHAIN: ({ chain }: Due) => chain.join(' › '),
  ENTRIES: ({ entries }: Due) => String(entries),
  BYTES: ({ bytes }: Due) => String(bytes),
  ACTION: ({ action }: Due) => action,
  WHY: ({ why, because }: Due) => (because === undefined ? why : `${why}; ${because}`),
}

/** Shows what would be erased now. */
export async function planRetention(context: VerbContext): Promise<number> {
  const { output } = context
  const plan = await (await context.api()).call('GET /v1/retention')
  const due = plan.sessions.filter(({ action }) => action === 'erase').length
  const kept = plan.sessions.length - due
  const more = plan.hasMore ? ', and more behind them' : ''
  const job = plan.job ? 'The job is on.' : 'The job is off: sallyport retention apply'
  const text = `${plan.sessions.length === 0 ? '' : table(plan.sessions, dueColumns)}${due} to erase, ${kept} kept though due${more}; ${plan.approvals} requests for approval to erase. ${job}\n`
  await printOne(output, plan, text, String(due))
  return EXIT.done
}

/** Erases what is due. */
export async function applyRetention(context: VerbContext): Promise<number> {
  const report = await (await context.api()).call('POST /v1/retention')
  const { erased, failed, approvals } = report
  const lines = failed.map(({ session, why }) => `✕ ${session}: ${why}\n`).join('')
  const requests = approvals === 0 ? '' : `${approvals} requests for approval erased.\n`
  const text = `${erased.length} erased. Each has a fact in the ledger: sallyport ledger what:retention.erased\n${requests}${lines}`
  await printOne(context.output, report, text, String(erased.length))
  return failed.length === 0 ? EXIT.done : EXIT.findings
}

/** Keeps a session or a tree. */
export async function addHold(
  context: VerbContext,
  subject: string,
  reason: string,
): Promise<number> {
  const hold = await (await context.api()).call('POST /v1/holds', { body: { subject, reason } })
  await printOne(context.output, hold, `${hold.id} keeps ${hold.kind} ${hold.subject}\n`, hold.id)
  return EXIT.done
}

const holdColumns = {
  HOLD: ({ id }: Hold) => id,
  'SINCE (UTC)': ({ at }: Hold) => at.slice(0, 16).replace('T', ' '),
  KEEPS: ({ kind, subject }: Hold) => `${kind} ${subject}`,
  BY: ({ by }: Hold) => by,
  REASON: ({ reason }: Hold) => reason,
}

/** Lists the holds in force. */
export async function listHolds(context: VerbContext): Promise<number> {
  const holds = await (await context.api()).call('GET /v1/holds')
  await printList(context.output, holds, holdColumns, ({ id }) => id)
  return EXIT.done
}

/** Lets go of what a hold kept. */
export async function removeHold(
  context: VerbContext,
  id: string,
  reason: string,
): Promise<number> {
  const api = await context.api()
  await api.call('DELETE /v1/holds/{id}', { params: { id }, query: { reason } })
  context.output.say(`${id} is removed.\n`)
  return EXIT.done
}

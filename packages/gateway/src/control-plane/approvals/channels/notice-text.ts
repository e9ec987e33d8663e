import type { Notice, NoticeKind } from './channel.ts'
import type { ToldApproval } from './told-approval.ts'

const titles: Readonly<Record<NoticeKind, string>> = {
  requested: 'Approval needed',
  decided: 'Decided',
  expired: 'Expired: nobody answered in time',
  withdrawn: 'Withdrawn',
}

/** What a message is about, in words of the gateway alone. */
export function titleOf({
  kind,
  count,
  approvals,
}: Pick<Notice, 'kind' | 'count' | 'approvals'>): string {
  const [first] = approvals
  if (count !== 1 || first === undefined) return `${titles[kind]}: ${count} requests of one tree`
  return `${titles[kind]}: ${first.verb.toUpperCase()} on ${first.connection}`
}

/** A request in lines of plain text. What a caller wrote stands in them, cut and visible; nothing of it is to be interpreted. */
export function linesOf(told: ToldApproval): string[] {
  const { chain, level, connection, database, statement, estimatedRows, objects } = told
  const rows = estimatedRows === undefined ? '' : `, about ${estimatedRows} rows (planner estimate)`
  return [
    `${told.id} · ${connection}/${database}`,
    `${chain.join(' › ')} (${told.agent}, L${level})`,
    statement ?? `${told.verb.toUpperCase()} (the text is not shown)`,
    `${told.class}${objects.length === 0 ? '' : ` on ${objects.join(', ')}`}${rows}`,
    `rule ${told.rules.join(', ')} · needs ${told.wants}`,
    outcomeOf(told),
  ]
}

/** How a request stands, in words of the gateway and of who answered. */
export function outcomeOf({ state, until, answers, note }: ToldApproval): string {
  const yes = answers.filter(({ answer }) => answer === 'approve').map(({ by }) => by)
  switch (state) {
    case 'pending':
      return yes.length === 0
        ? `until ${until}`
        : `until ${until}, approved by ${yes.join(', ')} so far`
    case 'approved':
    case 'used':
      return `✓ approved once by ${yes.join(', ')}`
    case 'denied':
      return `✕ denied by ${answers.find(({ answer }) => answer === 'deny')?.by ?? 'somebody'}`
    case 'expired':
      return 'expired: nobody answered in time'
    case 'withdrawn':
      return `withdrawn${note === undefined ? '' : `: ${note}`}`
  }
}

import type { ApprovalStats } from '@sallyport/gateway'
import type { VerbContext } from '../context.ts'
import { EXIT } from '../exit-codes.ts'
import { printable, printOne } from '../output.ts'

export async function approvalStats(context: VerbContext, since: string): Promise<number> {
  const api = await context.api()
  const stats = await api.call('GET /v1/approvals/stats', { query: { since } })
  await printOne(context.output, stats, textOf(stats), String(stats.asked))
  return EXIT.done
}

function textOf(stats: ApprovalStats): string {
  const { asked, perDay, expiredShare, fastShare, approvers, rules } = stats
  const lines = [
    `${asked} requests since ${stats.since}, ${perDay} a day`,
    `${percent(expiredShare)} expired · ${percent(fastShare)} of answers in less than 5 s`,
    ...approvers.map(
      (each) =>
        `  ${printable(each.name)}  ${each.answers} answers, ${each.perDay} a day · median ${each.medianSeconds} s · ${percent(each.fastShare)} in less than 5 s`,
    ),
    ...rules.flatMap(({ rule, asked: times, approved, denied, expired, proposal }) => [
      `  ${printable(rule)}  asked ${times} · approved ${approved} · denied ${denied} · expired ${expired}`,
      ...(proposal === undefined ? [] : [`    ! ${proposal}`]),
    ]),
  ]
  return lines.map((line) => `${line}\n`).join('')
}

function percent(share: number | null): string {
  return share === null ? '–' : `${Math.round(share * 100)} %`
}

import { sql } from 'kysely'
import type { ApprovalStats } from '../contract/approval-stats.ts'
import type { Store } from '../ports/store.ts'

/** Faster than anybody reads a statement. */
export const fastMs = 5000
/** Fewer say nothing of a rule. */
const narrowedFrom = 100
const narrowedShare = 0.99
const dayMs = 24 * 3_600_000

/** How often people are asked, and whether they look: of requests since a time that are in the store still. */
export async function approvalStats(
  { db }: Store,
  sinceMs: number,
  nowMs: number,
): Promise<ApprovalStats> {
  const since = new Date(sinceMs)
  const [approvers, rules, [all]] = await Promise.all([
    sql<ApproverRow>`
      with said as (
        select approver ->> 'name' as name, approver_id as id,
          extract(epoch from said.at - asked_at) as seconds, said.at
        from approval_answer said join approval on approval.id = approval_id
        where asked_at >= ${since})
      select id, min(name) as name, count(*)::int as answers,
        count(distinct date_trunc('day', at))::int as days,
        percentile_cont(0.5) within group (order by seconds) as median,
        count(*) filter (where seconds < ${fastMs / 1000})::int as fast
      from said group by id order by answers desc, id limit ${linesMax}`.execute(db),
    sql<RuleRow>`
      select demand ->> 'rule' as rule, count(*)::int as asked,
        count(*) filter (where state in ('approved', 'used'))::int as approved,
        count(*) filter (where state = 'denied')::int as denied,
        count(*) filter (where state = 'expired')::int as expired
      from approval, jsonb_array_elements(asked -> 'demands') as demand
      where asked_at >= ${since}
      group by 1 order by asked desc, rule limit ${linesMax}`.execute(db),
    sql<AllRow>`
      select count(*)::int as asked,
        count(*) filter (where state = 'expired')::int as expired,
        count(*) filter (where state not in ('pending', 'approved'))::int as ended
      from approval where asked_at >= ${since}`
      .execute(db)
      .then(({ rows }) => rows),
  ])
  const answers = approvers.rows.reduce((sum, each) => sum + each.answers, 0)
  const fast = approvers.rows.reduce((sum, each) => sum + each.fast, 0)
  return {
    since: since.toISOString(),
    until: new Date(nowMs).toISOString(),
    asked: all?.asked ?? 0,
    perDay: round((all?.asked ?? 0) / Math.max(1, (nowMs - sinceMs) / dayMs)),
    expiredShare: share(all?.expired ?? 0, all?.ended ?? 0),
    fastShare: share(fast, answers),
    approvers: approvers.rows.map(({ name, answers: count, days, median, fast: quick }) => ({
      name,
      answers: count,
      perDay: round(count / Math.max(1, days)),
      medianSeconds: round(Number(median)),
      fastShare: share(quick, count),
    })),
    rules: rules.rows.map(ruleOf),
  }
}

const linesMax = 1000

interface ApproverRow {
  readonly id: string
  readonly name: string
  readonly answers: number
  readonly days: number
  readonly median: number
  readonly fast: number
}

interface RuleRow {
  readonly rule: string
  readonly asked: number
  readonly approved: number
  readonly denied: number
  readonly expired: number
}

interface AllRow {
  readonly asked: number
  readonly expired: number
  readonly ended: number
}

function ruleOf(row: RuleRow): ApprovalStats['rules'][number] {
  const { approved, denied } = row
  const answered = approved + denied
  if (answered < narrowedFrom || approved < answered * narrowedShare) return row
  const proposal = `approved in ${approved} of ${answered} cases: a narrower condition would ask for what is denied`
  return { ...row, proposal }
}

/** Null where there is nothing to have a share of. */
function share(part: number, whole: number): number | null {
  return whole === 0 ? null : round(part / whole)
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000
}

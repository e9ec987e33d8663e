import {
  demandsOf,
  type Approver,
  type CountsFor,
  type Policy,
  type Requester,
  type RuleDemand,
} from '@sallyport/core'
import { sql } from 'kysely'
import type { HoldAsked } from '../../boundary/approvals.ts'
import type { Store } from '../ports/store.ts'

/** Who has changed what a request is decided by, so short a time ago that they may not approve it alone. */
export interface RecentChange {
  readonly why: 'changed-the-rule' | 'changed-the-grant'
  /** The rule that they may not approve by; undefined for all rules. */
  readonly rule?: string
  /** Their name, as the store keeps it with what they did. */
  readonly by: string
  readonly atMs: number
  /** What they did, for people. */
  readonly what: string
}

/** Long enough that somebody else sees the change: nobody makes a rule at night and approves by it at once. */
export const changedMs = 24 * 3_600_000

/**
 * What was changed of the rules and of the grants behind a request, as far as the store knows who did it: versions of policies with
 * an author, and births and renewals of its agents that the owner's token asked for. No change has a second person yet.
 */
export async function recentChanges(
  store: Store,
  { path, demands }: Pick<HoldAsked, 'path' | 'demands'>,
  { owner, nowMs }: { readonly owner: string; readonly nowMs: number },
): Promise<readonly RecentChange[]> {
  const since = new Date(nowMs - changedMs)
  return [
    ...(await changedRules(store, demands, since)),
    ...(await changedGrants(store, path, owner, since)),
  ]
}

/** Nobody counts for a rule that they have changed, nor for any where the grant is theirs. */
export function countsDespite(changes: readonly RecentChange[], requester: Requester): CountsFor {
  return (approver, rule) => barring(changes, approver, rule, requester) === undefined
}

/** The change for which somebody's yes counts for no rule of a request; undefined where it counts for one. */
export function changeInTheWay(
  changes: readonly RecentChange[],
  approver: Approver,
  demands: readonly RuleDemand[],
  requester: Requester,
): RecentChange | undefined {
  const barred = demandsOf(approver, demands, requester).map(({ rule }) =>
    barring(changes, approver, rule, requester),
  )
  return barred.includes(undefined) ? undefined : barred[0]
}

function barring(
  changes: readonly RecentChange[],
  approver: Approver,
  rule: string,
  { rootId }: Requester,
): RecentChange | undefined {
  return changes.find((change) => {
    if (!isBy(change, approver)) return false
    // Whoever stands at the root has given the grant; whether that person may approve is for `selfRoot`.
    return change.rule === undefined ? approver.principal !== rootId : change.rule === rule
  })
}

/** Whether a change is by who answers. A name is all that the store keeps, so that a namesake is refused too. */
function isBy({ by }: RecentChange, { kind, name, principal }: Approver): boolean {
  return (kind !== 'agent' && name === by) || principal === `user:${by}`
}

async function changedRules(
  { db }: Store,
  demands: readonly RuleDemand[],
  since: Date,
): Promise<RecentChange[]> {
  const changes = await db
    .selectFrom('policy_version as version')
    .leftJoin('policy_version as before', (join) =>
      join.on(sql<boolean>`before.version = version.version - 1`),
    )
    .select(['version.version', 'version.author', 'version.loaded_at', 'version.policies'])
    .select('before.policies as earlier')
    .where('version.loaded_at', '>', since)
    .where('version.author', '<>', '')
    .orderBy('version.version')
    .execute()
  return changes.flatMap(({ version, author, loaded_at, policies, earlier }) =>
    demands
      .filter(({ rule }) => policyOf(policies, rule) !== policyOf(earlier ?? [], rule))
      .map(({ rule }) => ({
        why: 'changed-the-rule',
        rule,
        by: author,
        atMs: loaded_at.getTime(),
        what: `${author} changed the policy of ${rule} by version ${version}`,
      })),
  )
}

/**
 * The whole policy that a rule, or a default, stands in: what a rule asks for depends on where its policy applies, and on what
 * the rules beside it ask for.
 */
function policyOf(policies: readonly Policy[], rule: string): string {
  const name = rule.slice(0, rule.lastIndexOf('/'))
  const found = policies.find((each) => each.name === name)
  // Where a rule stands in its file is no part of it.
  return JSON.stringify(found ?? null, (key, value: unknown) => (key === 'at' ? undefined : value))
}

async function changedGrants(
  { db }: Store,
  path: readonly string[],
  owner: string,
  since: Date,
): Promise<RecentChange[]> {
  const changes = await db
    .selectFrom('agent_event')
    .select(['kind', 'agent_id', 'at'])
    // The index is of paths; those of the tree all begin at its root.
    .where(sql<boolean>`path @> array[${path[0] ?? ''}]::text[]`)
    .where('agent_id', 'in', [...path])
    .where('kind', 'in', ['born', 'renewed'])
    .where('by_name', '=', owner)
    // Who is no agent has no chain.
    .where(sql<boolean>`by_chain = '{}'`)
    .where('at', '>', since)
    .orderBy('at')
    .execute()
  return changes.map(({ kind, agent_id, at }) => ({
    why: 'changed-the-grant',
    by: owner,
    atMs: at.getTime(),
    what: `${owner} ${kind === 'born' ? 'made' : 'put off the end of'} ${agent_id}`,
  }))
}

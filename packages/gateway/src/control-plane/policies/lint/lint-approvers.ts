import type { ApprovalDemand, Rule } from '@sallyport/core'
import type { Finding, NotChecked } from './finding.ts'
import { fieldOf, findingsAt, type RuleSite } from './rule-sites.ts'

/** Groups by name, as far as a gateway knows them. */
export type KnownGroups = ReadonlyMap<string, KnownGroup>

/** `directory`: a provider keeps the group here, so these are all. `logins`: these have been seen in it, and there may be more. */
export interface KnownGroup {
  readonly from: 'directory' | 'logins'
  readonly people: readonly string[]
}

/** Whether enough people exist who may say yes. A group that is not fully known is said so, and is never taken for large enough. */
export function lintApprovers(
  id: string,
  rule: Rule,
  site: RuleSite,
  groups: KnownGroups | undefined,
): { readonly findings: readonly Finding[]; readonly notChecked: readonly NotChecked[] } {
  const demand = rule.approve
  const node = fieldOf(site, 'approve')
  if (demand === undefined || node === undefined) return { findings: [], notChecked: [] }
  const { people, unsure } = approversOf(demand, groups)
  if (people.size >= demand.count) return { findings: [], notChecked: [] }
  const needed = demand.count === 1 ? '1 approval is' : `${demand.count} approvals are`
  if (unsure.length > 0) {
    const why = `${needed} needed, and ${unsure.join('; ')}`
    return { findings: [], notChecked: [{ check: 'approvers-too-few', why, rule: id }] }
  }
  const check = people.size === 0 ? 'approver-group-empty' : 'approvers-too-few'
  const found = people.size === 0 ? 'nobody' : people.size === 1 ? '1 person' : `${people.size}`
  const message = `${demand.from.join(', ')} names ${found}, and ${needed} needed: it can never pass`
  const findings = findingsAt(site, { check, severity: 'error', rule: id }, (source) =>
    source.report(message, '', '', node),
  )
  return { findings, notChecked: [] }
}

function approversOf(
  { from }: ApprovalDemand,
  groups: KnownGroups | undefined,
): { readonly people: ReadonlySet<string>; readonly unsure: readonly string[] } {
  const people = new Set<string>()
  const unsure: string[] = []
  for (const who of from) {
    const colon = who.indexOf(':')
    const [kind, name] = [who.slice(0, colon), who.slice(colon + 1)]
    if (kind === 'user') people.add(name.toLowerCase())
    else if (kind !== 'group') people.add(who.toLowerCase())
    else {
      const group = groups?.get(name)
      for (const person of group?.people ?? []) people.add(person.toLowerCase())
      const why = unsureOf(who, group, groups)
      if (why !== undefined) unsure.push(why)
    }
  }
  return { people, unsure }
}

function unsureOf(
  who: string,
  group: KnownGroup | undefined,
  groups: KnownGroups | undefined,
): string | undefined {
  if (groups === undefined) return `no gateway was asked who is in ${who}`
  if (group?.from === 'directory') return undefined
  const seen = group?.people.length ?? 0
  return `no directory lists ${who}: ${seen === 0 ? 'nobody' : seen} of it has been seen at a login`
}

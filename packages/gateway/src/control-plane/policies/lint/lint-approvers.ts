import { areMet, factSchema, type ApprovalDemand, type Approver, type Rule } from '@sallyport/core'
import { canBothHold } from '../../../conditions/lint-condition.ts'
import type { Finding, NotChecked } from './finding.ts'
import { fieldOf, findingsAt, type RuleSite } from './rule-sites.ts'
import type { KnownGroup } from '../../contract/policies.ts'

/** Groups by name, as far as a gateway knows them. */
export type KnownGroups = ReadonlyMap<string, KnownGroup>

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

/** A rule that asks for approval, and where it stands. */
export interface AskingRule {
  readonly id: string
  readonly rule: Rule
  readonly site: RuleSite
}

/** Demands of rules that match one command add up, and nobody counts for two: whether there are enough people for each pair. */
export function lintPairs(
  asking: readonly AskingRule[],
  groups: KnownGroups | undefined,
): readonly Finding[] {
  return asking.flatMap((one, index) =>
    asking.slice(index + 1).flatMap((other) => pairFinding(one, other, groups)),
  )
}

function pairFinding(
  one: AskingRule,
  other: AskingRule,
  groups: KnownGroups | undefined,
): Finding[] {
  const [left, right] = [one.rule.approve, other.rule.approve]
  const node = fieldOf(other.site, 'approve')
  if (left === undefined || right === undefined || node === undefined) return []
  const known = [left, right].map((demand) => approversOf(demand, groups))
  // What is not known whole, or too small by itself, is told of the rule alone.
  if (known.some(({ unsure }) => unsure.length > 0)) return []
  const approvers = [left, right].flatMap((demand) => everybody(demand, groups))
  const demandOf = (id: string, demand: ApprovalDemand) => ({ rule: id, message: '', demand })
  const both = [demandOf(one.id, left), demandOf(other.id, right)]
  const alone = both.every((each) => areMet([each], approvers, nobodyAsks))
  if (!alone || areMet(both, approvers, nobodyAsks)) return []
  const schema = factSchema([...one.rule.on, ...other.rule.on])
  if ('refused' in schema || !canBothHold(one.rule.when, other.rule.when, schema)) return []
  const message = `a command that ${one.id} matches as well needs more people than both name: nobody counts for two rules`
  const what = { check: 'approvers-too-few', severity: 'warning', rule: other.id } as const
  return findingsAt(other.site, what, (source) => source.report(message, '', '', node))
}

const nobodyAsks = { rootId: '', rootIsHuman: false, agents: new Set<string>() }

/** All who are named, each with the groups that name them. */
function everybody({ from }: ApprovalDemand, groups: KnownGroups | undefined): Approver[] {
  const named = from.flatMap((who): readonly Approver[] => {
    const name = who.slice(who.indexOf(':') + 1)
    if (who === 'owner') {
      return [{ id: 'owner', kind: 'owner', principal: 'owner', name: 'owner', groups: [] }]
    }
    if (who.startsWith('agent:')) return [agent(name)]
    return who.startsWith('user:') ? [person(name, groups)] : peopleOf(name, groups)
  })
  return named
}

function peopleOf(group: string, groups: KnownGroups | undefined): readonly Approver[] {
  return (groups?.get(group)?.people ?? []).map((name) => person(name, groups))
}

/** By its id, or by `NAME@PRINCIPAL`: all agents of a principal are one. */
function agent(named: string): Approver {
  const at = named.indexOf('@')
  const [name, principal] = at < 0 ? ['', named] : [named.slice(0, at), named.slice(at + 1)]
  return { id: named, kind: 'agent', principal, name, groups: [] }
}

/** One person however spelled, in all groups that a directory names them in. */
function person(name: string, groups: KnownGroups | undefined): Approver {
  const id = name.toLowerCase()
  const held = [...(groups ?? [])].filter(([, { people }]) =>
    people.some((each) => each.toLowerCase() === id),
  )
  return { id, kind: 'person', principal: id, name, groups: held.map(([group]) => group) }
}

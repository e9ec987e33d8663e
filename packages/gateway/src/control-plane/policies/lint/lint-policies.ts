import { factSchema, type Policy, type Rule } from '@sallyport/core'
import { lintCondition } from '../../../conditions/lint-condition.ts'
import { type PolicyFile, readWhatCanBeRead } from '../load-policy-folder.ts'
import type { Finding, LintReport, NotChecked } from './finding.ts'
import { type AskingRule, lintApprovers, lintPairs, type KnownGroups } from './lint-approvers.ts'
import { historyNotAsked, type KnownHistory, lintHistory } from './lint-history.ts'
import { fieldOf, findingsAt, refusal, ruleSites, type RuleSite } from './rule-sites.ts'

/** What a gateway knows beyond the files. What is absent is not known. */
export interface LintKnowledge {
  readonly groups?: KnownGroups
  readonly history?: KnownHistory
}

/** Looks at policies without running anything. All that `readPolicyFiles` refuses is an error; what only looks wrong is found beside it. */
export function lintPolicies(files: readonly PolicyFile[], knowledge: LintKnowledge): LintReport {
  const { policies, problems } = readWhatCanBeRead(files)
  const sites = ruleSites(files)
  const findings = problems.map(refusal)
  const { groups, history } = knowledge
  const notChecked: NotChecked[] = history === undefined ? [historyNotAsked] : []
  const asking: AskingRule[] = []
  for (const policy of policies) {
    const site = sites.get(policy.name)
    if (site !== undefined) findings.push(...lintOwner(policy, site))
    for (const rule of policy.rules) {
      const id = `${policy.name}/${rule.name}`
      const ruleSite = sites.get(id)
      if (ruleSite === undefined) continue
      findings.push(...lintWhen(id, rule, ruleSite))
      const approvers = lintApprovers(id, rule, ruleSite, groups)
      findings.push(...approvers.findings)
      notChecked.push(...approvers.notChecked)
      if (rule.approve !== undefined) asking.push({ id, rule, site: ruleSite })
      if (history !== undefined) findings.push(...lintHistory(id, rule, ruleSite, history))
    }
  }
  findings.push(...lintPairs(asking, groups))
  if (policies.some((policy) => policy.rules.some(({ masks }) => masks.length > 0)))
    notChecked.push(catalogNotAsked)
  const rules = policies.reduce((sum, policy) => sum + policy.rules.length, 0)
  return { findings: findings.toSorted(byPlace), notChecked, policies: policies.length, rules }
}

const catalogNotAsked: NotChecked = {
  check: 'mask-no-such-column, mask-type',
  why: 'no target was asked for its columns',
}

/** Who may change a rule is what a refused caller asks first. */
function lintOwner({ name, owner, rules }: Policy, site: RuleSite): Finding[] {
  if (owner !== '' || rules.every((rule) => rule.owner !== undefined)) return []
  const message = `nobody is named who can change the rules of "${name}"`
  const hint = 'add owner:'
  return findingsAt(site, { check: 'no-owner', severity: 'warning' }, (source) =>
    source.report(message, hint, '', site.node),
  )
}

function lintWhen(id: string, rule: Rule, site: RuleSite): Finding[] {
  const schema = factSchema(rule.on)
  const node = fieldOf(site, 'when')
  if ('refused' in schema || node === undefined) return []
  return lintCondition(rule.when, schema, rule.effect).flatMap((problem) =>
    findingsAt(
      site,
      { check: problem.check, severity: severityOf(problem.check), rule: id },
      (source) => source.reportInScalar(problem.message, '', node, problem),
    ),
  )
}

const errors: ReadonlySet<string> = new Set(['always-false', 'map-index'])

function severityOf(check: string): Finding['severity'] {
  return errors.has(check) ? 'error' : 'warning'
}

function byPlace(a: Finding, b: Finding): number {
  if (a.file !== b.file) return a.file < b.file ? -1 : 1
  return a.line - b.line || a.column - b.column
}

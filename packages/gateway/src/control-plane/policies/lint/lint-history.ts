import type { Rule } from '@sallyport/core'
import type { Finding, NotChecked } from './finding.ts'
import { findingsAt, type RuleSite } from './rule-sites.ts'

/** What these rules would have made of recorded commands. */
export interface KnownHistory {
  readonly since: string
  /** Commands that the rules were asked about. */
  readonly commands: number
  readonly rules: readonly {
    readonly id: string
    readonly matched: number
    readonly decided: number
  }[]
}

/** Rules that did nothing in what is recorded: they never matched, or something stronger decided each time. */
export function lintHistory(
  id: string,
  rule: Rule,
  site: RuleSite,
  history: KnownHistory,
): readonly Finding[] {
  const hits = history.rules.find((each) => each.id === id)
  // Openings of sessions are not replayed.
  if (hits === undefined || history.commands === 0 || rule.on.includes('session')) return []
  const { since, commands } = history
  const of = `${commands.toLocaleString('en')} commands since ${since}`
  const finding = (check: string, message: string): readonly Finding[] =>
    findingsAt(site, { check, severity: 'warning', rule: id }, (source) =>
      source.report(message, '', '', site.node),
    )
  if (hits.matched === 0) {
    const check = rule.observe ? 'observe-stale' : 'never-matched'
    return finding(check, `${rule.name} matched none of ${of}`)
  }
  if (hits.decided > 0 || rule.observe) return []
  const message = `${rule.name} matched ${hits.matched.toLocaleString('en')} of ${of}, and a stronger effect won each time`
  return finding('shadowed', message)
}

/** Said of all rules where nobody asked what is recorded. */
export const historyNotAsked: NotChecked = {
  check: 'never-matched, observe-stale, shadowed',
  why: 'nobody asked what is recorded: --history 30d',
}

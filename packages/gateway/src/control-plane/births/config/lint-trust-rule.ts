import type { FieldReader } from '../../policies/field-reader.ts'
import type { ClaimMatch, TrustRule } from './identity-config.ts'

/** Events that run code of strangers with the identity of the repository. */
export const foreignEvents = ['pull_request_target', 'workflow_run']

/** An issuer that many tenants share, and the claims that tell them apart for good. */
interface SharedIssuer {
  readonly issuer: RegExp
  /** Names that an owner may change or give away; they are hints of this issuer too. */
  readonly mutable: readonly string[]
  readonly pins: readonly string[]
}

const sharedIssuers: readonly SharedIssuer[] = [
  {
    issuer:
      /^https:\/\/(?:token\.actions\.githubusercontent\.com|token\.actions\.[a-z0-9-]+\.ghe\.com)(?:\/|$)/u,
    mutable: ['repository', 'repository_owner', 'job_workflow_ref', 'workflow_ref'],
    pins: ['repository_id', 'repository_owner_id'],
  },
  {
    issuer: /^https:\/\/gitlab\.com\/?$/u,
    mutable: ['project_path', 'namespace_path', 'ci_config_ref_uri'],
    pins: ['project_id', 'namespace_id'],
  },
]

/** Reports a rule that would accept more than its author can mean. */
export function lintTrustRule(read: FieldReader, rule: TrustRule): void {
  if (read.has('match') && rule.match.length === 0) {
    read.report('match', 'a rule without claims accepts everybody whom the issuer knows')
  }
  for (const match of rule.match) lintClaim(read, match)
  lintPins(read, rule)
  lintEvents(read, rule)
}

function lintClaim(read: FieldReader, { claim, values, glob }: ClaimMatch): void {
  const report = (message: string, hint = ''): void => {
    const node = read.get('match')
    read.source.report(message, hint, `spec.match.${claim}`, node)
  }
  if (claim === 'sub' || claim === '/sub') {
    report(
      'sub is not matched: its form changes',
      'match the claims with numbers, such as repository_id',
    )
  }
  if (glob && !/(?:^|[_/])ref(?:_|$)/u.test(claim)) {
    report(`globs are for claims of references only, and "${claim}" is none`)
  }
  if (values.includes('')) report(`"${claim}" matches an empty text`)
}

function lintPins(read: FieldReader, { issuer, match }: TrustRule): void {
  const named = match.map(({ claim }) => claim.replace(/^\//u, ''))
  const shared = sharedIssuers.find(
    (each) => each.issuer.test(issuer) || each.mutable.some((claim) => named.includes(claim)),
  )
  if (shared === undefined || !read.has('match')) return
  const pinned = match.some(
    ({ claim, values, glob }) =>
      shared.pins.includes(claim.replace(/^\//u, '')) &&
      !glob &&
      values.length > 0 &&
      values.every((value) => /^[1-9]\d*$/u.test(value)),
  )
  if (!pinned) {
    const hint = `add ${shared.pins.join(' or ')} with its number`
    read.report(
      'match',
      'names may be changed and taken by others: a rule has to pin a number',
      hint,
    )
  }
}

function lintEvents(read: FieldReader, { match, allowEvents }: TrustRule): void {
  for (const { claim, values } of match) {
    if (claim.replace(/^\//u, '') !== 'event_name') continue
    for (const event of foreignEvents) {
      if (!values.includes(event) || allowEvents.includes(event)) continue
      const message = `${event} runs code of strangers with the identity of the repository`
      read.report('match', message, `if that is meant: allowEvents: [${event}]`)
    }
  }
}

import type { JWTPayload } from 'jose'
import { matchesAny } from '@sallyport/core'
import type { ClaimMatch, Naming, TrustRule } from '../config/identity-config.ts'
import { foreignEvents } from '../config/lint-trust-rule.ts'

/** The text of a claim, by name or by JSON Pointer (RFC 6901); undefined where it is absent, a list or an object. */
export function claimText(claims: JWTPayload, claim: string): string | undefined {
  const steps = claim.startsWith('/')
    ? claim
        .slice(1)
        .split('/')
        .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
    : [claim]
  let value: unknown = claims
  for (const step of steps) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
    if (!Object.hasOwn(value, step)) return undefined
    value = (value as Record<string, unknown>)[step]
  }
  if (typeof value === 'string') return value
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : undefined
}

/** Says why a rule does not accept the claims; undefined where it does. */
export function mismatch(rule: TrustRule, claims: JWTPayload): string | undefined {
  for (const match of rule.match) {
    const text = claimText(claims, match.claim)
    if (text === undefined) return `the claim ${match.claim} is absent`
    if (!accepts(match, text)) return `the claim ${match.claim} has another value`
  }
  const event = claimText(claims, 'event_name')
  if (event !== undefined && foreignEvents.includes(event) && !rule.allowEvents.includes(event)) {
    return `the event ${event} is not in allowEvents`
  }
  return undefined
}

function accepts({ values, glob }: ClaimMatch, text: string): boolean {
  return glob ? matchesAny(values, text) : values.includes(text)
}

/** The values of a key, in the order of the rule; undefined where one is absent. */
export function keyOf(naming: Naming, claims: JWTPayload): readonly string[] | undefined {
  const values: string[] = []
  for (const claim of naming.key) {
    const text = claimText(claims, claim)
    if (text === undefined || text === '') return undefined
    values.push(text)
  }
  return values
}

/** Longer names are cut by agents anyway. */
const nameLengthMax = 32

/** Fills a template such as `gh-{run_id}`; what can't stand in a name becomes a dash. */
export function fillName(template: string, claims: JWTPayload): string {
  return agentName(
    template.replaceAll(/\{([^{}]+)\}/gu, (_, claim: string) => claimText(claims, claim) ?? ''),
  )
}

/** The nearest name that an agent may have. */
export function agentName(text: string): string {
  const name = text
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/gu, '-')
    .replace(/^-/u, '')
    .slice(0, nameLengthMax)
    .replace(/-$/u, '')
  return name === '' ? 'agent' : name
}

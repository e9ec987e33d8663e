import { createHash } from 'node:crypto'
import { agentName, fillName, keyOf } from './claims.ts'
import type { AcceptedToken } from './verify-token.ts'

/** Where in a tree the agent of a token stands. */
export interface Job {
  readonly rootKey?: string
  readonly rootName: string
  readonly childKey?: string
  readonly childName: string
  /** Of the run and of the job, where the rule names them. */
  readonly keys: readonly string[]
}

/** What a token says of a job, for the record. */
const declaredClaims =
  'repository ref sha actor workflow run_id run_attempt event_name environment project_path pipeline_id job_id user_login'.split(
    ' ',
  )
const declaredCharactersMax = 200
const unfit = /[\p{Cc}\p{Cs}]/gu

/** Reads where a rule puts the agent of a token; undefined where a claim of a key is absent. */
export function jobOf({ rule, claims, id }: AcceptedToken): Job | undefined {
  if (rule.root === undefined) return { rootName: rule.name, childName: rule.name, keys: [] }
  const root = keyOf(rule.root, claims)
  const child = rule.child === undefined ? [id] : keyOf(rule.child, claims)
  if (root === undefined || child === undefined) return undefined
  const rootKey = digest(['root', rule.name, ...root])
  const job = { rootKey, rootName: fillName(rule.root.name, claims) }
  if (rule.child === undefined) return { ...job, childName: agentName('job'), keys: [rootKey] }
  const childKey = digest(['child', rootKey, ...child])
  return {
    ...job,
    childKey,
    childName: fillName(rule.child.name, claims),
    keys: [rootKey, childKey],
  }
}

/** One text for a list of texts, however they are divided. */
export function digest(parts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex')
}

/** What the record keeps of a token. */
export function recordOf({ rule, claims }: AcceptedToken): Record<string, string> {
  const found: Record<string, string> = { rule: rule.name, issuer: rule.issuer }
  for (const claim of declaredClaims) {
    const value = claims[claim]
    // A cut may leave half of a letter, which the store refuses.
    if (typeof value === 'string')
      found[claim] = value.slice(0, declaredCharactersMax).replaceAll(unfit, '?')
  }
  return found
}

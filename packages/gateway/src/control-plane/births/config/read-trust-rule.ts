import { dirname, resolve } from 'node:path'
import { isMap, isScalar, isSeq } from 'yaml'
import { FieldReader } from '../../policies/field-reader.ts'
import type { ClaimMatch, KeyPlace, Naming, TokenReview, TrustRule } from './identity-config.ts'
import { lintTrustRule } from './lint-trust-rule.ts'
import { readSecret } from './read-secret.ts'
import { readDuration, readUrl } from './read-values.ts'

const fields =
  'issuer audience jwksUri jwksFile tokenReview match allowEvents root child profile owner maxTtl replay'.split(
    ' ',
  )
/** A workload that runs longer asks with a new token. */
const ttlMaxMs = 6 * 3_600_000
const ttlDefaultMs = 3_600_000

/** Reads the `spec` of a `TrustRule`. */
export function readTrustRule(name: string, node: unknown, spec: FieldReader): TrustRule {
  const read = new FieldReader(spec.source, node, 'spec', fields)
  for (const field of ['issuer', 'match', 'owner']) read.require(field)
  const owner = read.text('owner') ?? ''
  if (read.has('owner') && !/^(?:group|user):./u.test(owner)) {
    read.report('owner', `"${owner}" is not group:name or user:name`)
  }
  const audience = read.text('audience')
  const root = readNaming(read, 'root')
  const child = readNaming(read, 'child')
  if (child !== undefined && root === undefined) read.report('child', 'child needs root')
  const profile = read.text('profile')
  const tokenReview = readTokenReview(read)
  const rule: TrustRule = {
    name,
    issuer: readUrl(read, 'issuer') ?? '',
    keys: readKeyPlace(read),
    ...(tokenReview === undefined ? {} : { tokenReview }),
    ...(audience === undefined ? {} : { audience }),
    match: readMatch(read),
    allowEvents: read.texts('allowEvents'),
    ...(root === undefined ? {} : { root }),
    ...(child === undefined ? {} : { child }),
    ...(profile === undefined ? {} : { profile }),
    owner,
    maxTtlMs: readDuration(read, 'maxTtl', ttlMaxMs) ?? ttlDefaultMs,
    replay: readReplay(read),
  }
  lintTrustRule(read, rule)
  return rule
}

export function readKeyPlace(read: FieldReader): KeyPlace {
  if (read.has('jwksUri') && read.has('jwksFile')) {
    read.report('jwksFile', 'name jwksUri or jwksFile, not both')
  }
  const path = read.text('jwksFile')
  if (path !== undefined) return { kind: 'file', path: resolve(dirname(read.source.file), path) }
  const uri = readUrl(read, 'jwksUri')
  return uri === undefined ? { kind: 'discovery' } : { kind: 'uri', uri }
}

function readTokenReview(read: FieldReader): TokenReview | undefined {
  if (!read.has('tokenReview')) return undefined
  if (!isOnPods(read))
    read.report('tokenReview', 'tokenReview is for rules that match claims of /kubernetes.io/')
  const at = read.at('tokenReview')
  const known = ['url', 'caFile', 'token']
  const review = new FieldReader(read.source, read.get('tokenReview'), at, known)
  for (const field of ['url', 'token']) review.require(field)
  const url = readUrl(review, 'url')
  const token = readSecret(review, 'token')
  const ca = review.text('caFile')
  if (url === undefined || token === undefined) return undefined
  const caFile = ca === undefined ? {} : { caFile: resolve(dirname(read.source.file), ca) }
  return { url, token, ...caFile }
}

/** The keys are claims, so they are taken as they come; each value is a text, a list of texts, or `{glob: text}`. */
function readMatch(read: FieldReader): ClaimMatch[] {
  if (!read.has('match')) return []
  const match = new FieldReader(read.source, read.get('match'), read.at('match'), [])
  return match.names().map((claim) => {
    const node = match.get(claim)
    if (isMap(node)) {
      const pattern = new FieldReader(match.source, node, match.at(claim), ['glob'])
      pattern.require('glob')
      return { claim, values: pattern.texts('glob', true), glob: true }
    }
    if (!isScalar(node) && !isSeq(node))
      match.report(claim, 'a claim is matched by text, a list of texts, or {glob: text}')
    const values = match.texts(claim, true)
    if (isSeq(node) && values.length === 0) match.report(claim, 'an empty list matches nothing')
    return { claim, values, glob: false }
  })
}

function readNaming(read: FieldReader, name: 'root' | 'child'): Naming | undefined {
  if (!read.has(name)) return undefined
  const naming = new FieldReader(read.source, read.get(name), read.at(name), ['key', 'name'])
  for (const field of ['key', 'name']) naming.require(field)
  const key = naming.texts('key')
  if (naming.has('key') && key.length === 0) naming.report('key', 'a key needs at least one claim')
  return { key, name: naming.text('name') ?? '' }
}

/** The kubelet hands the same token to a container that starts again, so a rule on pods takes it again by default. */
function readReplay(read: FieldReader): TrustRule['replay'] {
  const onPods = isOnPods(read)
  const replay = read.oneOf('replay', ['once', 'per-pod'])
  if (replay === 'per-pod' && !onPods) {
    read.report('replay', 'per-pod is for rules that match claims of /kubernetes.io/')
  }
  return replay ?? (onPods ? 'per-pod' : 'once')
}

function isOnPods(read: FieldReader): boolean {
  const match = read.get('match')
  return (
    isMap(match) &&
    match.items.some(({ key }) => isScalar(key) && String(key.value).startsWith('/kubernetes.io/'))
  )
}

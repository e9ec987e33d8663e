import { FieldReader } from '../../policies/field-reader.ts'
import type { Service } from './identity-config.ts'
import { readKeyPlace } from './read-trust-rule.ts'
import { readDuration } from './read-values.ts'

/** A service that runs longer asks again. */
const ttlMaxMs = 6 * 3_600_000
const ttlDefaultMs = 3_600_000

/** Reads the `spec` of a `Service`. */
export function readService(name: string, node: unknown, spec: FieldReader): Service {
  const known = ['jwksUri', 'jwksFile', 'owner', 'profile', 'maxTtl']
  const read = new FieldReader(spec.source, node, 'spec', known)
  read.require('owner')
  const owner = read.text('owner') ?? ''
  if (read.has('owner') && !/^(?:group|user):./u.test(owner)) {
    read.report('owner', `"${owner}" is not group:name or user:name`)
  }
  const keys = readKeyPlace(read)
  if (keys.kind === 'discovery')
    read.report('jwksFile', 'a service has no issuer to ask: name jwksFile or jwksUri')
  const profile = read.text('profile')
  return {
    name,
    keys,
    owner,
    ...(profile === undefined ? {} : { profile }),
    maxTtlMs: readDuration(read, 'maxTtl', ttlMaxMs) ?? ttlDefaultMs,
  }
}

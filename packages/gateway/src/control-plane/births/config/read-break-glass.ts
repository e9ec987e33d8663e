import type { BreakGlassGrant } from '../../break-glass/break-glass.ts'
import { FieldReader } from '../../policies/field-reader.ts'
import { readDuration } from './read-values.ts'

/** Longer is no emergency: somebody else is awake by then. */
const maxMsMax = 4 * 3_600_000

/** Reads the `spec` of a `BreakGlass`. */
export function readBreakGlass(name: string, node: unknown, spec: FieldReader): BreakGlassGrant {
  const known = ['to', 'connections', 'max', 'review']
  const read = new FieldReader(spec.source, node, 'spec', known)
  for (const field of known) read.require(field)
  const connections = read.texts('connections')
  if (read.has('connections') && connections.length === 0)
    read.report('connections', 'this names no connection')
  return {
    name,
    to: readPersons(read, 'to'),
    connections,
    maxMs: readDuration(read, 'max', maxMsMax) ?? 0,
    review: readPersons(read, 'review'),
  }
}

function readPersons(read: FieldReader, field: string): readonly string[] {
  const words = read.texts(field)
  if (read.has(field) && words.length === 0) read.report(field, 'this names nobody')
  for (const who of words) {
    if (!/^(?:owner|(?:group|user):.+)$/u.test(who))
      read.report(field, `"${who}" is not owner, group:name or user:name: a person it has to be`)
  }
  return words
}

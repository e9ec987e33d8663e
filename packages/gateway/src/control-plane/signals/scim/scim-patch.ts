import { ScimError } from './scim-error.ts'
import type { Operation } from './scim-user.ts'
import { type Attributes, readAttributes, readList } from './scim-values.ts'

/** Entra sends each member that joins as an operation of its own. */
const operationsMax = 1000
const pathCharactersMax = 512

/** Reads the operations of a PATCH (RFC 7644, section 3.5.2). Entra begins `op` with a capital. */
export function readOperations(body: Attributes): readonly Operation[] {
  const list = readList(body.get('operations'), 'Operations', operationsMax)
  if (list.length === 0) throw new ScimError(400, 'there are no Operations', 'invalidSyntax')
  return list.map((each) => {
    const attributes = readAttributes(each, 'an operation')
    const named = attributes.get('op')
    const op = typeof named === 'string' ? named.toLowerCase() : ''
    if (op !== 'add' && op !== 'remove' && op !== 'replace')
      throw new ScimError(400, 'op must be add, remove or replace', 'invalidSyntax')
    const path = attributes.get('path')
    if (path === undefined || path === null || path === '')
      return { op, value: attributes.get('value') }
    if (typeof path !== 'string' || path.length > pathCharactersMax)
      throw new ScimError(400, 'path must be a short text', 'invalidPath')
    return { op, path, value: attributes.get('value') }
  })
}

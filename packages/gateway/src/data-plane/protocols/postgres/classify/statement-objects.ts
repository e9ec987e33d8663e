import type { ObjectName } from '@sallyport/core'
import { at, list, rangeVarName, tagged, text, words, type Tree } from './tree.ts'

/** Fields in which statements name their object, first match wins. */
const nameFields = [
  'role',
  'dbname',
  'extname',
  'subname',
  'pubname',
  'tablespacename',
  'servername',
  'fdwname',
  'plname',
  'trigname',
  'evtname',
  'amname',
  'label',
  'conditionname',
]
const listFields = [
  'typeName',
  'defnames',
  'opclassname',
  'opfamilyname',
  'conversion_name',
  'dictname',
  'cfgname',
  'collname',
  'funcname',
  'domainname',
]

/** The objects that a definition names, as written; empty where it names none that policy could use. */
export function objectsOf(tag: string, body: Tree): readonly ObjectName[] {
  if (tag === 'DropRoleStmt' || tag === 'ReassignOwnedStmt' || tag === 'DropOwnedStmt') {
    return list(body, 'roles').map((role) => [text(tagged(role, 'RoleSpec') ?? {}, 'rolename')])
  }
  if (tag === 'CreateEventTrigStmt') return [[text(body, 'trigname')]]
  if (tag === 'AlterFunctionStmt') return [words(list(at(body, 'func') ?? {}, 'objname'))]
  if (tag === 'AlterRoleStmt' || tag === 'AlterRoleSetStmt') {
    const name = text(at(body, 'role') ?? {}, 'rolename')
    return name === '' ? [] : [[name]]
  }
  const typeVar = at(body, 'typevar')
  if (typeVar !== undefined) return [rangeVarName(typeVar)]
  for (const field of listFields) {
    const name = words(list(body, field))
    if (name.length > 0) return [name]
  }
  for (const field of nameFields) {
    const name = text(body, field)
    if (name !== '') return [[name]]
  }
  return []
}

/** The name of one object in DROP, COMMENT, ALTER OWNER: a string, a list, a type or a function with its arguments. */
export function objectName(node: Tree | undefined): ObjectName {
  if (node === undefined) return []
  const single = words([node])
  if (single.length > 0) return single
  const nested = tagged(node, 'List')
  if (nested !== undefined) return words(list(nested, 'items'))
  const type = tagged(node, 'TypeName')
  if (type !== undefined) return words(list(type, 'names'))
  return words(list(tagged(node, 'ObjectWithArgs') ?? {}, 'objname'))
}

/** `OBJECT_MATVIEW` becomes `materialized_view`. */
export function objectKind(type: string): string {
  const kind = type.replace(/^OBJECT_/, '').toLowerCase()
  if (kind === 'matview') return 'materialized_view'
  return kind === 'tabconstraint' ? 'constraint' : kind
}

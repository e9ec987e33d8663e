import {
  at,
  constantText,
  isTree,
  list,
  tagged,
  text,
  unwrap,
  words,
  type Tree,
} from '../classify/tree.ts'
import type { Context, Output } from './context.ts'
import { findItem, findName, type Visible } from './scope.ts'

/**
 * How many rows a SELECT gives, where it is one whatever is stored: by LIMIT, without FROM, or by an aggregate over all rows.
 * `from` is what its own FROM makes visible.
 */
export function rowsOf(body: Tree, from: Visible, context: Context): Output['rows'] {
  const targets = list(body, 'targetList')
  if (targets.some((node) => holds(node, (call) => givesRows(call, context))))
    return limitedRows(body)
  const hasLimit = body['limitCount'] !== undefined || body['limitOffset'] !== undefined
  const isFiltered = body['whereClause'] !== undefined || body['havingClause'] !== undefined
  if (list(body, 'fromClause').length === 0) return hasLimit || isFiltered ? 'at most one' : 'one'
  const isGrouped = list(body, 'groupClause').length > 0
  if (!isGrouped && targets.some((node) => holds(node, (call) => isAggregate(call, from, context))))
    return hasLimit || body['havingClause'] !== undefined ? 'at most one' : 'one'
  return limitedRows(body)
}

/** What LIMIT alone tells of the number of rows. */
export function limitedRows(body: Tree): Output['rows'] {
  return isLimitedToOne(body) ? 'at most one' : undefined
}

function isLimitedToOne(body: Tree): boolean {
  if (text(body, 'limitOption') === 'LIMIT_OPTION_WITH_TIES') return false
  return (
    isSafeLimit(at(body, 'limitCount')) &&
    /^[01]$/.test(constantText(at(body, 'limitCount') ?? {}) ?? '')
  )
}

/** A number that is not negative. Texts that share a template have the same sign, so it is no look at the constant. */
export function isSafeLimit(node: Tree | undefined): boolean {
  const constant = tagged(node, 'A_Const')
  if (constant?.['isnull'] === true) return true
  const value = at(constant ?? {}, 'ival')
  return value !== undefined && Number(value['ival'] ?? 0) >= 0
}

function givesRows(call: Tree, context: Context): boolean {
  const name = words(list(call, 'funcname')).at(-1) ?? ''
  if (context.catalog.builtin(name)?.returnsSet === true) return true
  return context.catalog.functionsNamed(name).some(({ returnsSet }) => returnsSet)
}

/** Whether a call is an aggregate of this query: one whose arguments all come from outside is an aggregate of that. */
function isAggregate(call: Tree, from: Visible, context: Context): boolean {
  const name = words(list(call, 'funcname')).at(-1) ?? ''
  if (call['over'] !== undefined || from.open !== undefined) return false
  if (context.catalog.functionsNamed(name).length > 0) return false
  if (context.catalog.builtin(name)?.isAggregate !== true) return false
  const names: (readonly string[])[] = []
  for (const arg of list(call, 'args'))
    visit(arg, (tag, body) => {
      if (tag === 'ColumnRef') names.push(words(list(body, 'fields')))
      return tag !== 'SubLink'
    })
  const scope = { ...from, outer: undefined }
  return (
    names.length === 0 ||
    names.some((parts) =>
      parts.length === 1
        ? findName(scope, parts[0] ?? '').kind !== 'none'
        : findItem(scope, parts.slice(0, -1)) !== undefined,
    )
  )
}

/** Whether a call that fits stands in an expression, but for its sub-queries. */
function holds(node: Tree, fits: (call: Tree) => boolean): boolean {
  let found = false
  visit(node, (tag, body) => {
    if (tag === 'FuncCall') found ||= fits(body)
    return !found && tag !== 'SubLink'
  })
  return found
}

/** Walks all nodes of a tree, down as far as `enter` says. */
function visit(value: unknown, enter: (tag: string, body: Tree) => boolean): void {
  if (Array.isArray(value)) {
    for (const one of value) visit(one, enter)
    return
  }
  if (!isTree(value)) return
  const inner = unwrap(value)
  if (inner !== undefined && !enter(inner.tag, inner.body)) return
  for (const field of Object.values(value)) visit(field, enter)
}

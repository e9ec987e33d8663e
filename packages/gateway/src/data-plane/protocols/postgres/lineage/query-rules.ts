import { unwrap, type Tree } from '../classify/tree.ts'
import { deleteOutput, insertOutput, mergeOutput, updateOutput } from './change-rules.ts'
import type { Context, Output, Place } from './context.ts'
import { selectOutput } from './select-rules.ts'

type QueryRule = (body: Tree, place: Place, context: Context) => Output

const queryRules: Readonly<Record<string, QueryRule>> = {
  SelectStmt: selectOutput,
  InsertStmt: insertOutput,
  UpdateStmt: updateOutput,
  DeleteStmt: deleteOutput,
  MergeStmt: mergeOutput,
}

/** What a query gives, whatever its kind. What it does beside is added to the context's facts. */
export function queryOutput(node: Tree, place: Place, context: Context): Output {
  const { tag, body } = unwrap(node) ?? { tag: 'an unnamed node', body: {} }
  const rule = queryRules[tag]
  if (rule === undefined) {
    context.facts.unresolved.add(tag)
    return { columns: [], open: context.masks.anything }
  }
  return rule(body, place, context)
}

export function isQuery(tag: string): boolean {
  return Object.hasOwn(queryRules, tag)
}

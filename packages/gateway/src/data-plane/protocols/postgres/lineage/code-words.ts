import { isActing, isSideDoor, readsAnything } from './builtin-totals.ts'
import type { Context } from './context.ts'
import { derived, type Flow } from './flow.ts'
import type { LineageRelation } from './lineage-catalog.ts'
import { flowsOf } from './outputs.ts'

/** What a body in PL/pgSQL can reach, told by its words alone. */
export interface CodeReach {
  /** What the relations and functions that it names can carry. */
  readonly flow: Flow
  readonly relations: readonly LineageRelation[]
  /** It may write, or tell something to somebody. */
  readonly acts: boolean
}

const writing = new Set(
  'insert update delete merge copy notify perform call truncate create alter drop set reset lock listen'.split(
    ' ',
  ),
)

/** Undefined where the body may reach what its words do not name. */
export function codeReach(source: string, context: Context): CodeReach | undefined {
  const words = wordsOf(source)
  if (words === undefined || words.includes('execute')) return undefined
  if (words.some((word) => readsAnything(word) || isSideDoor(word))) return undefined
  const relations = words.flatMap((word) => context.catalog.bearing(word))
  const flows = relations.flatMap((relation) => flowsOf(context.relation(relation)))
  const called = [
    words.map((word) => context.catalog.functionsNamed(word)),
    [context.catalog.casts],
  ]
  for (const operator of context.catalog.operators)
    if (source.includes(operator)) called.push([context.catalog.operatorsNamed(operator)])
  for (const functions of called.flat()) {
    flows.push(...flowsOf(context.calledByName(functions, derived(flows))))
  }
  const acts = words.some((word) => writing.has(word) || isActingWord(word, context))
  return { flow: derived(flows), relations, acts }
}

function isActingWord(word: string, context: Context): boolean {
  const builtin = context.catalog.builtin(word)
  return builtin !== undefined && isActing(word, builtin.isVolatile)
}

/** All words of a body, quoted names too, in comments and texts as well; undefined where names are spelled by codes. */
function wordsOf(source: string): readonly string[] | undefined {
  if (/u&['"]/i.test(source)) return undefined
  const plain = source.match(/[\p{L}_][\p{L}\p{N}_$]*/gu) ?? []
  const quoted = [...source.matchAll(/"((?:[^"]|"")+)"/g)].map(([, name = '']) =>
    name.replaceAll('""', '"'),
  )
  return [...new Set([...plain.map((word) => word.toLowerCase()), ...quoted])]
}

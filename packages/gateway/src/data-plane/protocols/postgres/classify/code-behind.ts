import type { Effects } from '@sallyport/core'
import type { CatalogView } from './classified.ts'
import type { CatalogFunction } from './stored-code.ts'

/**
 * The target's own code that a command may set off: definitions of views, rules, triggers, defaults and functions. Two
 * commands of one text and one effect may still do different things where this differs.
 */
export function codeBehind({ objects, sql }: Effects, view: CatalogView): readonly string[] {
  const found = new Set<string>()
  const addFunction = (fn: CatalogFunction): void => {
    found.add(JSON.stringify([fn.schema, fn.name, fn.definition ?? '', fn.checks ?? []]))
    for (const behind of fn.behind ?? []) addFunction(behind)
  }
  for (const name of sql?.functions ?? [])
    for (const bare of endsOf(name))
      for (const fn of view.functionsNamed(bare) ?? []) addFunction(fn)
  const touched = [...objects, ...(sql?.reads ?? []), ...(sql?.writes ?? [])]
  for (const object of [...touched, ...touched.flatMap((name) => view.baseRelations(name))]) {
    for (const { event, definition = '', calls, cascade } of view.code?.ofRelation(object) ?? []) {
      found.add(JSON.stringify([object, event, definition, cascade ?? null]))
      if (calls !== undefined) addFunction(calls)
    }
  }
  return [...found].toSorted()
}

/** `a.b.c`, `b.c` and `c`: where a name has points in it, each may be the function's own. */
function endsOf(name: string): readonly string[] {
  const parts = name.split('.')
  return parts.map((_, at) => parts.slice(at).join('.'))
}

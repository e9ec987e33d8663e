import type { Effects } from '@sallyport/core'
import { builtinEffect } from '../classify/builtin-effects.ts'
import type { CatalogView } from '../classify/classified.ts'

/** Built-in functions that change something and are volatile: no planner calls them. */
const volatileBuiltins: ReadonlySet<string> = new Set(['nextval', 'setval', 'pg_notify'])

/**
 * Why planning a statement might do more than plan. A planner calls functions that are not volatile, to know their value or
 * to estimate by it (PostgreSQL manual, section 36.7), and a function may be declared immutable and write all the same. So
 * each function that the statement reaches has to be read as free of side effects, or be volatile. Undefined where all are.
 */
export function planningRefusal(
  { opaque, sql }: Effects,
  catalog: CatalogView,
  effectsOf: (text: string) => Effects,
): string | undefined {
  if (opaque.length > 0) return `it may do what can't be told: ${opaque.join(', ')}`
  for (const name of sql?.functions ?? []) {
    const own = name.slice(name.lastIndexOf('.') + 1)
    const known = catalog.functionsNamed(own)
    if (known === undefined) return 'the functions of the target are not known'
    if (isFree(effectsOf(`select "${own.replaceAll('"', '""')}"()`))) continue
    const isBuiltin = builtinEffect(own) !== undefined
    const isVolatile =
      known.every(({ volatility }) => volatility === 'v') &&
      (isBuiltin ? volatileBuiltins.has(own) : known.length > 0)
    if (!isVolatile)
      return `planning might call ${name}, which is not known to be free of side effects`
  }
  return undefined
}

/** Whether a statement only reads, itself and in all that it calls. */
export function isFree({ classes, opaque }: Effects): boolean {
  return opaque.length === 0 && classes.every((one) => one === 'read')
}

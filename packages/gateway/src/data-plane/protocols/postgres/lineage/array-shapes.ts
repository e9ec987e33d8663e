import { at, constantText, list, text, unwrap, words, type Tree } from '../classify/tree.ts'
import type { Context, Place } from './context.ts'
import { isScalar } from './expression-kind.ts'

/** Functions that give an array of one dimension, whatever they are given. */
const flatFunctions = new Set(['string_to_array', 'regexp_split_to_array', 'regexp_match'])

/** Functions that fail on an array of more than one dimension, and where it stands; what they give has the same. */
const arrayArguments: Readonly<Record<string, number>> = {
  array_append: 0,
  array_prepend: 1,
  array_remove: 0,
  array_position: 0,
  array_positions: 0,
}

/** True where an argument may be an array that the function fails on. */
export function isRiskyArray(
  name: string,
  position: number,
  node: Tree | undefined,
  place: Place,
  context: Context,
): boolean {
  return arrayArguments[name] === position && !isFlat(node, place, context)
}

/** True where all elements of an array surely have the same dimensions: how many each has is a stored value's own. */
export function isEven(elements: readonly Tree[], place: Place, context: Context): boolean {
  return elements.length < 2 || elements.every((node) => isScalar(node, place, context))
}

/** True where `||` does not fail: of texts, and of arrays of one dimension. */
export function joins(
  sides: readonly (Tree | undefined)[],
  place: Place,
  context: Context,
): boolean {
  return sides.every((side) => isScalar(side, place, context) || isFlat(side, place, context))
}

/** True for arrays that surely have one dimension, or none because they are empty. */
function isFlat(node: Tree | undefined, place: Place, context: Context): boolean {
  const { tag, body } = unwrap(node ?? {}) ?? { tag: '', body: {} }
  switch (tag) {
    case 'A_ArrayExpr':
      return list(body, 'elements').every((element) => isScalar(element, place, context))
    case 'TypeCast':
      return constantText(at(body, 'arg') ?? {}) === '{}' || isFlat(at(body, 'arg'), place, context)
    case 'SubLink': {
      const kind = context.kinds.get(at(body, 'subselect') ?? {})
      return (
        text(body, 'subLinkType') === 'ARRAY_SUBLINK' &&
        kind !== undefined &&
        kind !== 'A' &&
        kind !== 'J'
      )
    }
    case 'A_Expr':
      return (
        words(list(body, 'name')).at(-1) === '||' &&
        joins([at(body, 'lexpr'), at(body, 'rexpr')], place, context)
      )
    case 'FuncCall': {
      const name = words(list(body, 'funcname')).at(-1) ?? ''
      if (context.catalog.functionsNamed(name).length > 0) return false
      const args = list(body, 'args')
      if (name === 'array_agg') return isScalar(args[0], place, context)
      const position = arrayArguments[name]
      if (position === undefined) return flatFunctions.has(name)
      return name !== 'array_position' && isFlat(args[position], place, context)
    }
    default:
      return false
  }
}

import { at, list, tagged, text, words, type Tree } from './tree.ts'

/**
 * Functions that a definition puts behind something which statements use without naming them: operators, casts, operator
 * classes, ranges, transforms. Whoever may not call a function must not be able to have it called that way.
 */
export function functionsBehind(tag: string, body: Tree): readonly (readonly string[])[] {
  switch (tag) {
    case 'CreateCastStmt':
      return named([at(body, 'func')])
    case 'CreateTransformStmt':
      return named([at(body, 'fromsql'), at(body, 'tosql')])
    case 'CreateOpClassStmt':
    case 'AlterOpFamilyStmt':
      return named(
        list(body, 'items').map((item) => at(tagged(item, 'CreateOpClassItem') ?? {}, 'name')),
      )
    case 'CreateRangeStmt':
      return inOptions(list(body, 'params'), rangeOptions)
    case 'DefineStmt':
      return text(body, 'kind') === 'OBJECT_OPERATOR'
        ? inOptions(list(body, 'definition'), operatorOptions)
        : []
    default:
      return []
  }
}

const operatorOptions: ReadonlySet<string> = new Set(['procedure', 'function'])
const rangeOptions: ReadonlySet<string> = new Set(['canonical', 'subtype_diff'])

function named(objects: readonly (Tree | undefined)[]): readonly (readonly string[])[] {
  return objects.map((object) => words(list(object ?? {}, 'objname'))).filter(isName)
}

/** An option's function is read as the name of a type by the grammar. */
function inOptions(
  options: readonly Tree[],
  wanted: ReadonlySet<string>,
): readonly (readonly string[])[] {
  return options
    .map((option) => tagged(option, 'DefElem') ?? {})
    .filter((option) => wanted.has(text(option, 'defname')))
    .map((option) => words(list(tagged(at(option, 'arg'), 'TypeName') ?? {}, 'names')))
    .filter(isName)
}

function isName(name: readonly string[]): boolean {
  return name.length > 0
}

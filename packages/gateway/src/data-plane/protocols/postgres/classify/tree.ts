/** One node of the parser's JSON tree. Fields are read through the helpers below, which treat an absent field as empty. */
export type Tree = Readonly<Record<string, unknown>>

const empty: Tree = Object.freeze({})

export function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The struct in a field, or undefined. */
export function at(tree: Tree, key: string): Tree | undefined {
  const value = tree[key]
  return isTree(value) ? value : undefined
}

export function list(tree: Tree, key: string): readonly Tree[] {
  const value: unknown = tree[key]
  return Array.isArray(value) ? value.filter(isTree) : []
}

export function text(tree: Tree, key: string): string {
  const value = tree[key]
  return typeof value === 'string' ? value : ''
}

export function flag(tree: Tree, key: string): boolean {
  return tree[key] === true
}

/** Splits `{ "SelectStmt": {…} }` into tag and body. Structs in fields of a fixed type have no tag. */
export function unwrap(tree: Tree): { tag: string; body: Tree } | undefined {
  const keys = Object.keys(tree)
  const tag = keys[0]
  if (keys.length !== 1 || tag === undefined || !/^[A-Z]/.test(tag)) return undefined
  return { tag, body: at(tree, tag) ?? empty }
}

/** The body of the node in a field where it has this tag. */
export function tagged(tree: Tree | undefined, tag: string): Tree | undefined {
  return tree === undefined ? undefined : at(tree, tag)
}

/** The words of a list of String nodes: the parts of a qualified name. */
export function words(nodes: readonly Tree[]): readonly string[] {
  return nodes.flatMap((node) => {
    const string = tagged(node, 'String')
    return string === undefined ? [] : [text(string, 'sval')]
  })
}

/** The parts of a RangeVar as written; a leading database name is dropped, because a server accepts only its own. */
export function rangeVarName(rangeVar: Tree): readonly string[] {
  // `CREATE TEMP TABLE t` makes it in the session's own schema, whatever the search path says.
  const schema =
    text(rangeVar, 'schemaname') || (text(rangeVar, 'relpersistence') === 't' ? 'pg_temp' : '')
  const name = text(rangeVar, 'relname')
  return schema === '' ? [name] : [schema, name]
}

let constantReads = 0

/**
 * Grows with every look at a constant's value. What was told of a text without one is true of every text that differs from
 * it in the values of constants alone.
 */
export function constantReadsSoFar(): number {
  return constantReads
}

/** The printed value of a constant, wrapped or not, or undefined where it is none. */
export function constantText(node: Tree): string | undefined {
  const value = valueOf(node)
  if (value !== undefined) constantReads += 1
  return value
}

function valueOf(node: Tree): string | undefined {
  const constant = at(node, 'A_Const') ?? node
  const string = at(constant, 'sval') ?? at(node, 'String')
  if (string !== undefined) return text(string, 'sval')
  const integer = at(constant, 'ival') ?? at(node, 'Integer')
  if (integer !== undefined) return JSON.stringify(integer['ival'] ?? 0)
  const float = at(constant, 'fval') ?? at(node, 'Float')
  if (float !== undefined) return text(float, 'fval')
  const boolean = at(constant, 'boolval') ?? at(node, 'Boolean')
  if (boolean !== undefined) return flag(boolean, 'boolval') ? 'true' : 'false'
  return undefined
}

/** A text that is equal for equal expressions, wherever they stand. */
export function canonical(node: unknown): string {
  return JSON.stringify(node, (key, value: unknown) => {
    if (key === 'A_Const') constantReads += 1
    return key === 'location' ? undefined : value
  })
}

/** Whether two expressions are the same, wherever they stand. Those of different kinds are told apart without their values. */
export function areSame(left: unknown, right: unknown): boolean {
  if (!isTree(left) || !isTree(right) || Object.keys(left)[0] !== Object.keys(right)[0])
    return false
  return canonical(left) === canonical(right)
}

import { serialize, type ASTNode } from '@marcbachmann/cel-js'
import type { FactSchema, Problem, Rule } from '@sallyport/core'
import { parseCondition } from './cel-conditions.ts'
import { operandsOf } from './clauses.ts'
import { dottedNames } from './check-syntax.ts'
import { isNever } from './contradiction.ts'

/** What is suspicious about a condition that compiles: it can never match, always does, or does not say what it seems to say. */
export function lintCondition(
  source: string,
  schema: FactSchema,
  effect: Rule['effect'],
): readonly Problem[] {
  const ast = parseCondition(source, schema)
  return [
    ...constantProblems(ast, source, schema),
    ...mapProblems(ast, schema),
    ...allowListProblems(ast, effect === 'allow'),
  ]
}

/** False where two conditions can't both be true of one command. True where that is not known. */
export function canBothHold(one: string, other: string, schema: FactSchema): boolean {
  try {
    return !isNever(parseCondition(`(${one}) && (${other})`, schema), schema, true)
  } catch {
    return true
  }
}

function constantProblems(ast: ASTNode, source: string, schema: FactSchema): Problem[] {
  const whole = { start: 0, end: source.length }
  // `"true"` is how a rule says that it always matches.
  if (ast.op === 'value' && ast.args === true) return []
  if (isNever(ast, schema, true)) {
    const message = 'this can never be true: the rule does nothing'
    return [{ check: 'always-false', message, ...whole }]
  }
  if (!isNever(ast, schema, false)) return []
  const message = 'this is true of every command; write "true" where that is meant'
  return [{ check: 'always-true', message, ...whole }]
}

/** An absent key is an error, and an error counts as a match of a rule that restricts. */
function mapProblems(ast: ASTNode, schema: FactSchema): Problem[] {
  const problems: Problem[] = []
  visit(ast, (node) => {
    if (node.op !== '.' && node.op !== '[]') return true
    const path = dottedNames(node.args[0])?.join('.')
    if (path === undefined || !isMap(path, schema)) return true
    const key = node.op === '.' ? JSON.stringify(node.args[1]) : serialize(node.args[1])
    const message = `a key that is absent is an error, which counts as a match; write ${path}.get(${key})`
    problems.push({ check: 'map-index', message, start: node.start, end: node.end })
    return false
  })
  return problems
}

function isMap(path: string, schema: FactSchema): boolean {
  return Object.hasOwn(schema.facts, path) && (schema.facts[path]?.type.startsWith('map') ?? false)
}

/** A pattern that decides what is harmless misses what nobody thought of. `allows` says that a match lets commands pass. */
function allowListProblems(node: ASTNode, allows: boolean): Problem[] {
  if (node.op === '&&' || node.op === '||') {
    return operandsOf(node, node.op).flatMap((each) => allowListProblems(each, allows))
  }
  if (node.op === '!_') return allowListProblems(node.args, !allows)
  if (node.op !== 'rcall' || !allows) return []
  const [name, receiver] = node.args
  if (name !== 'matches' || dottedNames(receiver)?.join('.') !== 'op.text') return []
  const message =
    'a pattern over op.text decides that a command is harmless; judge by what it does: op.class, sql.actions, sql.writes'
  return [{ check: 'regex-as-allow-list', message, start: node.start, end: node.end }]
}

/** Walks a tree from the top; `see` says whether to go on below a node. */
function visit(node: ASTNode, see: (node: ASTNode) => boolean): void {
  if (!see(node)) return
  for (const child of childrenOf(node)) visit(child, see)
}

function childrenOf(node: ASTNode): readonly ASTNode[] {
  if (node.op === 'value' || node.op === 'id') return []
  if (node.op === '.' || node.op === '.?') return [node.args[0]]
  if (node.op === 'call') return node.args[1]
  if (node.op === 'rcall') return [node.args[1], ...node.args[2]]
  if (node.op === 'map') return node.args.flat()
  return node.op === '!_' || node.op === '-_' ? [node.args] : node.args
}

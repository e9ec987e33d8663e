import { Buffer } from 'node:buffer'
import type { FactPath, FactSchema, Problem } from '@sallyport/core'
import type { ASTNode } from '@marcbachmann/cel-js'
import { didYouMean } from './did-you-mean.ts'
import { literalProblem, literalFunctions } from './literal-functions.ts'

/** Bounds of one condition: one slow condition would stop every session of a worker. */
export const CONDITION_LIMITS = {
  sourceBytes: 4096,
  nodes: 500,
  depth: 32,
  listEntries: 256,
  mapEntries: 64,
  callArguments: 8,
} as const

const comprehensions = new Set(['all', 'exists', 'exists_one', 'filter', 'map'])
const methods = new Set([
  ...comprehensions,
  'size',
  'startsWith',
  'endsWith',
  'contains',
  'lower',
  'get',
  ...literalFunctions,
])
const functions = new Set(['size', 'timestamp', 'duration'])

/** Replaces `start` to `end` of the source before it is compiled for evaluation. */
export interface Edit {
  readonly start: number
  readonly end: number
  readonly text: string
}

/** What a walk over a condition's syntax tree finds out. */
export interface SyntaxFindings {
  readonly problems: readonly Problem[]
  readonly reads: readonly FactPath[]
  readonly edits: readonly Edit[]
  readonly nodes: number
  /** Nodes that are visited once per element of a list. */
  readonly loopNodes: number
}

/** The name under which the evaluator knows a fact: facts are flat there, which spares a conversion per evaluation. */
export function flatName(path: FactPath): string {
  return `fact_${path.replaceAll('_', '__').replaceAll('.', '_')}`
}

/** The problem of a source that is longer than a condition may be. */
export function sourceProblem(source: string): Problem | undefined {
  const bytes = Buffer.byteLength(source)
  if (bytes <= CONDITION_LIMITS.sourceBytes) return undefined
  return limitProblem('bytes', bytes, CONDITION_LIMITS.sourceBytes, {
    start: 0,
    end: source.length,
  })
}

function limitProblem(
  what: string,
  found: number,
  limit: number,
  at: { readonly start: number; readonly end: number },
): Problem {
  const message = `this has ${found} ${what}; the limit is ${limit}`
  return { check: 'limit', message, start: at.start, end: at.end }
}

/** Walks a syntax tree: checks limits, functions, facts and closed sets of values, and collects what evaluation needs. */
export function checkSyntax(ast: ASTNode, source: string, schema: FactSchema): SyntaxFindings {
  const walk = new Walk(source, schema)
  walk.visit(ast, 1)
  const { nodes, loopNodes, problems, edits } = walk
  if (nodes > CONDITION_LIMITS.nodes) {
    problems.push(limitProblem('nodes', nodes, CONDITION_LIMITS.nodes, ast))
  }
  return { problems, reads: [...walk.reads], edits, nodes, loopNodes }
}

class Walk {
  readonly problems: Problem[] = []
  readonly reads = new Set<FactPath>()
  readonly edits: Edit[] = []
  nodes = 0
  loopNodes = 0
  readonly #source: string
  readonly #schema: FactSchema
  readonly #roots: ReadonlySet<string>
  #bound: readonly string[] = []
  #tooDeep = false

  constructor(source: string, schema: FactSchema) {
    this.#source = source
    this.#schema = schema
    this.#roots = new Set(Object.keys(schema.facts).map((path) => path.split('.')[0] ?? path))
  }

  visit(node: ASTNode, depth: number): void {
    this.nodes++
    if (this.#bound.length > 0) this.loopNodes++
    if (depth > CONDITION_LIMITS.depth) {
      if (!this.#tooDeep) this.#limit('levels', depth, CONDITION_LIMITS.depth, node)
      this.#tooDeep = true
      return
    }
    switch (node.op) {
      case 'value':
        return
      case 'id':
      case '.':
        this.#access(node, depth)
        return
      case 'call':
        this.#call(node, depth)
        return
      case 'rcall':
        this.#method(node, depth)
        return
      case 'list':
        this.#limit('list entries', node.args.length, CONDITION_LIMITS.listEntries, node)
        this.#visitAll(node.args, depth)
        return
      case 'map':
        this.#limit('map entries', node.args.length, CONDITION_LIMITS.mapEntries, node)
        this.#visitAll(node.args.flat(), depth)
        return
      case '!_':
      case '-_':
        this.visit(node.args, depth + 1)
        return
      case '.?':
      case '[?]':
        this.#refuse('unknown-function', 'optional access is not available in conditions', node)
        return
      case '==':
      case '!=':
      case 'in':
        this.#checkValues(node.args[0], node.args[1], node.op)
        this.#visitAll(node.args, depth)
        return
      case '&&':
      case '||':
      case '?:':
      case '[]':
      case '<':
      case '<=':
      case '>':
      case '>=':
      case '+':
      case '-':
      case '*':
      case '/':
      case '%':
        this.#visitAll(node.args, depth)
    }
  }

  #visitAll(nodes: readonly ASTNode[], depth: number): void {
    for (const each of nodes) this.visit(each, depth + 1)
  }

  #refuse(check: string, message: string, at: ASTNode): void {
    this.problems.push({ check, message, start: at.start, end: at.end })
  }

  #limit(what: string, found: number, limit: number, at: ASTNode): void {
    if (found > limit) this.problems.push(limitProblem(what, found, limit, at))
  }

  #access(node: ASTNode, depth: number): void {
    const names = dottedNames(node)
    const root = names?.[0]
    if (names === undefined || root === undefined) {
      if (node.op === '.') this.visit(node.args[0], depth + 1)
      return
    }
    if (this.#bound.includes(root)) return
    const path = this.#factOf(names)
    if (path === undefined) {
      this.#unknownFact(names, node)
      return
    }
    this.reads.add(path)
    this.#replaceFact(node, path, names.length - path.split('.').length)
  }

  /** The longest prefix that is a fact: what follows is a key of a map. */
  #factOf(names: readonly string[]): FactPath | undefined {
    for (let length = names.length; length > 0; length--) {
      const path = names.slice(0, length).join('.')
      if (Object.hasOwn(this.#schema.facts, path)) return path
    }
    return undefined
  }

  #replaceFact(node: ASTNode, path: FactPath, keys: number): void {
    let target = node
    for (let index = 0; index < keys && target.op === '.'; index++) target = target.args[0]
    const { start, end } = target
    if (this.#source.slice(start, end).replaceAll(/\s/gu, '') === path) {
      this.edits.push({ start, end, text: flatName(path) })
    } else this.#refuse('syntax', `write this fact as ${path}`, target)
  }

  #unknownFact(names: readonly string[], node: ASTNode): void {
    const path = names.join('.')
    const group = Object.keys(this.#schema.facts).filter((fact) => fact.startsWith(`${path}.`))
    if (group.length > 0) {
      this.#refuse('unknown-field', `${path} is a group of facts, such as ${group[0]}`, node)
      return
    }
    const near = didYouMean(path, Object.keys(this.#schema.facts))
    const hint = near === undefined ? '' : `; did you mean ${near}?`
    this.#refuse('unknown-field', `unknown field "${path}"${hint}`, node)
  }

  #call(node: ASTNode & { readonly op: 'call' }, depth: number): void {
    const [name, args] = node.args
    if (name === 'has') {
      const why = 'it would turn an unknown fact into false'
      this.#refuse('has-on-fact', `has() is not available in conditions: ${why}`, node)
    } else if (!functions.has(name)) {
      this.#refuse('unknown-function', `${name}() is not available in conditions`, node)
    } else {
      this.#limit('arguments', args.length, CONDITION_LIMITS.callArguments, node)
      this.#visitAll(args, depth)
    }
  }

  #method(node: ASTNode & { readonly op: 'rcall' }, depth: number): void {
    const [name, receiver, args] = node.args
    if (!methods.has(name)) {
      this.#refuse('unknown-function', `${name}() is not available in conditions`, node)
      return
    }
    this.#limit('arguments', args.length, CONDITION_LIMITS.callArguments, node)
    this.visit(receiver, depth + 1)
    if (comprehensions.has(name)) this.#comprehension(node, depth)
    else {
      this.#visitAll(args, depth)
      if (literalFunctions.has(name)) this.#literalArgument(name, receiver, args[0], node)
    }
  }

  #comprehension(node: ASTNode & { readonly op: 'rcall' }, depth: number): void {
    const [name, , args] = node.args
    if (this.#bound.length > 0) {
      this.#refuse('nested', `${name}() inside another comprehension is not available`, node)
      return
    }
    const [variable, ...body] = args
    if (variable?.op !== 'id') return
    if (this.#roots.has(variable.args) || variable.args.startsWith('fact_')) {
      this.#refuse('syntax', `"${variable.args}" is taken; choose another name`, variable)
      return
    }
    this.#bound = [variable.args]
    for (const each of body) this.visit(each, depth + 1)
    this.#bound = []
  }

  #literalArgument(
    name: string,
    receiver: ASTNode,
    argument: ASTNode | undefined,
    node: ASTNode,
  ): void {
    if (argument === undefined) return
    if (argument.op !== 'value' || typeof argument.args !== 'string') {
      this.#refuse(
        name === 'matches' ? 'regex-dynamic' : 'literal',
        `the pattern of ${name}() must be a literal string`,
        argument,
      )
      return
    }
    const problem = literalProblem(name, argument.args)
    const check = name === 'matches' ? 'regex-not-re2' : name
    if (problem !== undefined) this.#refuse(check, problem, argument)
    if (name !== 'matches') return
    const between = this.#source.slice(receiver.end, argument.start)
    const found = /^[\s)]*\.\s*(matches)\s*\(\s*$/u.exec(between)
    if (found === null) {
      this.#refuse('syntax', 'write this as value.matches("pattern")', node)
      return
    }
    const start = receiver.end + between.indexOf('matches')
    this.edits.push({ start, end: start + 'matches'.length, text: 're2Matches' })
  }

  #checkValues(left: ASTNode, right: ASTNode, op: string): void {
    const [fact, values] = op === 'in' && left.op === 'value' ? [right, left] : [left, right]
    this.#checkClosedSet(fact, values, op)
    if (op !== 'in') this.#checkClosedSet(values, fact, op)
  }

  #checkClosedSet(factNode: ASTNode, valueNode: ASTNode, op: string): void {
    const path = dottedNames(factNode)?.join('.')
    if (path === undefined || !Object.hasOwn(this.#schema.facts, path)) return
    const values = this.#schema.facts[path]?.values
    if (values === undefined) return
    for (const node of valueNode.op === 'list' ? valueNode.args : [valueNode]) {
      if (node.op !== 'value' || typeof node.args !== 'string') continue
      if (!values.includes(node.args)) this.#neverValue(path, node.args, values, node, op)
    }
  }

  #neverValue(
    path: FactPath,
    value: string,
    values: readonly string[],
    node: ASTNode,
    op: string,
  ): void {
    const finer = path === 'op.class' ? this.#schema.facts['op.classes']?.values : undefined
    const cased = values.find((one) => one.toLowerCase() === value.toLowerCase())
    const near = cased ?? didYouMean(value, values)
    const hint = finer?.includes(value)
      ? `did you mean "${value}" in op.classes?`
      : near === undefined
        ? `it is one of ${values.join(', ')}`
        : `did you mean "${near}"?`
    const verb = op === 'in' && path === 'op.classes' ? 'never contains' : 'is never'
    const check = cased === undefined ? 'enum-value' : 'case-mismatch'
    this.#refuse(check, `${path} ${verb} "${value}"; ${hint}`, node)
  }
}

/** `['op', 'class']` of the node `op.class`; undefined where the node is anything else. */
export function dottedNames(node: ASTNode): string[] | undefined {
  const names: string[] = []
  let at = node
  while (at.op === '.') {
    names.unshift(at.args[1])
    at = at.args[0]
  }
  if (at.op !== 'id') return undefined
  names.unshift(at.args)
  return names
}

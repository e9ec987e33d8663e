import {
  Environment,
  EvaluationError,
  ParseError,
  TypeError as CelTypeError,
  type ASTNode,
} from '@marcbachmann/cel-js'
import type {
  ClauseTree,
  CompileResult,
  Condition,
  ConditionEngine,
  CostMeter,
  FactPath,
  Facts,
  FactSchema,
  Outcome,
  Problem,
} from '@sallyport/core'
import {
  checkSyntax,
  flatName,
  sourceProblem,
  type Edit,
  type SyntaxFindings,
} from './check-syntax.ts'
import { clausesOf } from './clauses.ts'
import {
  evaluateGlob,
  evaluateInCidr,
  evaluateMatches,
  evaluateWithin,
  EvaluationStop,
} from './literal-functions.ts'

/** Conditions in CEL over @marcbachmann/cel-js, with regular expressions over RE2. */
export const celConditions: ConditionEngine = { name: 'cel', compile }

/** Used where the caller brings no meter: the budget of one decision. */
const freshMeter = (): CostMeter => ({ nodes: 100_000, matched: 65_536 })

/** The meter of the evaluation that runs. Evaluation is synchronous, so there is only ever one. */
let meter: CostMeter = freshMeter()

interface Environments {
  /** Knows facts as people write them, for messages. */
  readonly checking: Environment
  /** Knows each fact as one variable, for speed. */
  readonly evaluating: Environment
}

const environments = new WeakMap<FactSchema, Environments>()

function compile(source: string, schema: FactSchema): CompileResult {
  const tooLong = sourceProblem(source)
  if (tooLong !== undefined) return { kind: 'refused', problems: [tooLong] }
  try {
    return compileChecked(source, schema)
  } catch (error) {
    return { kind: 'refused', problems: [problemOf(error, source)] }
  }
}

function compileChecked(source: string, schema: FactSchema): CompileResult {
  const { checking, evaluating } = environmentsOf(schema)
  const parsed = checking.parse(source)
  const findings = checkSyntax(parsed.ast, source, schema)
  if (findings.problems.length > 0) return { kind: 'refused', problems: findings.problems }
  const checked = parsed.check()
  if (!checked.valid) return { kind: 'refused', problems: [problemOf(checked.error, source)] }
  if (checked.type !== 'bool') {
    const message = `a condition must be bool, but this is ${checked.type}`
    return refuseWhole('type-error', message, source)
  }
  const run = evaluating.parse(applyEdits(source, findings.edits))
  const again = run.check()
  if (!again.valid || again.type !== 'bool') {
    return refuseWhole('syntax', 'this condition cannot be prepared for evaluation', source)
  }
  const clauses = (): ClauseTree => clausesOf(parsed.ast, source, (text) => compile(text, schema))
  return { kind: 'ok', condition: new CelCondition(run, findings, clauses) }
}

/** The syntax tree of a condition that was compiled with these facts. */
export function parseCondition(source: string, schema: FactSchema): ASTNode {
  return environmentsOf(schema).checking.parse(source).ast
}

function refuseWhole(check: string, message: string, source: string): CompileResult {
  return { kind: 'refused', problems: [{ check, message, start: 0, end: source.length }] }
}

function problemOf(error: unknown, source: string): Problem {
  if (error instanceof ParseError || error instanceof CelTypeError) {
    const check = error instanceof ParseError ? 'syntax' : 'type-error'
    const start = Math.min(error.range?.start ?? 0, source.length)
    const end = Math.min(error.range?.end ?? source.length, source.length)
    return { check, message: error.summary, start, end }
  }
  const message = 'this condition cannot be compiled'
  return { check: 'internal', message, start: 0, end: source.length }
}

function applyEdits(source: string, edits: readonly Edit[]): string {
  let text = source
  for (const edit of [...edits].sort((a, b) => b.start - a.start)) {
    text = text.slice(0, edit.start) + edit.text + text.slice(edit.end)
  }
  return text
}

class CelCondition implements Condition {
  readonly reads: readonly FactPath[]
  readonly #run: (context: Record<string, unknown>) => unknown
  readonly #facts: readonly { readonly flat: string; readonly parts: readonly string[] }[]
  readonly #paths: ReadonlyMap<string, FactPath>
  readonly #nodes: number
  readonly #loopNodes: number
  readonly #makeClauses: () => ClauseTree
  #clauses: ClauseTree | undefined

  constructor(
    run: (context: Record<string, unknown>) => unknown,
    findings: SyntaxFindings,
    clauses: () => ClauseTree,
  ) {
    this.#run = run
    this.#makeClauses = clauses
    this.reads = findings.reads
    this.#facts = findings.reads.map((path) => ({ flat: flatName(path), parts: path.split('.') }))
    this.#paths = new Map(findings.reads.map((path) => [flatName(path), path]))
    this.#nodes = findings.nodes - findings.loopNodes
    this.#loopNodes = findings.loopNodes
  }

  evaluate(facts: Facts, limits: CostMeter = freshMeter()): Outcome {
    const context: Record<string, unknown> = {}
    let entries = this.#nodes
    for (const { flat, parts } of this.#facts) {
      const value = readFact(facts, parts)
      if (value === undefined || value === null) continue
      context[flat] = value
      if (Array.isArray(value)) entries += value.length
    }
    // An upper bound: loops run over lists of facts or over literals, whose entries are nodes.
    limits.nodes -= this.#nodes + this.#loopNodes * entries
    if (limits.nodes < 0) return { kind: 'error', code: 'cost' }
    meter = limits
    try {
      const value = this.#run(context)
      return typeof value === 'boolean' ? { kind: 'value', value } : { kind: 'error', code: 'type' }
    } catch (error) {
      return this.#outcomeOf(error)
    }
  }

  clauses(): ClauseTree {
    this.#clauses ??= this.#makeClauses()
    return this.#clauses
  }

  #outcomeOf(error: unknown): Outcome {
    if (error instanceof EvaluationStop) return { kind: 'error', code: error.outcome }
    if (!(error instanceof EvaluationError)) return { kind: 'error', code: 'internal' }
    if (error.code !== 'unknown_variable') return { kind: 'error', code: 'type' }
    const fact = this.#paths.get(error.summary.slice(error.summary.lastIndexOf(' ') + 1))
    return fact === undefined ? { kind: 'error', code: 'type' } : { kind: 'unknown', fact }
  }
}

function readFact(facts: Facts, parts: readonly string[]): unknown {
  let value: unknown = facts
  for (const part of parts) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined
    value = Reflect.get(value, part)
  }
  return value
}

function environmentsOf(schema: FactSchema): Environments {
  const known = environments.get(schema)
  if (known !== undefined) return known
  const made = { checking: checkingEnvironment(schema), evaluating: evaluatingEnvironment(schema) }
  environments.set(schema, made)
  return made
}

interface Fields {
  [name: string]: string | Fields
}

function checkingEnvironment(schema: FactSchema): Environment {
  const environment = addFunctions(new Environment())
  for (const [name, type] of Object.entries(nestedFields(schema))) {
    if (typeof type === 'string') environment.registerVariable(name, type)
    else environment.registerVariable(name, { schema: type })
  }
  return environment
}

function nestedFields(schema: FactSchema): Fields {
  const roots: Fields = {}
  for (const [path, { type }] of Object.entries(schema.facts)) {
    const names = path.split('.')
    const last = names.pop() ?? path
    let fields = roots
    for (const name of names) {
      const inner = fields[name] ?? {}
      if (typeof inner === 'string') break
      fields[name] = inner
      fields = inner
    }
    fields[last] = type
  }
  return roots
}

function evaluatingEnvironment(schema: FactSchema): Environment {
  const environment = addFunctions(new Environment())
  for (const [path, { type }] of Object.entries(schema.facts)) {
    environment.registerVariable(flatName(path), type)
  }
  return environment
}

function addFunctions(environment: Environment): Environment {
  return environment
    .registerFunction('string.glob(string): bool', evaluateGlob)
    .registerFunction('list<string>.anyGlob(string): bool', (list: unknown, pattern: string) =>
      stringsOf(list).some((entry) => evaluateGlob(entry, pattern)),
    )
    .registerFunction('string.lower(): string', (text: string) => text.toLowerCase())
    .registerFunction('map.get(string): string', mapValue)
    .registerFunction('string.inCidr(string): bool', evaluateInCidr)
    .registerFunction('google.protobuf.Timestamp.within(string): bool', evaluateWithin)
    .registerFunction('string.re2Matches(string): bool', (text: string, pattern: string) =>
      evaluateMatches(text, pattern, meter),
    )
}

function stringsOf(list: unknown): string[] {
  if (!Array.isArray(list)) throw new EvaluationStop('type')
  return list.filter((entry) => typeof entry === 'string')
}

function mapValue(map: unknown, key: string): string {
  if (typeof map !== 'object' || map === null) throw new EvaluationStop('type')
  const value: unknown = map instanceof Map ? map.get(key) : ownValue(map, key)
  return typeof value === 'string' ? value : ''
}

function ownValue(map: object, key: string): unknown {
  return Object.hasOwn(map, key) ? Reflect.get(map, key) : undefined
}

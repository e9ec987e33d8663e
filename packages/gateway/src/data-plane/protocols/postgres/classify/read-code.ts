import { makeDraftStatement, type DraftStatement } from './draft.ts'
import { draftStatement, readSql } from './draft-text.ts'
import { QueryWalker } from './query-walker.ts'
import { readPlpgsql, unknownDraft } from './read-plpgsql.ts'
import { settingEffect } from './settings.ts'
import type { SqlParser } from './sql-parser.ts'
import { isLongCode } from './text-limits.ts'
import { at, constantText, list, tagged, text, unwrap, type Tree } from './tree.ts'

/** What a piece of the target's own code does, without a catalog. */
export interface CodeDraft {
  readonly statements: readonly DraftStatement[]
  /** The schemas in which its names are looked up; `any` where that can't be told, undefined where it is the session's path. */
  readonly path?: readonly string[] | 'any'
}

/** Definitions that are kept; a database has some hundred pieces of code that statements reach. */
const keptMax = 4096

/** Reads the definitions that a catalog holds. Each is read once, whatever session, catalog or function it belongs to. */
export class CodeReader {
  readonly #parser: SqlParser
  #young = new Map<string, CodeDraft>()
  #old = new Map<string, CodeDraft>()

  constructor(parser: SqlParser) {
    this.#parser = parser
  }

  /** `definition` is a CREATE FUNCTION, CREATE RULE or CREATE TRIGGER, or a SELECT of expressions. Never throws. */
  read(definition: string): CodeDraft {
    const known = this.#young.get(definition) ?? this.#old.get(definition)
    const draft = known ?? readCode(this.#parser, definition)
    if (!this.#young.has(definition)) this.#keep(definition, draft)
    return draft
  }

  #keep(definition: string, draft: CodeDraft): void {
    if (this.#young.size >= keptMax / 2) {
      this.#old = this.#young
      this.#young = new Map()
    }
    this.#young.set(definition, draft)
  }
}

function readCode(parser: SqlParser, definition: string): CodeDraft {
  if (isLongCode(definition)) return { statements: [unknownDraft('too-long')] }
  const parsed = parser.parse(definition)
  const [raw] = parsed.kind === 'tree' ? parsed.statements : []
  const node = unwrap(at(raw ?? {}, 'stmt') ?? {})
  if (node === undefined) return { statements: [unknownDraft('unparsed-body')] }
  try {
    if (node.tag === 'CreateFunctionStmt') return readFunction(parser, definition, node.body)
    return { statements: readRelationCode(node.tag, node.body) }
  } catch {
    // Only a tree deeper than the stack can end here.
    return { statements: [unknownDraft('too-long')] }
  }
}

function readRelationCode(tag: string, body: Tree): readonly DraftStatement[] {
  if (tag === 'SelectStmt') return [draftStatement({ [tag]: body })]
  const draft = makeDraftStatement(tag)
  const walker = new QueryWalker(draft)
  if (tag === 'RuleStmt') {
    walker.expressionOver(undefined, body['whereClause'])
    return [draft, ...list(body, 'actions').map((action) => draftStatement(action))]
  }
  if (tag !== 'CreateTrigStmt') return [unknownDraft('unparsed-body')]
  walker.expressionOver(undefined, body['whenClause'])
  return [draft]
}

function readFunction(parser: SqlParser, definition: string, body: Tree): CodeDraft {
  const options = list(body, 'options').map((node) => tagged(node, 'DefElem') ?? {})
  const named = (name: string): readonly Tree[] =>
    options.filter((option) => text(option, 'defname') === name)
  // Defaults of parameters run where an argument is left out.
  const defaults = makeDraftStatement('')
  const walker = new QueryWalker(defaults)
  for (const parameter of list(body, 'parameters')) {
    walker.expression(at(tagged(parameter, 'FunctionParameter') ?? {}, 'defexpr'))
  }
  const path = settingsOf(walker, named('set'))
  const stated = constantText(at(named('language')[0] ?? {}, 'arg') ?? {})
  const language = stated ?? (at(body, 'sql_body') === undefined ? undefined : 'sql')
  const statements = [defaults, ...bodyOf(parser, definition, body, language, named('as')[0])]
  for (const statement of statements) {
    // Parameters go by names too, and the result is assigned to its type.
    statement.hasParameters ||= list(body, 'parameters').length > 0
    statement.assigns = true
  }
  const isDefiner = named('security').some(
    (option) => constantText(at(option, 'arg') ?? {}) === 'true',
  )
  // The path may name the schema of the role that runs, which is another one here.
  const own = path ?? (isDefiner ? 'any' : undefined)
  return own === undefined ? { statements } : { statements, path: own }
}

function bodyOf(
  parser: SqlParser,
  definition: string,
  body: Tree,
  language: string | undefined,
  as: Tree | undefined,
): readonly DraftStatement[] {
  const inner = (sql: string): readonly DraftStatement[] | undefined => readSql(parser, sql, 1)
  if (language === 'plpgsql') return readPlpgsql(parser, definition, inner)
  if (language !== 'sql') return [unknownDraft('unknown-language')]
  const atomic = at(body, 'sql_body')
  if (atomic !== undefined) return atomicBody(atomic)
  const [code] = list(tagged(at(as ?? {}, 'arg'), 'List') ?? {}, 'items')
  const sql = code === undefined ? undefined : constantText(code)
  return (sql === undefined ? undefined : inner(sql)) ?? [unknownDraft('unparsed-body')]
}

/** RETURN with an expression, or BEGIN ATOMIC with lists of statements. */
function atomicBody(node: Tree): readonly DraftStatement[] {
  const returned = tagged(node, 'ReturnStmt')
  if (returned !== undefined) {
    const draft = makeDraftStatement('ReturnStmt')
    new QueryWalker(draft).expression(returned['returnval'])
    return [draft]
  }
  const items = tagged(node, 'List')
  if (items === undefined) return [draftStatement(node)]
  return list(items, 'items').flatMap((item) => atomicBody(item))
}

/** What the settings of a function do, and the search path that they give it. */
function settingsOf(
  walker: QueryWalker,
  options: readonly Tree[],
): readonly string[] | 'any' | undefined {
  let path: readonly string[] | 'any' | undefined
  for (const option of options) {
    const set = tagged(at(option, 'arg'), 'VariableSetStmt') ?? {}
    const name = text(set, 'name').toLowerCase()
    const values = list(set, 'args').map((argument) => constantText(argument))
    const isPlain = text(set, 'kind') === 'VAR_SET_VALUE'
    if (name === 'search_path') {
      const schemas = values.flatMap((value) => value ?? [])
      const isKnown = isPlain && schemas.length === values.length && !schemas.includes('$user')
      path = isKnown ? schemas : 'any'
      continue
    }
    const effect = settingEffect(name, isPlain && values.length === 1 ? values[0] : undefined)
    if (effect.opaque === undefined) walker.touch(effect.effect, undefined, 'named')
    else walker.unknown(effect.opaque)
  }
  return path
}

import { makeDraftStatement, type DraftStatement } from './draft.ts'
import type { SqlParser } from './sql-parser.ts'
import { at, constantText, isTree, list, tagged, text, unwrap, type Tree } from './tree.ts'

/** Makes drafts of a text of SQL that a body holds; undefined where it can't be read. */
export type ReadSql = (text: string) => readonly DraftStatement[] | undefined

/** Statements and parts of PL/pgSQL whose only effect is that of the SQL in them. A tag outside this list is unknown. */
const knownTags = new Set(
  `function var rec row recfield type alias expr condition exception exception_block diag_item raise_option if_elsif
   case_when nsitem stmt_block stmt_assign stmt_if stmt_case stmt_loop stmt_while stmt_fori stmt_fors stmt_forc
   stmt_foreach_a stmt_exit stmt_return stmt_return_next stmt_return_query stmt_raise stmt_assert stmt_execsql
   stmt_dynexecute stmt_dynfors stmt_getdiag stmt_open stmt_fetch stmt_close stmt_perform stmt_call stmt_commit
   stmt_rollback`.split(/\s+/),
)

/** Fields whose value is run as a text of SQL. */
const dynamicFields: Readonly<Record<string, string>> = {
  PLpgSQL_stmt_dynexecute: 'query',
  PLpgSQL_stmt_dynfors: 'query',
  PLpgSQL_stmt_return_query: 'dynquery',
  PLpgSQL_stmt_open: 'dynquery',
}

/**
 * Finds every statement and expression in a body of PL/pgSQL, given as the CREATE FUNCTION or DO around it. The server's own
 * parser splits it; what it has no word for makes the draft unknown. A text that is put together while it runs is unknown too.
 */
export function readPlpgsql(
  parser: SqlParser,
  definition: string,
  readSql: ReadSql,
): readonly DraftStatement[] {
  const parsed = parse(parser, definition)
  if (parsed === undefined) return [unknownDraft('unparsed-body')]
  const reader = new BodyReader(parser, readSql)
  for (const tree of parsed) reader.walk(tree)
  return [reader.own, ...reader.drafts]
}

/** Without a catalog the parser takes `t%rowtype` for a plain value and then knows no field of it: a record stands for any row. */
function parse(parser: SqlParser, definition: string): readonly Tree[] | undefined {
  const first = parser.parsePlpgsql(definition)
  if (first.kind === 'tree') return first.statements
  // Words alone are exchanged, and none inside a quoted name: nothing that runs can be among them.
  if (first.kind === 'broken' || /"[^"]*%\s*rowtype[^"]*"/iu.test(definition)) return undefined
  const replaced = definition.replace(rowType, 'record')
  if (replaced === definition) return undefined
  const second = parser.parsePlpgsql(replaced)
  return second.kind === 'tree' ? second.statements : undefined
}

const rowType = /(?<![\w$"%.])[a-z_][\w$]*(?:\.[a-z_][\w$]*){0,2}\s*%\s*rowtype\b/giu

/** A draft of which only that it is unknown can be told. */
export function unknownDraft(reason: string): DraftStatement {
  const draft = makeDraftStatement('')
  draft.opaque.add(reason)
  draft.touches.push({ effect: 'unknown', kind: 'named' })
  return draft
}

class BodyReader {
  readonly drafts: DraftStatement[] = []
  /** What the body does without SQL. */
  readonly own = makeDraftStatement('')
  readonly #parser: SqlParser
  readonly #readSql: ReadSql

  constructor(parser: SqlParser, readSql: ReadSql) {
    this.#parser = parser
    this.#readSql = readSql
  }

  walk(value: unknown): void {
    if (Array.isArray(value)) for (const one of value) this.walk(one)
    else if (isTree(value)) this.#struct(value)
  }

  #struct(value: Tree): void {
    const node = unwrap(value)
    if (node === undefined) {
      for (const field of Object.values(value)) this.walk(field)
      return
    }
    const { tag, body } = node
    if (!knownTags.has(tag.replace(/^PLpgSQL_/, ''))) {
      this.drafts.push(unknownDraft('unparsed-body'))
      return
    }
    if (tag === 'PLpgSQL_expr') return this.#expression(body)
    if (tag === 'PLpgSQL_type') this.#type(text(body, 'typname'))
    // What was set in the transaction is undone with it, the search path too.
    if (tag === 'PLpgSQL_stmt_commit' || tag === 'PLpgSQL_stmt_rollback')
      this.own.changesSearchPath = true
    const dynamic = dynamicFields[tag]
    if (dynamic !== undefined && body[dynamic] !== undefined) this.#dynamic(body[dynamic])
    for (const field of Object.values(body)) this.walk(field)
  }

  #expression(body: Tree): void {
    const query = text(body, 'query')
    const mode = Number(body['parseMode'] ?? 0)
    // The modes of the server's RawParseMode: a statement, an expression, an assignment to a name of one to three parts.
    if (mode === 0) this.#take(this.#readSql(query))
    else if (mode === 2) this.#take(this.#readSql(`SELECT ${query}`))
    else if (mode >= 3 && mode <= 5) this.#take(this.#assignment(query))
    else this.#take(undefined)
  }

  /** Both sides count as expressions: the target may have subscripts that call something. */
  #assignment(query: string): readonly DraftStatement[] | undefined {
    for (const sign of query.matchAll(/:?=/g)) {
      const left = this.#readSql(`SELECT ${query.slice(0, sign.index)}`)
      const right =
        left === undefined
          ? undefined
          : this.#readSql(`SELECT ${query.slice(sign.index + sign[0].length)}`)
      if (left !== undefined && right !== undefined) return [...left, ...right]
    }
    return undefined
  }

  /** A constant says what runs; anything else is put together while it runs. */
  #dynamic(expression: unknown): void {
    const query = isTree(expression) ? text(tagged(expression, 'PLpgSQL_expr') ?? {}, 'query') : ''
    const constant = this.#constant(query)
    if (constant === undefined) this.drafts.push(unknownDraft('dynamic-sql'))
    else this.#take(this.#readSql(constant))
  }

  #constant(query: string): string | undefined {
    const parsed = this.#parser.parse(`SELECT ${query}`)
    const [raw] = parsed.kind === 'tree' ? parsed.statements : []
    const select = tagged(at(raw ?? {}, 'stmt'), 'SelectStmt')
    return select === undefined ? undefined : onlyConstant(select)
  }

  /** A variable of a domain runs the domain's checks. */
  #type(name: string): void {
    this.own.types.add(
      name
        .replaceAll(/["[\]]/g, '')
        .split('.')
        .at(-1) ?? '',
    )
  }

  /** Variables stand among the columns, and what is computed goes into variables. */
  #take(drafts: readonly DraftStatement[] | undefined): void {
    for (const draft of drafts ?? [unknownDraft('unparsed-body')]) {
      draft.hasParameters = true
      draft.assigns = true
      this.drafts.push(draft)
    }
  }
}

/** The constant that a SELECT of nothing else gives: the text behind EXECUTE. */
function onlyConstant(select: Tree): string | undefined {
  const targets = list(select, 'targetList')
  const value = tagged(targets[0], 'ResTarget')?.['val']
  if (targets.length !== 1 || !isTree(value) || select['fromClause'] !== undefined) return undefined
  return 'A_Const' in value ? constantText(value) : undefined
}

import { draftBlock } from './draft-block.ts'
import { makeDraftStatement, type Draft, type DraftStatement } from './draft.ts'
import { functionsBehind } from './functions-behind.ts'
import { QueryWalker } from './query-walker.ts'
import { objectsOf } from './statement-objects.ts'
import { statementRule, type PlainStatement } from './statement-table.ts'
import { walkData } from './walk-data.ts'
import { walkDefinition } from './walk-definition.ts'
import { walkSession } from './walk-session.ts'
import type { SqlParser } from './sql-parser.ts'
import { needsWorker } from './text-limits.ts'
import { at, constantReadsSoFar, list, tagged, unwrap, words, type Tree } from './tree.ts'

/** In these statements every constant is a node of its own. Others keep some in fields that are read without a count. */
const plainTags: ReadonlySet<string> = new Set([
  'SelectStmt',
  'InsertStmt',
  'UpdateStmt',
  'DeleteStmt',
])

/** A block in a constant in a block, and so on: nobody writes more by hand. */
const depthMax = 4

/** A draft of which nothing could be told. */
export function opaqueDraft(reason: string, syntaxError = false): Draft {
  return { statements: [], syntaxError, opaque: [reason], isTemplate: false }
}

/** Reads a text with the grammar. Never throws: what goes wrong becomes an opaque draft. `depth` counts the texts around it. */
export function draftText(
  parser: SqlParser,
  text: string,
  depth = 0,
  keep?: (statements: readonly Tree[]) => readonly Tree[] | undefined,
): Draft {
  const parsed = parser.parse(text)
  if (parsed.kind === 'syntax-error') return opaqueDraft('unparsed', true)
  if (parsed.kind === 'broken') return opaqueDraft('too-long')
  try {
    const before = constantReadsSoFar()
    const statements = parsed.statements.map((raw) => {
      const node = at(raw, 'stmt') ?? {}
      const draft = draftStatement(node)
      const block = tagged(node, 'DoStmt')
      if (block !== undefined) {
        const inner = (sql: string): readonly DraftStatement[] | undefined =>
          readSql(parser, sql, depth + 1)
        draft.block.push(...draftBlock(parser, block, inner))
      }
      if (tagged(node, 'CreateFunctionStmt') !== undefined) addDefinition(draft, text, raw)
      return draft
    })
    const hasReadConstants = constantReadsSoFar() !== before
    const isTemplate =
      !hasReadConstants && statements.every(({ nodeTag }) => plainTags.has(nodeTag))
    const trees = keep?.(parsed.statements)
    const kept = trees === undefined ? {} : { trees }
    return { statements, syntaxError: false, opaque: [], isTemplate, ...kept }
  } catch {
    // Only a tree deeper than the stack can end here.
    return opaqueDraft('too-long')
  }
}

/** What a function does is in the statement that makes it: it may be called before the catalog shows it. */
function addDefinition(draft: DraftStatement, text: string, raw: Tree): void {
  // Places are counted in bytes; a length of 0 goes to the end.
  const bytes = Buffer.from(text)
  const start = Number(raw['stmt_location'] ?? 0)
  const length = Number(raw['stmt_len'] ?? 0)
  const definition = bytes.toString('utf8', start, length === 0 ? bytes.length : start + length)
  draft.makesFunctions.forEach(({ name }, at) => {
    draft.makesFunctions[at] = { name, definition }
  })
}

/** The drafts of a text inside a body; undefined where it can't be read. */
export function readSql(
  parser: SqlParser,
  sql: string,
  depth: number,
): readonly DraftStatement[] | undefined {
  if (depth > depthMax || needsWorker(sql)) return undefined
  const draft = draftText(parser, sql, depth)
  return draft.opaque.length > 0 ? undefined : draft.statements
}

/** One statement, top-level or inside PREPARE, EXPLAIN and their kind. */
export function draftStatement(node: Tree): DraftStatement {
  const { tag, body } = unwrap(node) ?? { tag: '', body: {} }
  const draft = makeDraftStatement(tag)
  const walker = new QueryWalker(draft)
  const rule = statementRule(tag)
  if (rule === undefined || rule === 'never') walker.unknown('unparsed-node')
  else if (rule !== 'walked') plainStatement(walker, tag, body, rule)
  else if (
    !walkData(walker, tag, body, draftStatement) &&
    !walkSession(walker, tag, body, draftStatement) &&
    !walkDefinition(walker, tag, body, draftStatement)
  ) {
    walker.unknown('unparsed-node')
  }
  draft.functions.push(...functionsBehind(tag, body))
  if (tag === 'CreateEventTrigStmt') draft.triggerFunctions.push(words(list(body, 'funcname')))
  return draft
}

function plainStatement(walker: QueryWalker, tag: string, body: Tree, rule: PlainStatement): void {
  const { draft } = walker
  draft.kind = 'other'
  draft.verb = rule.verb
  draft.objectKind = rule.objectKind
  draft.ddl = rule.effects.includes('ddl')
  draft.shadowsNames = draft.ddl
  const objects = objectsOf(tag, body)
  for (const effect of rule.effects) {
    if (objects.length === 0) walker.touch(effect, undefined, 'named')
    for (const object of objects) walker.touch(effect, object, 'named')
  }
}

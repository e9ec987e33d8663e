import { makeDraftStatement, type Draft, type DraftStatement } from './draft.ts'
import { functionsBehind } from './functions-behind.ts'
import { QueryWalker } from './query-walker.ts'
import { objectsOf } from './statement-objects.ts'
import { statementRule, type PlainStatement } from './statement-table.ts'
import { walkData } from './walk-data.ts'
import { walkDefinition } from './walk-definition.ts'
import { walkSession } from './walk-session.ts'
import type { SqlParser } from './sql-parser.ts'
import { at, constantReadsSoFar, unwrap, type Tree } from './tree.ts'

/** In these statements every constant is a node of its own. Others keep some in fields that are read without a count. */
const plainTags: ReadonlySet<string> = new Set([
  'SelectStmt',
  'InsertStmt',
  'UpdateStmt',
  'DeleteStmt',
])

/** A draft of which nothing could be told. */
export function opaqueDraft(reason: string, syntaxError = false): Draft {
  return { statements: [], syntaxError, opaque: [reason], isTemplate: false }
}

/** Reads a text with the grammar. Never throws: what goes wrong becomes an opaque draft. */
export function draftText(parser: SqlParser, text: string): Draft {
  const parsed = parser.parse(text)
  if (parsed.kind === 'syntax-error') return opaqueDraft('unparsed', true)
  if (parsed.kind === 'broken') return opaqueDraft('too-long')
  try {
    const before = constantReadsSoFar()
    const statements = parsed.statements.map((raw) => draftStatement(at(raw, 'stmt') ?? {}))
    const hasReadConstants = constantReadsSoFar() !== before
    const isTemplate =
      !hasReadConstants && statements.every(({ nodeTag }) => plainTags.has(nodeTag))
    return { statements, syntaxError: false, opaque: [], isTemplate }
  } catch {
    // Only a tree deeper than the stack can end here.
    return opaqueDraft('too-long')
  }
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

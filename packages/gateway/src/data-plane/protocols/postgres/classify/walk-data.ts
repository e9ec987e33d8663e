import type { CopyInfo } from './classified.ts'
import { takeReads, type DraftStatement } from './draft.ts'
import type { QueryWalker } from './query-walker.ts'
import {
  at,
  constantText,
  flag,
  list,
  rangeVarName,
  tagged,
  text,
  unwrap,
  words,
  type Tree,
} from './tree.ts'

const queryVerbs = new Map([
  ['SelectStmt', 'select'],
  ['InsertStmt', 'insert'],
  ['UpdateStmt', 'update'],
  ['DeleteStmt', 'delete'],
  ['MergeStmt', 'merge'],
])

/** Statements that read or change rows. Returns false for all others. */
export function walkData(
  walker: QueryWalker,
  tag: string,
  body: Tree,
  draftStatement: (node: Tree) => DraftStatement,
): boolean {
  const { draft } = walker
  const verb = queryVerbs.get(tag)
  if (verb !== undefined) {
    draft.verb = verb
    draft.utility = false
    draft.returnsRows =
      tag === 'SelectStmt'
        ? at(body, 'intoClause') === undefined
        : at(body, 'returningClause') !== undefined
    if (tag === 'SelectStmt') limitOf(draft, body)
    walker.query({ [tag]: body })
    // A SELECT reads even where it names no table.
    if (tag === 'SelectStmt') walker.touch('read', undefined, 'named')
    return true
  }
  switch (tag) {
    case 'CopyStmt':
      walkCopy(walker, body)
      return true
    case 'ExplainStmt':
      walkExplain(walker, body, draftStatement)
      return true
    case 'TruncateStmt':
      draft.verb = 'truncate'
      draft.unbounded = true
      for (const node of list(body, 'relations'))
        walker.relation('delete', tagged(node, 'RangeVar'), 'truncate')
      if (text(body, 'behavior') === 'DROP_CASCADE') walker.touch('delete', undefined, 'relation')
      return true
    case 'LockStmt':
      draft.verb = 'lock'
      for (const node of list(body, 'relations')) walker.relation('write', tagged(node, 'RangeVar'))
      return true
    default:
      return false
  }
}

/** Row limit of a top-level SELECT. */
function limitOf(draft: DraftStatement, body: Tree): void {
  const limit = Number(constantText(at(body, 'limitCount') ?? {}))
  if (Number.isSafeInteger(limit)) draft.limit = limit
}

function walkExplain(
  walker: QueryWalker,
  body: Tree,
  draftStatement: (node: Tree) => DraftStatement,
): void {
  const { draft } = walker
  const inner = draftStatement(at(body, 'query') ?? {})
  const options = list(body, 'options').map((node) => tagged(node, 'DefElem') ?? {})
  // The last ANALYZE decides; one without a value, or with a value that is no plain "off", executes.
  const analyze = options.filter((option) => text(option, 'defname') === 'analyze')
  const executes = analyze.some(
    (option) => !/^(off|false|0)$/i.test(constantText(at(option, 'arg') ?? {}) ?? 'on'),
  )
  walker.touch('explain', undefined, 'named')
  absorb(draft, inner, executes)
  draft.verb = executes ? inner.verb : 'explain'
  draft.returnsRows = true
  if (inner.kind !== 'execute') return
  // What is prepared stands in the session's table. It counts as run, as ANALYZE does.
  draft.kind = 'execute'
  draft.explains = true
  if (inner.name !== undefined) draft.name = inner.name
}

/** Takes over what an inner statement does; where it is not executed, its changes count as reads of the same objects. */
function absorb(draft: DraftStatement, inner: DraftStatement, executes: boolean): void {
  for (const touch of inner.touches) {
    const { event, ...rest } = touch
    const effect = executes || touch.effect === 'unknown' ? touch.effect : 'explain'
    draft.touches.push(
      executes && event !== undefined ? { ...rest, effect, event } : { ...rest, effect },
    )
    if (!executes && touch.effect === 'read') draft.touches.push(touch)
  }
  // The planner may run the cast of a constant.
  draft.assigns ||= inner.touches.some(({ event }) => event !== undefined && event !== 'select')
  // Functions too where it is not executed: the planner calls those that are, or claim to be, immutable.
  takeReads(draft, inner)
  if (!executes) return
  draft.unbounded = inner.unbounded
  draft.boundedByNulls.push(...inner.boundedByNulls)
  draft.parts.push(...inner.parts)
  draft.fileAccess = inner.fileAccess
  draft.objectKind = inner.objectKind
  draft.ddl = inner.ddl
  draft.changesSearchPath = inner.changesSearchPath
  draft.shadowsNames = inner.shadowsNames
}

function walkCopy(walker: QueryWalker, body: Tree): void {
  const { draft } = walker
  const isFrom = flag(body, 'is_from')
  const relation = at(body, 'relation')
  draft.verb = isFrom ? 'copy_from' : 'copy_to'
  walker.relation(isFrom ? 'write' : 'read', relation, isFrom ? 'insert' : 'select')
  walker.query(at(body, 'query'))
  walker.expressionOver(relation, body['whereClause'])
  const columns = words(list(body, 'attlist'))
  if (relation !== undefined && !isFrom) {
    const name = rangeVarName(relation)
    for (const column of columns.length > 0 ? columns : ['*'])
      draft.columns.push({ relations: [name], column })
  }
  if (body['filename'] !== undefined) {
    draft.fileAccess = true
    for (const effect of flag(body, 'is_program')
      ? (['exec', 'transfer', 'admin'] as const)
      : (['transfer', 'admin'] as const)) {
      walker.touch(effect, undefined, 'named')
    }
  } else {
    draft.kind = 'copy'
    draft.copy = copyInfo(body, columns)
    if (draft.copy.options.encoding !== undefined && !/^utf-?8$/i.test(draft.copy.options.encoding))
      walker.unknown('client-encoding')
  }
}

function copyInfo(body: Tree, columns: readonly string[]): CopyInfo {
  const options = new Map<string, string>()
  for (const node of list(body, 'options')) {
    const option = tagged(node, 'DefElem') ?? {}
    options.set(text(option, 'defname'), constantText(at(option, 'arg') ?? {}) ?? 'true')
  }
  const format = options.get('format')
  const relation = at(body, 'relation')
  const header = options.get('header')
  const picked = ['delimiter', 'null', 'quote', 'escape', 'encoding'].flatMap((key) => {
    const value = options.get(key)
    return value === undefined ? [] : [[key, value] as const]
  })
  return {
    direction: flag(body, 'is_from') ? 'in' : 'out',
    format: format === 'csv' || format === 'binary' ? format : 'text',
    options: {
      ...Object.fromEntries(picked),
      ...(header === undefined ? {} : { header: !/^(off|false|0)$/i.test(header) }),
    },
    ...(relation === undefined ? {} : { relation: rangeVarName(relation) }),
    ...(columns.length > 0 ? { columns } : {}),
    query: unwrap(at(body, 'query') ?? {}) !== undefined,
  }
}

import type { StatementKind } from './classified.ts'
import { takeReads, type DraftStatement } from './draft.ts'
import type { QueryWalker } from './query-walker.ts'
import { settingEffect } from './settings.ts'
import { at, constantText, flag, list, tagged, text, type Tree } from './tree.ts'

const transactions = new Map<string, readonly [verb: string, kind: StatementKind]>([
  ['TRANS_STMT_BEGIN', ['begin', 'begin']],
  ['TRANS_STMT_START', ['begin', 'begin']],
  ['TRANS_STMT_COMMIT', ['commit', 'commit']],
  ['TRANS_STMT_ROLLBACK', ['rollback', 'rollback']],
  ['TRANS_STMT_SAVEPOINT', ['savepoint', 'savepoint']],
  ['TRANS_STMT_RELEASE', ['release', 'savepoint']],
  ['TRANS_STMT_ROLLBACK_TO', ['rollback', 'savepoint']],
  ['TRANS_STMT_PREPARE', ['prepare_transaction', 'commit']],
  ['TRANS_STMT_COMMIT_PREPARED', ['commit_prepared', 'other']],
  ['TRANS_STMT_ROLLBACK_PREPARED', ['rollback_prepared', 'other']],
])

const transactionKinds: ReadonlySet<StatementKind> = new Set([
  'begin',
  'commit',
  'rollback',
  'savepoint',
])

/** The path may name the schema of the role that runs. */
const pathSettings: ReadonlySet<string> = new Set(['search_path', 'role', 'session_authorization'])

/** Statements whose effect is on the session itself. Returns false for all others. */
export function walkSession(
  walker: QueryWalker,
  tag: string,
  body: Tree,
  draftStatement: (node: Tree) => DraftStatement,
): boolean {
  const { draft } = walker
  const state = (verb: string, kind: StatementKind, name: string): true => {
    draft.verb = verb
    draft.kind = kind
    if (name !== '') draft.name = name
    // To begin and end a transaction is to read and change nothing: every grant that opens a session can do it.
    if (!transactionKinds.has(kind)) walker.touch('read', undefined, 'named')
    return true
  }
  switch (tag) {
    case 'TransactionStmt': {
      const [verb, kind] = transactions.get(text(body, 'kind')) ?? ['', 'other']
      if (verb === '') walker.unknown('unparsed-node')
      // Undoing a transaction, or ending a failed one, brings back an older search path.
      draft.changesSearchPath = kind === 'rollback' || kind === 'commit' || verb === 'rollback'
      // Two-phase commits outlive the session.
      if (text(body, 'gid') !== '') walker.touch('write', undefined, 'named')
      return state(verb, kind, text(body, 'savepoint_name') || text(body, 'gid'))
    }
    case 'VariableSetStmt':
      walkSet(walker, body)
      return true
    case 'VariableShowStmt':
      draft.returnsRows = true
      return state('show', 'other', text(body, 'name'))
    case 'DiscardStmt':
      draft.changesSearchPath = true
      draft.name = text(body, 'target').replace('DISCARD_', '').toLowerCase()
      // DISCARD ALL resets every setting, to values that the role or database was given.
      return state('discard', 'discard', draft.name)
    case 'ListenStmt':
      return state('listen', 'listen', text(body, 'conditionname'))
    case 'UnlistenStmt':
      return state('unlisten', 'listen', text(body, 'conditionname'))
    case 'DeallocateStmt':
      return state('deallocate', 'deallocate', text(body, 'name'))
    case 'ClosePortalStmt':
      return state('close', 'close', text(body, 'portalname'))
    case 'FetchStmt':
      draft.returnsRows = !flag(body, 'ismove')
      return state(flag(body, 'ismove') ? 'move' : 'fetch', 'fetch', text(body, 'portalname'))
    case 'PrepareStmt':
      draft.inner = draftStatement(at(body, 'query') ?? {})
      draft.changesSearchPath = draft.inner.changesSearchPath
      return state('prepare', 'prepare', text(body, 'name'))
    case 'DeclareCursorStmt':
      declare(draft, draftStatement(at(body, 'query') ?? {}))
      return state('declare', 'declare', text(body, 'portalname'))
    case 'ExecuteStmt':
      // What it does stands in the session's table; `withPrepared` puts it in.
      draft.returnsRows = true
      walker.expression(body['params'])
      return state('execute', 'execute', text(body, 'name'))
    default:
      return false
  }
}

/** A cursor's query begins when it is declared, so its effects count here. */
function declare(draft: DraftStatement, inner: DraftStatement): void {
  draft.inner = inner
  draft.changesSearchPath = inner.changesSearchPath
  draft.touches.push(...inner.touches)
  takeReads(draft, inner)
}

function walkSet(walker: QueryWalker, body: Tree): void {
  const { draft } = walker
  const kind = text(body, 'kind')
  const name = text(body, 'name').toLowerCase()
  draft.kind = 'set'
  draft.verb = kind.startsWith('VAR_RESET') ? 'reset' : 'set'
  const values = list(body, 'args').map((argument) => constantText(argument))
  const value = values.length === 1 ? values[0] : values.join(', ')
  draft.setting = { name: kind === 'VAR_RESET_ALL' ? 'all' : name, value: value ?? '' }
  draft.changesSearchPath = pathSettings.has(name) || kind === 'VAR_RESET_ALL'
  if (kind === 'VAR_RESET_ALL') return walker.touch('read', undefined, 'named')
  if (kind === 'VAR_SET_MULTI') return walkTransactionSettings(walker, body)
  const effect = settingEffect(name, kind === 'VAR_SET_VALUE' ? value : undefined)
  if (effect.opaque === undefined) walker.touch(effect.effect, undefined, 'named')
  else walker.unknown(effect.opaque)
}

/** SET TRANSACTION and SET SESSION CHARACTERISTICS: isolation, read only, and a snapshot of another session. */
function walkTransactionSettings(walker: QueryWalker, body: Tree): void {
  for (const node of list(body, 'args')) {
    const name = text(tagged(node, 'DefElem') ?? {}, 'defname')
    walker.touch(name === '' ? 'unknown' : 'read', undefined, 'named')
  }
  walker.touch('read', undefined, 'named')
}

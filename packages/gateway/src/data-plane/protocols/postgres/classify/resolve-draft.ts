import type { Effects } from '@sallyport/core'
import {
  addMade,
  withFunctions,
  type CatalogView,
  type Classified,
  type MadeFunctions,
  type StatementInfo,
} from './classified.ts'
import { collectEffects, type Collected } from './collect-effects.ts'
import type { Draft, DraftStatement } from './draft.ts'
import { mergeEffects } from './merge-effects.ts'
import type { CodeReader } from './read-code.ts'

/** Puts a session's view of the catalog under a draft, and follows it into the target's own code. */
export function resolveDraft(draft: Draft, catalog: CatalogView, codes: CodeReader): Classified {
  if (draft.opaque.length > 0) return opaqueClassified(draft.opaque, draft.syntaxError)
  const statements: StatementInfo[] = []
  // After a statement that moves the search path or makes names, the catalog no longer tells what a name means.
  let certain = true
  let view = catalog
  const made: MadeFunctions = new Map()
  for (const statement of draft.statements) {
    const collected = collectEffects(statement, view, certain, codes)
    statements.push(infoOf(statement, collected, view, certain, codes))
    if (collected.makesFunctions.length > 0) {
      for (const fn of collected.makesFunctions) addMade(made, fn)
      view = withFunctions(catalog, made, catalog.generation)
    }
    if (collected.changesSearchPath || collected.shadowsNames) certain = false
  }
  const effects = mergeEffects(statements.map((statement) => statement.effects))
  return { effects, statements, syntaxError: false }
}

/** A text of which nothing could be told. */
export function opaqueClassified(opaque: readonly string[], syntaxError: boolean): Classified {
  const effects: Effects = {
    ...mergeEffects([]),
    class: 'unknown',
    classes: ['unknown'],
    accesses: [{ effect: 'unknown', resolved: false }],
    opaque,
  }
  return { effects, statements: [], syntaxError }
}

function infoOf(
  draft: DraftStatement,
  collected: Collected,
  catalog: CatalogView,
  certain: boolean,
  codes: CodeReader,
): StatementInfo {
  const isExecute = draft.kind === 'execute'
  const own = collected.effects
  const effects = isExecute ? mergeEffects([own, unknownExecute]) : own
  return {
    verb: draft.verb,
    nodeTag: draft.nodeTag,
    returnsRows: draft.returnsRows,
    utility: draft.utility,
    kind: draft.kind,
    relations: draft.relations,
    changesSearchPath: collected.changesSearchPath,
    ddl: draft.ddl,
    makesFunctions: collected.makesFunctions,
    // The number of statements is the text's; here it is this one.
    effects: isExecute
      ? { ...effects, verb: 'execute', ...(own.sql && { sql: own.sql }) }
      : effects,
    ...(isExecute ? { argumentEffects: own } : {}),
    ...(draft.name === undefined ? {} : { name: draft.name }),
    ...(draft.explains === undefined ? {} : { explains: draft.explains }),
    ...(draft.copy === undefined ? {} : { copy: draft.copy }),
    ...(draft.setting === undefined ? {} : { setting: draft.setting }),
    ...(draft.inner === undefined
      ? {}
      : { prepared: resolveInner(draft.inner, catalog, certain, codes) }),
  }
}

const unknownExecute: Effects = opaqueClassified(['prepared-statement'], false).effects

function resolveInner(
  inner: DraftStatement,
  catalog: CatalogView,
  certain: boolean,
  codes: CodeReader,
): Classified {
  const collected = collectEffects(inner, catalog, certain, codes)
  const statement = infoOf(inner, collected, catalog, certain, codes)
  return { effects: statement.effects, statements: [statement], syntaxError: false }
}

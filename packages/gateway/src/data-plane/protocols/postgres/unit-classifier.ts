import type { Effects } from '@sallyport/core'
import type { HeldCatalog } from './catalogs.ts'
import type { Classified, StatementInfo } from './classify/classified.ts'
import type { SqlClassifier } from './classify/classify-sql.ts'
import { mergeEffects } from './classify/merge-effects.ts'
import { opaqueClassified } from './classify/resolve-draft.ts'
import type { Names, Statement } from './names.ts'
import { textOf } from './session-meaning.ts'
import type { SessionView } from './session-view.ts'
import type { Unit } from './unit.ts'

export interface UnitClassifierDeps {
  readonly classifier: Pick<SqlClassifier, 'classify'>
  readonly catalog: Pick<HeldCatalog, 'current'>
  readonly names: Names
  readonly view: SessionView
}

/** What a unit does: its own text, and what the names in it stand for in this session. */
export class UnitClassifier {
  readonly #deps: UnitClassifierDeps

  constructor(deps: UnitClassifierDeps) {
    this.#deps = deps
  }

  classify(unit: Unit): Classified {
    unit.standsFor = []
    if (unit.kind === 'function') return this.#functionCall(unit.oid ?? 0)
    if (unit.statement?.prepared !== undefined) {
      unit.standsFor = [textOf(unit.statement)]
      return this.#prepared(unit.statement) ?? opaqueClassified(['unknown-statement'], false)
    }
    const classified = this.read(unit.text)
    if (!classified.statements.some((statement) => statement.changesSearchPath)) {
      return this.#withNames(classified, unit)
    }
    // What was prepared under the older path is read anew where it is executed, by the target and so here.
    this.#deps.view.pathChanged()
    return this.#withNames(this.read(unit.text), unit)
  }

  /** A text as this session's next command. */
  read(text: string): Classified {
    const { classifier, view } = this.#deps
    return classifier.classify(text, view.now())
  }

  /** A SELECT that calls the function of this oid; undefined where the catalog knows none. */
  callText(oid: number): string | undefined {
    const name = this.#deps.catalog.current?.functionName(oid)
    const quoted = name?.map((part) => `"${part.replaceAll('"', '""')}"`).join('.')
    return quoted === undefined ? undefined : `SELECT ${quoted}()`
  }

  /** A function call names a function by its oid: it is judged as a SELECT that calls it. */
  #functionCall(oid: number): Classified {
    const text = this.callText(oid)
    return text === undefined ? opaqueClassified(['unknown-function'], false) : this.read(text)
  }

  /** EXECUTE does what was prepared, FETCH reads what was declared. A name that was not seen may stand for anything. */
  #withNames(classified: Classified, unit: Unit): Classified {
    if (!classified.statements.some((info) => info.kind === 'execute' || info.kind === 'fetch')) {
      return classified
    }
    const inText = new Map<string, Classified>()
    const effects: Effects[] = []
    for (const info of classified.statements) {
      if (info.prepared !== undefined && info.name !== undefined) {
        inText.set(`${info.kind} ${info.name}`, info.prepared)
      }
      effects.push(this.#effectsOf(info, inText, unit))
    }
    return { ...classified, effects: mergeEffects(effects) }
  }

  #effectsOf(info: StatementInfo, inText: Map<string, Classified>, unit: Unit): Effects {
    if (info.kind !== 'execute' && info.kind !== 'fetch') return info.effects
    const isExecute = info.kind === 'execute'
    const name = info.name ?? ''
    const own = inText.get(`${isExecute ? 'prepare' : 'declare'} ${name}`)
    const meaning = own ?? this.#namedStatement(isExecute, name, unit)
    if (meaning === undefined) {
      return opaqueClassified([isExecute ? 'unknown-statement' : 'unknown-cursor'], false).effects
    }
    const more = info.argumentEffects
    return more === undefined ? meaning.effects : mergeEffects([meaning.effects, more])
  }

  #namedStatement(isExecute: boolean, name: string, unit: Unit): Classified | undefined {
    const { statements, portals } = this.#deps.names
    const { batch } = unit.slot
    const found = isExecute ? statements.lookUp(batch, name) : portals.lookUp(batch, name)
    if (found === undefined || found === 'wait') return undefined
    const statement = 'statement' in found ? found.statement : found
    unit.standsFor = [...unit.standsFor, textOf(statement)]
    return this.#prepared(statement)
  }

  /** What a prepared statement does now: a target reads its names anew when they may mean something else. */
  #prepared({ text, prepared, source }: Statement): Classified | undefined {
    if (prepared === undefined) return this.read(text)
    if (source === undefined || source.generation === this.#deps.view.now().generation)
      return prepared
    return this.read(source.text).statements[source.statementIndex]?.prepared
  }
}

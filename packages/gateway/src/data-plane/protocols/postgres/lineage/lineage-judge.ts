import type { InferenceMode, MaskRule, Refusal, Verdict } from '@sallyport/core'
import type { Catalog } from '../catalog.ts'
import type { Classified, StatementInfo } from '../classify/classified.ts'
import type { Names, Statement } from '../names.ts'
import type { Unit } from '../unit.ts'
import { explainLineage } from './explain-lineage.ts'
import { clean, derived, type Flow } from './flow.ts'
import { functionRefusal, isUntouched, lineageRefusal, unreadRefusal } from './lineage-refusal.ts'
import type { Lineage } from './lineage.ts'
import type { LookupMeter } from './lookup-meter.ts'
import type { MaskedDatabase, MaskedDatabases } from './masked-database.ts'
import type { LineageDatabase, SessionNames } from './session-catalog.ts'
import { joinUnsettled, unsettledBy } from './unsettled-names.ts'

/** What is known of the columns that a unit's answer will have. */
export interface FollowedUnit {
  readonly database: MaskedDatabase
  /** By statement; undefined where it can't be told. */
  readonly statements: readonly (Lineage | undefined)[]
  /** False where nothing masked can be met: then only an origin that says otherwise is masked. */
  readonly isTouched: boolean
  /** What is computed may fail on a masked value, and any error may quote it. */
  readonly mayQuote: boolean
  /** For the recording: why what is masked. */
  readonly explained: string
}

export interface LineageJudgeDeps {
  readonly databases: MaskedDatabases
  readonly names: Names
  readonly connection: string
  readonly lookups: LookupMeter
  /** For rules that do not say. */
  inference(): InferenceMode
  catalog(): Catalog | undefined
  /** A SELECT that calls the function of this number. */
  callText(oid: number): string | undefined
  session(): SessionNames
}

/** The database under a list of masks, where no name is unsettled: of which catalog, path and mode it is one. */
interface SettledMasks {
  readonly lineage: LineageDatabase
  readonly isPathKnown: boolean
  readonly inference: InferenceMode
  readonly database: MaskedDatabase
}

/** Judges what masked columns do in the commands of one session. */
export class LineageJudge {
  readonly #deps: LineageJudgeDeps
  /** Explained once for all executions of a statement. */
  readonly #lines = new WeakMap<Lineage, readonly string[]>()
  /** What a list of masks came to last, and where. */
  readonly #settled = new WeakMap<readonly MaskRule[], SettledMasks>()

  constructor(deps: LineageJudgeDeps) {
    this.#deps = deps
  }

  /** Follows a unit that may run under masks. Gives why it may not; else the unit knows what its answer can carry. */
  judge(unit: Unit, verdict: Exclude<Verdict, { effect: 'block' }>): Refusal | undefined {
    const database = this.#database(verdict.masks)
    const { classified } = unit
    if (database === undefined || classified === undefined) return undefined
    const followed = this.#follow(unit, classified, database)
    unit.followed = followed
    if (!followed.isTouched) return undefined
    const context = {
      masks: database.masks,
      connection: this.#deps.connection,
      decision: verdict.id,
      inference: this.#deps.inference(),
      parameters: unit.parameters,
      mayLookUp: () => unit.kind === 'parse' || this.#deps.lookups.take(),
    }
    for (const [index, lineage] of followed.statements.entries()) {
      // A cursor's query was judged when it was declared.
      if (classified.statements[index]?.kind === 'fetch') continue
      if (lineage === undefined) return unreadRefusal(context)
      const refusal =
        unit.kind === 'function' && !isUntouched(lineage)
          ? functionRefusal(context)
          : lineageRefusal(lineage, context)
      if (refusal !== undefined) return refusal
    }
    return undefined
  }

  /** Whether a text may meet a column that one of these masks names. */
  meets(classified: Classified, masks: readonly MaskRule[]): boolean {
    const database = this.#database(masks)
    return database !== undefined && database.reads(classified) !== 'nothing'
  }

  /** Whether nothing of what a query gives back is masked, nor shaped by what is. */
  isClear(text: string, classified: Classified, masks: readonly MaskRule[]): boolean {
    const database = this.#database(masks)
    const reads = database?.reads(classified) ?? 'nothing'
    if (database === undefined || reads !== 'perhaps') return reads === 'nothing'
    const { found } = this.#ofText(text, classified, database)
    return found?.length === 1 && found.every(isUntouched)
  }

  /** Undefined where no mask goes by columns. */
  #database(masks: readonly MaskRule[]): MaskedDatabase | undefined {
    const lineage = this.#deps.catalog()?.lineage
    if (lineage === undefined || masks.length === 0) return undefined
    const session = this.#deps.session()
    const { isPathKnown } = session
    const inference = this.#deps.inference()
    const known = this.#settled.get(masks)
    if (
      known !== undefined &&
      known.lineage === lineage &&
      known.isPathKnown === isPathKnown &&
      known.inference === inference &&
      session.unsettled === undefined
    )
      return known.database
    if (!masks.some(({ columns }) => columns.length > 0)) return undefined
    const database = this.#deps.databases.of(lineage, session, masks, inference)
    if (session.unsettled === undefined)
      this.#settled.set(masks, { lineage, isPathKnown, inference, database })
    return database
  }

  /** Statements behind a definition in the same text find what it made. */
  #ofText(
    text: string,
    { statements }: Classified,
    database: MaskedDatabase,
  ): { readonly found: readonly Lineage[] | undefined; readonly last: MaskedDatabase } {
    if (statements.length < 2 || unsettledBy(statements) === undefined) {
      return { found: database.statements(text), last: database }
    }
    const session = this.#deps.session()
    let view = database
    let names = session.unsettled
    const found = database.changingStatements(text, (index) => {
      const before = statements[index - 1]
      const added = before === undefined ? undefined : unsettledBy([before])
      if (added !== undefined) {
        names = joinUnsettled([names, added])
        view = database.seenAs({ ...session, unsettled: names })
      }
      return view
    })
    return { found, last: view }
  }

  #follow(unit: Unit, classified: Classified, database: MaskedDatabase): FollowedUnit {
    const reads = database.reads(classified)
    if (reads === 'nothing')
      return { database, statements: [], isTouched: false, mayQuote: false, explained: '' }
    const { statements, last } = this.#statements(unit, classified, database)
    const isTouched =
      reads === 'masked' || statements.some((one) => one === undefined || !isUntouched(one))
    const mayQuote = statements.some(
      (one) => one === undefined || one.partials.length > 0 || one.unresolved.some(isCode),
    )
    const explained = isTouched ? this.#explained(statements, database) : ''
    return { database: last, statements, isTouched, mayQuote, explained }
  }

  #statements(
    unit: Unit,
    classified: Classified,
    database: MaskedDatabase,
  ): { readonly statements: readonly (Lineage | undefined)[]; readonly last: MaskedDatabase } {
    const { statement } = unit
    if (unit.kind === 'function')
      return { statements: [this.#functionCall(unit, database)], last: database }
    if (statement?.prepared !== undefined)
      return { statements: [this.#prepared(statement, database)], last: database }
    const { found, last } = this.#ofText(unit.text, classified, database)
    const statements = classified.statements.map((info, index) => {
      if (info.kind === 'execute' || info.kind === 'fetch')
        return this.#named(info, index, { unit, classified, database, found })
      return found?.[index]
    })
    // A text that was not read may hold any statement.
    return { statements: found === undefined ? [undefined, ...statements] : statements, last }
  }

  #explained(statements: readonly (Lineage | undefined)[], { masks }: MaskedDatabase): string {
    const lines: string[] = []
    for (const lineage of statements) {
      if (lineage === undefined) continue
      let known = this.#lines.get(lineage)
      if (known === undefined) {
        known = explainLineage(lineage, masks, this.#deps.inference())
        this.#lines.set(lineage, known)
      }
      lines.push(...known)
    }
    return lines.join('\n')
  }

  /** A call by number is read as the SELECT that it stands for. */
  #functionCall(unit: Unit, database: MaskedDatabase): Lineage | undefined {
    const text = this.#deps.callText(unit.oid ?? 0)
    return text === undefined ? undefined : database.statements(text)?.[0]
  }

  /** EXECUTE returns what was prepared, FETCH what was declared. */
  #named(
    info: StatementInfo,
    index: number,
    text: {
      readonly unit: Unit
      readonly classified: Classified
      readonly database: MaskedDatabase
      readonly found: readonly Lineage[] | undefined
    },
  ): Lineage | undefined {
    const itself = text.found?.[index]
    // Its parameters may call functions.
    if (itself !== undefined && !isUntouched(itself)) return itself
    const name = info.name ?? ''
    const makes = info.kind === 'execute' ? 'prepare' : 'declare'
    const own = text.classified.statements.findLastIndex(
      (other, at) => at < index && other.kind === makes && other.name === name,
    )
    const planned = (lineage: Lineage | undefined): Lineage | undefined =>
      info.explains === true && lineage !== undefined
        ? planOf(lineage, text.database.masks.anything)
        : lineage
    if (own >= 0) return planned(text.found?.[own]?.prepared)
    const { statements, portals } = this.#deps.names
    const { batch } = text.unit.slot
    const found =
      info.kind === 'execute' ? statements.lookUp(batch, name) : portals.lookUp(batch, name)
    if (found === undefined || found === 'wait') return undefined
    return planned(this.#prepared('statement' in found ? found.statement : found, text.database))
  }

  #prepared({ text, source }: Statement, database: MaskedDatabase): Lineage | undefined {
    if (source === undefined) return database.statements(text)?.[0]
    return database.statements(source.text)?.[source.statementIndex]?.prepared
  }
}

/** The plan of what was prepared. It estimates from all that the statement meets. */
function planOf(lineage: Lineage, anything: Flow): Lineage {
  const quoted = lineage.unresolved.length > 0 ? anything : clean
  const columns = [{ name: 'QUERY PLAN', flow: quoted }]
  if (isUntouched(lineage)) return { ...lineage, columns, others: undefined }
  const { influences, partials, launders, planned } = lineage
  const found = [...influences, ...partials, ...launders].map(({ flow }) => flow)
  const flows = lineage.columns?.map(({ flow }) => flow) ?? []
  const flow = derived([...found, ...flows, lineage.others ?? clean, planned])
  const what = "a plan's estimates"
  const estimates = { influence: 'rows', flow, what, isLookup: false } as const
  return { ...lineage, columns, others: undefined, influences: [...influences, estimates] }
}

/** A name that is not known ends in an error about that name; code that can't be followed may compute any. */
function isCode(reason: string): boolean {
  return !reason.startsWith('name ') && !reason.startsWith('relation ')
}

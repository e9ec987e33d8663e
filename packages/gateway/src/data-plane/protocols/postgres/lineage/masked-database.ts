import type { InferenceMode, MaskRule, ObjectName } from '@sallyport/core'
import type { Classified } from '../classify/classified.ts'
import { templateOf } from '../classify/text-template.ts'
import { at, constantReadsSoFar, unwrap } from '../classify/tree.ts'
import { Analysis, type ParseText } from './analysis.ts'
import { isSideDoor, readsAnything } from './builtin-totals.ts'
import type { Lineage } from './lineage.ts'
import { MaskSet } from './mask-set.ts'
import { SessionCatalog, type LineageDatabase, type SessionNames } from './session-catalog.ts'
import { TextCache } from '../text-cache.ts'

/** Lineage is kept by text, as the classifier keeps what it has read. */
const cachedTextsMax = 4096
const cachedCharactersMax = 4 * 1024 * 1024

/** In these statements every constant is a node of its own, so that texts of one template differ in nothing else. */
const plainTags: ReadonlySet<string> = new Set([
  'SelectStmt',
  'InsertStmt',
  'UpdateStmt',
  'DeleteStmt',
])

export type Reads = 'nothing' | 'perhaps' | 'masked'

/** One database under one list of masks, as sessions with the same view of its names see it. */
export class MaskedDatabase {
  readonly masks: MaskSet
  readonly catalog: SessionCatalog
  readonly analysis: Analysis
  readonly #database: LineageDatabase
  readonly #disabledRules: ReadonlySet<string> | undefined
  readonly #hasHiddenCode: boolean
  readonly #parse: ParseText
  readonly #cache = new TextCache<readonly Lineage[]>(cachedTextsMax, cachedCharactersMax)
  readonly #reads = new WeakMap<Classified, Reads>()

  constructor(
    database: LineageDatabase,
    session: SessionNames,
    masks: MaskSet,
    parse: ParseText,
    disabledRules?: ReadonlySet<string>,
  ) {
    this.#database = database
    this.#disabledRules = disabledRules
    this.masks = masks
    this.catalog = new SessionCatalog(database, session)
    this.#hasHiddenCode = this.catalog.hasHiddenCode
    this.#parse = parse
    this.analysis = new Analysis({
      catalog: this.catalog,
      masks,
      parse,
      ...(disabledRules === undefined ? {} : { disabledRules }),
    })
  }

  /** The same under the view of another moment. */
  seenAs(session: SessionNames): MaskedDatabase {
    return new MaskedDatabase(this.#database, session, this.masks, this.#parse, this.#disabledRules)
  }

  /** The same for a text that changes what names mean while it runs: each statement under the view that it will find. */
  changingStatements(
    text: string,
    viewAt: (index: number) => MaskedDatabase,
  ): readonly Lineage[] | undefined {
    return this.#parse(text)?.map((raw, index) =>
      viewAt(index).analysis.statement(at(raw, 'stmt') ?? {}),
    )
  }

  /** Lineage of each statement of a text; undefined where it can't be read. */
  statements(text: string): readonly Lineage[] | undefined {
    const template = templateOf(text)
    const known =
      this.#cache.get(text) ?? (template === undefined ? undefined : this.#cache.get(template))
    if (known !== undefined) return known
    const parsed = this.#parse(text)
    if (parsed === undefined) return undefined
    const before = constantReadsSoFar()
    const nodes = parsed.map((raw) => at(raw, 'stmt') ?? {})
    const found = nodes.map((node) => this.analysis.statement(node))
    const isPlain = nodes.every((node) => plainTags.has(unwrap(node)?.tag ?? ''))
    const isShared = isPlain && template !== undefined && constantReadsSoFar() === before
    this.#cache.add(isShared ? template : text, found)
    return found
  }

  /** Whether a text can meet a masked column: those that can't need no analysis. `perhaps` is for analysis to tell. */
  reads(classified: Classified): Reads {
    const known = this.#reads.get(classified)
    if (known !== undefined) return known
    const found = this.#readsOf(classified)
    this.#reads.set(classified, found)
    return found
  }

  #readsOf({ effects, statements }: Classified): Reads {
    const { sql } = effects
    if (sql === undefined || effects.class === 'unknown') return 'perhaps'
    const names = new Map<string, ObjectName>()
    const written = statements.flatMap(({ relations }) => relations)
    for (const name of [...sql.reads, ...sql.writes, ...written]) names.set(name.join('\0'), name)
    const found = [...names.values()].map((name) => this.#readsRelation(name))
    if (found.includes('masked')) return 'masked'
    if (found.includes('perhaps')) return 'perhaps'
    if (sql.functions.some((name) => this.#touchesFunction(name))) return 'perhaps'
    if (this.#hasHiddenCode) return 'perhaps'
    // Definitions are few, and what they name isn't always among the effects.
    const isOpen = statements.some(
      ({ ddl, kind, prepared }) =>
        ddl ||
        kind === 'execute' ||
        kind === 'fetch' ||
        (prepared !== undefined && this.#readsOf(prepared) !== 'nothing'),
    )
    return isOpen ? 'perhaps' : 'nothing'
  }

  /** A name that no relation has may be one that is made, or a channel. */
  #readsRelation(name: ObjectName): Reads {
    const found = this.catalog.named(name)
    if (found.length === 0) return 'perhaps'
    return found.some((relation) => this.analysis.touches(relation)) ? 'masked' : 'nothing'
  }

  /** Functions of the database's own may read anything; of the server's, those that do are known. */
  #touchesFunction(name: string): boolean {
    const bare = name.slice(name.lastIndexOf('.') + 1)
    if (this.catalog.functionsNamed(bare).some((fn) => !fn.isTrusted)) return true
    return readsAnything(bare) || isSideDoor(bare)
  }
}

/** The masked databases in use, by what they are made of. */
export class MaskedDatabases {
  readonly #parse: ParseText
  readonly #disabledRules: ReadonlySet<string> | undefined
  readonly #byDatabase = new WeakMap<LineageDatabase, Map<string, MaskedDatabase>>()
  readonly #maskSets = new WeakMap<LineageDatabase, Map<string, MaskSet>>()
  readonly #ruleNumbers = new WeakMap<MaskRule, number>()
  #rulesSeen = 0

  constructor(parse: ParseText, disabledRules?: ReadonlySet<string>) {
    this.#parse = parse
    this.#disabledRules = disabledRules
  }

  /** `inference` is for rules that do not say. Views with unsettled names belong to one session for a moment, and are not kept. */
  of(
    database: LineageDatabase,
    session: SessionNames,
    masks: readonly MaskRule[],
    inference: InferenceMode,
  ): MaskedDatabase {
    const set = this.#maskSet(database, masks, inference)
    const make = (): MaskedDatabase =>
      new MaskedDatabase(database, session, set, this.#parse, this.#disabledRules)
    if (session.unsettled !== undefined) return make()
    const trusted = [...session.trustedFunctions].toSorted()
    const key = JSON.stringify([this.#keyOf(masks), inference, session.isPathKnown, trusted])
    return kept(this.#byDatabase, database, key, make)
  }

  #maskSet(
    database: LineageDatabase,
    masks: readonly MaskRule[],
    inference: InferenceMode,
  ): MaskSet {
    const key = `${inference} ${this.#keyOf(masks)}`
    return kept(this.#maskSets, database, key, () => new MaskSet(database, masks, inference))
  }

  #keyOf(masks: readonly MaskRule[]): string {
    return masks.map((mask) => this.#numberOf(mask)).join(' ')
  }

  #numberOf(mask: MaskRule): number {
    let number = this.#ruleNumbers.get(mask)
    if (number === undefined) {
      this.#rulesSeen += 1
      number = this.#rulesSeen
      this.#ruleNumbers.set(mask, number)
    }
    return number
  }
}

/** Few lists of masks are in use at a time; older ones belong to policies that were replaced. */
const keptMax = 16

function kept<Value>(
  all: WeakMap<LineageDatabase, Map<string, Value>>,
  database: LineageDatabase,
  key: string,
  make: () => Value,
): Value {
  const ofDatabase = all.get(database) ?? new Map<string, Value>()
  all.set(database, ofDatabase)
  const known = ofDatabase.get(key)
  if (known !== undefined) return known
  for (const oldest of ofDatabase.keys()) {
    if (ofDatabase.size < keptMax) break
    ofDatabase.delete(oldest)
  }
  const made = make()
  ofDatabase.set(key, made)
  return made
}

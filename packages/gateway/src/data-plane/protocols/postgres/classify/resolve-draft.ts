import {
  COARSE_CLASSES,
  EFFECT_CLASSES,
  type Access,
  type CoarseClass,
  type EffectClass,
  type Effects,
  type ObjectName,
} from '@sallyport/core'
import { builtinEffect, sensitiveRelation } from './builtin-effects.ts'
import { readingBuiltins } from './builtin-functions.ts'
import {
  withFunctions,
  type CatalogView,
  type Classified,
  type StatementInfo,
} from './classified.ts'
import type { ColumnUse, Draft, DraftStatement, Touch } from './draft.ts'
import { mergeEffects } from './merge-effects.ts'

/** `transfer` and `persist` accompany another class; alone they count as the weakest class that can carry them. */
const coarse: Readonly<Record<EffectClass, CoarseClass>> = {
  read: 'read',
  explain: 'read',
  transfer: 'read',
  write: 'write',
  delete: 'write',
  ddl: 'ddl',
  persist: 'ddl',
  forward: 'forward',
  exec: 'exec',
  grant: 'grant',
  admin: 'admin',
  unknown: 'unknown',
}

/** Puts a session's view of the catalog under a draft. */
export function resolveDraft(draft: Draft, catalog: CatalogView): Classified {
  if (draft.opaque.length > 0) return opaqueClassified(draft.opaque, draft.syntaxError)
  const statements: StatementInfo[] = []
  // After a statement that moves the search path or makes names, the catalog no longer tells what a name means.
  let certain = true
  let view = catalog
  const made = new Set<string>()
  for (const statement of draft.statements) {
    statements.push(resolveStatement(statement, view, certain))
    for (const name of statement.makesFunctions) {
      made.add(name)
      view = withFunctions(catalog, made, catalog.generation)
    }
    if (statement.changesSearchPath || statement.shadowsNames) certain = false
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

function resolveStatement(
  draft: DraftStatement,
  catalog: CatalogView,
  certain: boolean,
): StatementInfo {
  const isExecute = draft.kind === 'execute'
  const own = resolveEffects(draft, catalog, certain)
  const effects = isExecute ? mergeEffects([own, unknownExecute]) : own
  return {
    verb: draft.verb,
    nodeTag: draft.nodeTag,
    returnsRows: draft.returnsRows,
    utility: draft.utility,
    kind: draft.kind,
    relations: draft.relations,
    cleanColumns: draft.cleanColumns,
    changesSearchPath: draft.changesSearchPath,
    ddl: draft.ddl,
    makesFunctions: draft.makesFunctions,
    // The number of statements is the text's; here it is this one.
    effects: isExecute
      ? { ...effects, verb: 'execute', ...(own.sql && { sql: own.sql }) }
      : effects,
    ...(isExecute ? { argumentEffects: own } : {}),
    ...(draft.name === undefined ? {} : { name: draft.name }),
    ...(draft.copy === undefined ? {} : { copy: draft.copy }),
    ...(draft.setting === undefined ? {} : { setting: draft.setting }),
    ...(draft.inner === undefined ? {} : { prepared: resolveInner(draft.inner, catalog, certain) }),
  }
}

const unknownExecute: Effects = opaqueClassified(['prepared-statement'], false).effects

function resolveInner(inner: DraftStatement, catalog: CatalogView, certain: boolean): Classified {
  const statement = resolveStatement(inner, catalog, certain)
  return { effects: statement.effects, statements: [statement], syntaxError: false }
}

function resolveEffects(draft: DraftStatement, catalog: CatalogView, certain: boolean): Effects {
  const names = new NameResolver(catalog, certain)
  const accesses = new AccessSet()
  const opaque = new Set(draft.opaque)
  let fileAccess = draft.fileAccess
  for (const touch of draft.touches) addTouch(touch, names, accesses)
  for (const name of draft.functions) {
    const effect = functionEffect(name, catalog)
    for (const one of effect.classes) accesses.add({ effect: one, resolved: one !== 'unknown' })
    if (effect.opaque !== undefined) opaque.add(effect.opaque)
    if (effect.file === true) fileAccess = true
  }
  const found = [...accesses.all()]
  const classes = EFFECT_CLASSES.filter((one) => found.some((access) => access.effect === one))
  const objectsOf = (...effects: EffectClass[]) =>
    uniqueNames(
      found.flatMap((one) =>
        effects.includes(one.effect) && one.object !== undefined ? [one.object] : [],
      ),
    )
  const writes = objectsOf('write', 'delete')
  return {
    class: COARSE_CLASSES.find((one) => classes.some((effect) => coarse[effect] === one)) ?? 'read',
    classes,
    verb: draft.verb,
    objects: objectsOf(...EFFECT_CLASSES),
    accesses: found,
    unbounded: draft.unbounded,
    opaque: classes.includes('unknown') ? [...opaque] : [],
    persists: classes.includes('persist'),
    sql: {
      dialect: 'postgres',
      objectKind: draft.objectKind,
      reads: objectsOf('read', 'explain'),
      writes,
      columns: resolveColumns(draft.columns, names),
      predicateColumns: resolveColumns(draft.predicateColumns, names),
      functions: [
        ...new Set(draft.functions.filter((name) => name[0] !== '').map((name) => name.join('.'))),
      ],
      statements: 1,
      limit: draft.limit,
      hasWhere: draft.hasWhere,
      tempOnly:
        writes.length > 0 &&
        writes.every((name) => name.length > 1 && (name[0] ?? '').startsWith('pg_temp')),
      fileAccess,
    },
  }
}

function addTouch(touch: Touch, names: NameResolver, accesses: AccessSet): void {
  const { effect, object } = touch
  if (object === undefined || object.length === 0) {
    // A relation without a name is one that only the target knows: what CASCADE takes along.
    accesses.add({ effect, resolved: effect !== 'unknown' && touch.kind !== 'relation' })
    return
  }
  if (touch.kind === 'named') return accesses.add({ effect, object, resolved: true })
  const resolved = touch.kind === 'created' ? names.created(object) : names.relation(object)
  for (const name of resolved.names) {
    accesses.add({ effect, object: name, resolved: resolved.certain })
    const system =
      name.length === 1 || name[0] === 'pg_catalog'
        ? sensitiveRelation(name.at(-1) ?? '')
        : undefined
    if (system !== undefined)
      accesses.add({ effect: system, object: name, resolved: resolved.certain })
  }
}

/** Collects accesses without doubles. */
class AccessSet {
  readonly #byKey = new Map<string, Access>()

  add(access: Access): void {
    this.#byKey.set(JSON.stringify([access.effect, access.object, access.resolved]), access)
  }

  /** An access without an object says nothing where the same effect has one, unless it stands for something undetermined. */
  *all(): Iterable<Access> {
    const withObject = new Set(
      [...this.#byKey.values()].flatMap((one) => (one.object === undefined ? [] : [one.effect])),
    )
    for (const access of this.#byKey.values()) {
      if (access.object !== undefined || !access.resolved || !withObject.has(access.effect))
        yield access
    }
  }
}

interface Resolved {
  readonly names: readonly ObjectName[]
  readonly certain: boolean
}

/** Turns names as written into qualified ones, each once per statement. */
class NameResolver {
  readonly #catalog: CatalogView
  readonly #certain: boolean
  readonly #cache = new Map<string, Resolved>()

  constructor(catalog: CatalogView, certain: boolean) {
    this.#catalog = catalog
    this.#certain = certain
  }

  relation(name: ObjectName): Resolved {
    const key = name.join('\0')
    const known = this.#cache.get(key) ?? this.#resolve(name)
    this.#cache.set(key, known)
    return known
  }

  created(name: ObjectName): Resolved {
    const schema = this.#catalog.creationSchema
    if (name.length > 1) return { names: [name], certain: true }
    if (schema === undefined || !this.#certain) return { names: [name], certain: false }
    return { names: [[schema, ...name]], certain: true }
  }

  #resolve(name: ObjectName): Resolved {
    const candidates = this.#catalog.resolve(name)
    if (candidates.length === 0) return unresolved(name)
    const bases = candidates.flatMap((candidate) => this.#catalog.baseRelations(candidate))
    const certain = candidates.length === 1 && (this.#certain || name.length > 1)
    return { names: uniqueNames([...candidates, ...bases]), certain }
  }
}

/** The server's own relations are known without a catalog. */
function unresolved(name: ObjectName): Resolved {
  const system = name.length > 1 && (name[0] === 'pg_catalog' || name[0] === 'information_schema')
  return { names: [name], certain: system }
}

function resolveColumns(uses: readonly ColumnUse[], names: NameResolver): readonly ObjectName[] {
  const columns = uses.flatMap((use) =>
    use.relations.flatMap((relation) => {
      const [first, ...bases] = names.relation(relation).names
      // Which column of a view's table stands behind one of the view's is not known here.
      return [
        ...(first === undefined ? [] : [[...first, use.column]]),
        ...bases.map((base) => [...base, '*']),
      ]
    }),
  )
  return uniqueNames(columns)
}

function uniqueNames(names: readonly ObjectName[]): readonly ObjectName[] {
  return [...new Map(names.map((name) => [name.join('\0'), name])).values()]
}

interface FunctionEffect {
  readonly classes: readonly EffectClass[]
  readonly opaque?: string
  readonly file?: boolean
}

const harmless: FunctionEffect = { classes: [] }
const unknownFunction: FunctionEffect = { classes: ['unknown'], opaque: 'unknown-function' }

/** What calling a function does. An overload outside `pg_catalog` may win over a built-in, so one that is not trusted decides. */
function functionEffect(name: ObjectName, catalog: CatalogView): FunctionEffect {
  const bare = name.at(-1) ?? ''
  const schema = name.length > 1 ? name.at(-2) : undefined
  // Attribute notation, `t.f`: a call only where a function of that name exists.
  const attribute = schema === ''
  const others = catalog
    .functionsNamed(bare)
    ?.filter((one) => schema === undefined || attribute || one.schema === schema)
  const untrusted =
    others?.some((one) => !catalog.trustedFunctions.has(`${one.schema}.${one.name}`)) ?? false
  if (schema !== 'pg_catalog' && untrusted) {
    return { ...unknownFunction, classes: ['unknown', ...(builtinEffect(bare)?.classes ?? [])] }
  }
  if (attribute) return harmless
  if (schema === undefined || schema === 'pg_catalog') {
    const effect = builtinEffect(bare)
    if (effect !== undefined) return effect
    // The walker read set_config's arguments.
    if (readingBuiltins.has(bare) || bare === 'set_config') return harmless
  }
  if (schema === 'information_schema' && bare.startsWith('_pg_')) return harmless
  const trusted =
    schema === undefined
      ? (others?.length ?? 0) > 0
      : catalog.trustedFunctions.has(`${schema}.${bare}`)
  return trusted ? harmless : unknownFunction
}

import {
  COARSE_CLASSES,
  EFFECT_CLASSES,
  type CoarseClass,
  type EffectClass,
  type Effects,
  type ObjectName,
} from '@sallyport/core'
import { AccessSet, withoutBare } from './access-set.ts'
import { sensitiveRelation } from './builtin-effects.ts'
import type { CatalogView } from './classified.ts'
import type { DraftStatement, Touch } from './draft.ts'
import {
  functionEffect,
  implicitEffect,
  triggerEffect,
  type FunctionEffect,
} from './function-effect.ts'
import { mergeEffects } from './merge-effects.ts'
import { NameResolver, resolveColumns, uniqueNames, type Resolved } from './name-resolver.ts'
import type { CodeReader } from './read-code.ts'
import type { CatalogCast, CatalogFunction, MadeFunction, StoredCode } from './stored-code.ts'

/** Pieces of code that one statement may reach: a schema of thousands of views on views has some hundred. */
const piecesMax = 2000

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

/** What a statement does, itself and through all code that it reaches. */
export interface Collected {
  readonly effects: Effects
  readonly ddl: boolean
  readonly changesSearchPath: boolean
  readonly shadowsNames: boolean
  readonly makesFunctions: readonly MadeFunction[]
}

/** Follows a statement into functions, operators, casts, views, triggers, rules, checks and cascades until nothing new is found. */
export function collectEffects(
  draft: DraftStatement,
  catalog: CatalogView,
  certain: boolean,
  codes: CodeReader,
): Collected {
  const collector = new EffectCollector(catalog, certain, codes)
  return collector.collect(draft)
}

/** Whose words a draft are: columns of a view's or a trigger's own are no choice of the caller. */
type Author = 'caller' | 'owner'

interface Piece {
  readonly draft: DraftStatement
  readonly names: NameResolver
  readonly author: Author
}

class EffectCollector {
  readonly #catalog: CatalogView
  readonly #certain: boolean
  readonly #codes: CodeReader
  readonly #seen = new Set<string>()
  readonly #queue: Piece[] = []
  readonly #parts: Effects[] = []
  readonly #makes: MadeFunction[] = []
  #ddl = false
  #changesSearchPath = false
  #shadowsNames = false

  constructor(catalog: CatalogView, certain: boolean, codes: CodeReader) {
    this.#catalog = catalog
    this.#certain = certain
    this.#codes = codes
  }

  collect(draft: DraftStatement): Collected {
    const names = new NameResolver(this.#catalog, this.#certain)
    const own = this.#visit({ draft, names, author: 'caller' })
    for (const inner of draft.block) this.#queue.push({ draft: inner, names, author: 'caller' })
    // The queue grows while it is read.
    for (const piece of this.#queue) this.#parts.push(this.#visit(piece))
    return {
      effects: this.#merged(draft, own),
      ddl: this.#ddl,
      changesSearchPath: this.#changesSearchPath,
      shadowsNames: this.#shadowsNames,
      makesFunctions: this.#makes,
    }
  }

  #merged(draft: DraftStatement, own: Effects): Effects {
    const parts = this.#parts.filter(
      (part) => part.accesses.length > 0 || part.sql?.functions.length !== 0,
    )
    if (parts.length === 0) return own
    const merged = mergeEffects([own, ...parts])
    // A block is what stands in it. A statement stays what it is, unless what it sets off weighs more.
    const isOwn = draft.block.length === 0 && merged.class === own.class
    const sql = merged.sql && {
      ...merged.sql,
      statements: 1,
      limit: draft.limit,
      ...(isOwn ? { objectKind: draft.objectKind } : {}),
    }
    return {
      ...merged,
      verb: isOwn || merged.verb === '' ? draft.verb : merged.verb,
      accesses: withoutBare(merged.accesses),
      ...(sql && { sql }),
    }
  }

  #visit({ draft, names, author }: Piece): Effects {
    this.#ddl ||= draft.ddl
    this.#changesSearchPath ||= draft.changesSearchPath
    this.#shadowsNames ||= draft.shadowsNames
    this.#makes.push(...draft.makesFunctions)
    const found = new Found(draft)
    for (const touch of draft.touches) this.#touch(touch, names, found)
    for (const name of draft.functions) {
      const effect = functionEffect(name, this.#catalog)
      this.#call(effect, found, author)
      // Attribute notation has no name of a function in it.
      if (name[0] === '') found.note(effect)
    }
    for (const name of draft.triggerFunctions)
      this.#call(triggerEffect(name, this.#catalog), found, 'owner')
    this.#implied(draft, names, found)
    return effectsOf(draft, found, names, author)
  }

  #touch(touch: Touch, names: NameResolver, found: Found): void {
    const { object, event } = touch
    const resolved = addTouch(touch, names, found.accesses)
    if (object === undefined || event === undefined || resolved === undefined) return
    for (const name of resolved.names) this.#relationCode(name, event, found)
  }

  #relationCode(name: ObjectName, event: string, found: Found): void {
    for (const code of this.#catalog.code?.ofRelation(name) ?? []) {
      if (code.event !== event) continue
      if (code.definition !== undefined) this.#read(code.definition, 'owner')
      if (code.calls !== undefined)
        this.#call(implicitEffect(code.calls, this.#catalog, 'trigger'), found, 'owner')
      const { cascade } = code
      if (cascade === undefined) continue
      found.accesses.add({ effect: cascade.effect, object: cascade.relation, resolved: true })
      const key = JSON.stringify(cascade)
      if (this.#seen.has(key)) continue
      this.#seen.add(key)
      this.#relationCode(cascade.relation, cascade.event, found)
    }
  }

  /** Calls that no name stands for in the text. */
  #implied(draft: DraftStatement, names: NameResolver, found: Found): void {
    const { code } = this.#catalog
    if (code === undefined) {
      // No sign has a point in it: this one was written with a schema.
      if ([...draft.operators].some((sign) => sign.includes('.'))) found.add(unknownOperator)
      return
    }
    const implied = (fn: CatalogFunction): void => {
      const effect = implicitEffect(fn, this.#catalog, 'implicit')
      this.#call(effect, found, 'owner')
      found.note(effect)
    }
    for (const sign of draft.operators) for (const fn of code.operatorFunctions(sign)) implied(fn)
    for (const type of draft.types) {
      for (const check of code.checksOf(type)) this.#read(check, 'owner')
    }
    for (const cast of code.casts) if (this.#mayCast(cast, draft, names, code)) implied(cast.calls)
    if (draft.functions.length > 0 || draft.operators.size > 0) {
      for (const fn of code.implicit) implied(fn)
    }
    if (!draft.ddl) return
    for (const fn of code.eventTriggers)
      this.#call(implicitEffect(fn, this.#catalog, 'trigger'), found, 'owner')
  }

  /** A cast runs where it is written or implied, and a value of its type can be there. */
  #mayCast(
    cast: CatalogCast,
    draft: DraftStatement,
    names: NameResolver,
    code: StoredCode,
  ): boolean {
    const isWritten = draft.types.has(cast.target)
    const isAssigned =
      draft.assigns ||
      draft.ddl ||
      draft.kind === 'execute' ||
      draft.touches.some(({ event }) => event === 'insert' || event === 'update')
    const isExpression = draft.functions.length > 0 || draft.operators.size > 0
    const runs =
      isWritten ||
      (cast.runs !== 'where-written' && isAssigned) ||
      (cast.runs === 'anywhere' && isExpression)
    if (!runs) return false
    // What a parameter is, its sender says; what a function or operator gives is not looked at here.
    if (draft.hasParameters) return true
    if (
      draft.functions.some(
        (name) => (this.#catalog.functionsNamed(name.at(-1) ?? '')?.length ?? 0) > 0,
      )
    )
      return true
    if ([...draft.operators].some((sign) => code.operatorFunctions(sign).length > 0)) return true
    const relations = draft.relations.flatMap((name) => names.relation(name).names)
    return code.mayHold(cast.source, relations, draft.types)
  }

  #call(effect: FunctionEffect, found: Found, author: Author): void {
    found.add(effect)
    for (const fn of effect.calls ?? []) {
      for (const check of fn.checks ?? []) this.#read(check, 'owner')
      this.#read(fn.definition ?? '', author)
    }
  }

  #read(definition: string, author: Author): void {
    if (this.#seen.has(definition)) return
    this.#seen.add(definition)
    const { statements, path } = this.#codes.read(definition)
    const names = new NameResolver(this.#catalog, this.#certain, path)
    for (const draft of statements) this.#queue.push({ draft, names, author })
    if (this.#seen.size <= piecesMax) return
    this.#parts.push(tooMuchCode)
    // Nothing more is read: what is known already refuses the statement.
    this.#queue.length = 0
  }
}

/** What one draft was found to do. */
class Found {
  readonly accesses = new AccessSet()
  readonly opaque: Set<string>
  /** Functions that it calls without naming them. */
  readonly unnamed = new Set<string>()
  fileAccess: boolean

  constructor(draft: DraftStatement) {
    this.opaque = new Set(draft.opaque)
    this.fileAccess = draft.fileAccess
  }

  note(effect: FunctionEffect): void {
    for (const { schema, name } of effect.calls ?? [])
      this.unnamed.add(schema === '' ? name : `${schema}.${name}`)
  }

  add(effect: FunctionEffect): void {
    for (const one of effect.classes)
      this.accesses.add({ effect: one, resolved: one !== 'unknown' })
    if (effect.opaque !== undefined) this.opaque.add(effect.opaque)
    if (effect.file === true) this.fileAccess = true
  }
}

function effectsOf(
  draft: DraftStatement,
  { accesses, opaque, fileAccess, unnamed }: Found,
  names: NameResolver,
  author: Author,
): Effects {
  const found = accesses.all()
  const classes = EFFECT_CLASSES.filter((one) => found.some((access) => access.effect === one))
  const objectsOf = (...effects: EffectClass[]): readonly ObjectName[] =>
    uniqueNames(
      found.flatMap((one) =>
        effects.includes(one.effect) && one.object !== undefined ? [one.object] : [],
      ),
    )
  const writes = objectsOf('write', 'delete')
  const isOwn = author === 'caller'
  return {
    class: COARSE_CLASSES.find((one) => classes.some((effect) => coarse[effect] === one)) ?? 'read',
    classes,
    verb: draft.verb,
    objects: objectsOf(...EFFECT_CLASSES),
    accesses: found,
    unbounded: draft.unbounded || draft.boundedByNulls.some((one) => names.isBare(one)),
    opaque: classes.includes('unknown') ? [...opaque] : [],
    persists: classes.includes('persist'),
    sql: {
      dialect: 'postgres',
      objectKind: draft.objectKind,
      actions: actionsOf(draft),
      reads: objectsOf('read', 'explain'),
      writes,
      columns: isOwn ? resolveColumns(draft.columns, names) : [],
      predicateColumns: isOwn ? resolveColumns(draft.predicateColumns, names) : [],
      functions: [
        ...new Set([
          ...draft.functions.filter((name) => name[0] !== '').map((name) => name.join('.')),
          ...unnamed,
        ]),
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

/** `drop schema`, `alter table`, `select`; nothing for the expressions of a body. */
function actionsOf({ verb, objectKind, parts }: DraftStatement): readonly string[] {
  if (verb === '') return parts
  return [objectKind === '' ? verb : `${verb} ${objectKind}`, ...parts]
}

const unknownOperator: FunctionEffect = { classes: ['unknown'], opaque: 'unknown-operator' }

const tooMuchCode: Effects = {
  ...mergeEffects([]),
  class: 'unknown',
  classes: ['unknown'],
  accesses: [{ effect: 'unknown', resolved: false }],
  opaque: ['too-much-code'],
}

/** Adds what a touch says, and tells which relations it is about. */
function addTouch(touch: Touch, names: NameResolver, accesses: AccessSet): Resolved | undefined {
  const { effect, object } = touch
  if (object === undefined || object.length === 0) {
    // A relation without a name is one that only the target knows: what CASCADE takes along.
    accesses.add({ effect, resolved: effect !== 'unknown' && touch.kind !== 'relation' })
    return undefined
  }
  if (touch.kind === 'named') {
    accesses.add({ effect, object, resolved: true })
    return undefined
  }
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
  return resolved
}

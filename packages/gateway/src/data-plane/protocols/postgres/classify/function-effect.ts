import type { EffectClass, ObjectName } from '@sallyport/core'
import { builtinEffect } from './builtin-effects.ts'
import { readingBuiltins } from './builtin-functions.ts'
import type { CatalogView } from './classified.ts'
import type { CatalogFunction } from './stored-code.ts'

/** What calling a function does, as far as its name tells. What is in `calls` has a definition to be read. */
export interface FunctionEffect {
  readonly classes: readonly EffectClass[]
  readonly opaque?: string
  readonly file?: boolean
  readonly calls?: readonly CatalogFunction[]
}

const harmless: FunctionEffect = { classes: [] }
const unknownFunction: FunctionEffect = { classes: ['unknown'], opaque: 'unknown-function' }

/** Extensions of PostgreSQL's own distribution, and pgvector, whose functions in C compute and read only. */
const readingExtensions: ReadonlySet<string> = new Set(
  `btree_gin btree_gist citext cube earthdistance fuzzystrmatch hstore intarray isn ltree pg_trgm pgcrypto seg unaccent
   uuid-ossp vector`.split(/\s+/),
)

/** Functions in C that triggers of PostgreSQL's own extensions call: they change the row that is written, and nothing else. */
const rowTriggers: ReadonlySet<string> = new Set(['moddatetime', 'insert_username'])

/** What calling a function by name does. An overload outside `pg_catalog` may win over a built-in, so all that bear the name count. */
export function functionEffect(name: ObjectName, catalog: CatalogView): FunctionEffect {
  const bare = name.at(-1) ?? ''
  const schema = name.length > 1 ? name.at(-2) : undefined
  // Attribute notation, `t.f`: a call only where a function of that name exists.
  const attribute = schema === ''
  const others =
    catalog
      .functionsNamed(bare)
      // One that the session made may be in any schema.
      ?.filter((one) => schema === undefined || attribute || [schema, ''].includes(one.schema)) ??
    []
  const called = others.map((one) => callEffect(one, catalog, 'named'))
  if (attribute) return merge(called)
  return merge([...called, ownEffect(bare, schema, others.length > 0, catalog)])
}

/** What a trigger does that calls the function of that name. */
export function triggerEffect(name: ObjectName, catalog: CatalogView): FunctionEffect {
  const bare = name.at(-1) ?? ''
  const schema = name.length > 1 ? name.at(-2) : undefined
  const called = catalog
    .functionsNamed(bare)
    ?.filter((one) => schema === undefined || [schema, ''].includes(one.schema))
  if (called !== undefined && called.length > 0)
    return merge(called.map((one) => callEffect(one, catalog, 'trigger')))
  // One of the server's own changes the row alone. Another is not there, and then there is no trigger.
  return harmless
}

/** What a call that nobody wrote does: behind an operator, a cast, an aggregate or a trigger. */
export function implicitEffect(
  fn: CatalogFunction,
  catalog: CatalogView,
  how: 'implicit' | 'trigger',
): FunctionEffect {
  // The server's own triggers, such as tsvector_update_trigger, change the row alone.
  const own =
    fn.isBuiltin === true
      ? how === 'trigger'
        ? harmless
        : ownEffect(fn.name, 'pg_catalog', false, catalog)
      : callEffect(fn, catalog, how)
  const made = catalog.made?.get(fn.name) ?? []
  return made.length === 0
    ? own
    : merge([own, ...made.map((one) => callEffect(one, catalog, 'named'))])
}

function callEffect(
  fn: CatalogFunction,
  catalog: CatalogView,
  how: 'named' | 'implicit' | 'trigger',
): FunctionEffect {
  if (catalog.trustedFunctions.has(`${fn.schema}.${fn.name}`)) return harmless
  if (fn.definition !== undefined) return { classes: [], calls: [fn] }
  if (fn.behind !== undefined)
    return merge(fn.behind.map((one) => implicitEffect(one, catalog, 'implicit')))
  const known = builtinEffect(fn.name)
  const unknown = { ...unknownFunction, classes: ['unknown', ...(known?.classes ?? [])] } as const
  if (fn.language !== 'c') return unknown
  if (how === 'trigger') return rowTriggers.has(fn.name) ? harmless : unknown
  if (fn.extension !== undefined && readingExtensions.has(fn.extension)) return harmless
  // Only a superuser makes functions in C; where a type's operator or cast is one, or a view's author chose it, no caller did.
  return how === 'implicit' ? (known ?? harmless) : unknown
}

function ownEffect(
  bare: string,
  schema: string | undefined,
  hasOthers: boolean,
  catalog: CatalogView,
): FunctionEffect {
  if (schema === undefined || schema === 'pg_catalog') {
    const effect = builtinEffect(bare)
    if (effect !== undefined) return effect
    // The walker read set_config's arguments.
    if (readingBuiltins.has(bare) || bare === 'set_config') return harmless
  }
  if (schema === 'information_schema' && bare.startsWith('_pg_')) return harmless
  if (hasOthers) return harmless
  return catalog.trustedFunctions.has(`${schema ?? ''}.${bare}`) ? harmless : unknownFunction
}

function merge(effects: readonly FunctionEffect[]): FunctionEffect {
  const opaque = effects.find((one) => one.opaque !== undefined)?.opaque
  return {
    classes: [...new Set(effects.flatMap((one) => one.classes))],
    calls: effects.flatMap((one) => one.calls ?? []),
    ...(opaque === undefined ? {} : { opaque }),
    ...(effects.some((one) => one.file === true) ? { file: true } : {}),
  }
}

import {
  makeId,
  type Command,
  type CommandId,
  type DecisionId,
  type InferenceMode,
  type MaskRule,
  type Refusal,
} from '@sallyport/core'
import { randomBytes } from 'node:crypto'
import { readingBuiltins } from '../data-plane/protocols/postgres/classify/builtin-functions.ts'
import type { SqlClassifier } from '../data-plane/protocols/postgres/classify/classify-sql.ts'
import {
  emptyCatalog,
  type CatalogView,
  type Classified,
} from '../data-plane/protocols/postgres/classify/classified.ts'
import { Catalog } from '../data-plane/protocols/postgres/catalog.ts'
import { FormerNames } from '../data-plane/protocols/postgres/former-names.ts'
import { isTainted } from '../data-plane/protocols/postgres/lineage/flow.ts'
import {
  isUntouched,
  lineageRefusal,
  unreadRefusal,
} from '../data-plane/protocols/postgres/lineage/lineage-refusal.ts'
import type { Lineage } from '../data-plane/protocols/postgres/lineage/lineage.ts'
import { noLineageRows } from '../data-plane/protocols/postgres/lineage/lineage-rows.ts'
import { MaskedDatabases } from '../data-plane/protocols/postgres/lineage/masked-database.ts'

/** A table that stands in for one of a target. */
export interface StandInTable {
  readonly schema: string
  readonly name: string
  readonly columns: readonly string[]
}

/** What masks make of a statement: the columns that come masked, or why it may not run. */
export interface MaskOutcome {
  /** `schema.table.column`, in order. */
  readonly columns: readonly string[]
  readonly refusal?: Refusal
}

const textOid = 25
/** The first number that PostgreSQL gives to an object of a database's own. */
const firstOid = 16_384

/** Judges statements as a gateway does, in front of tables that exist in a test alone. Without tables, names stay as written and masks are not followed. */
export class StandInDatabase {
  readonly #classifier: SqlClassifier
  readonly #view: CatalogView
  readonly #catalog: Catalog | undefined
  readonly #databases: MaskedDatabases
  readonly #trusted: ReadonlySet<string>

  constructor(
    classifier: SqlClassifier,
    tables: readonly StandInTable[] | undefined,
    trusted: readonly string[] = [],
  ) {
    this.#classifier = classifier
    this.#trusted = new Set(trusted)
    this.#catalog = tables === undefined ? undefined : catalogOf(tables, trusted)
    this.#view = this.#catalog?.view(true, this.#trusted) ?? emptyCatalog
    this.#databases = new MaskedDatabases((text) => classifier.parse(text))
  }

  /** True where masks can be followed. */
  get hasTables(): boolean {
    return this.#catalog !== undefined
  }

  command(text: string, inTransaction: boolean): Command {
    return {
      id: makeId<CommandId>('c', randomBytes),
      effects: this.#classified(text).effects,
      text,
      // A simple query: its type byte, its length, and a zero at the end.
      bytes: Buffer.byteLength(text) + 6,
      inTransaction,
    }
  }

  /** What these masks do to the answer of a statement that may run. */
  masked(text: string, masks: readonly MaskRule[], inference: InferenceMode): MaskOutcome {
    const nothing = { columns: [] }
    if (this.#catalog === undefined || !masks.some(({ columns }) => columns.length > 0))
      return nothing
    const names = { isPathKnown: true, trustedFunctions: this.#trusted, unsettled: undefined }
    const database = this.#databases.of(this.#catalog.lineage, names, masks, inference)
    const classified = this.#classified(text)
    if (database.reads(classified) === 'nothing') return nothing
    const found = database.statements(text)
    const context = {
      masks: database.masks,
      connection: 'the target',
      decision: 'd_test' as DecisionId,
      inference,
      parameters: [],
      mayLookUp: () => true,
    }
    if (found === undefined) return { columns: [], refusal: unreadRefusal(context) }
    for (const lineage of found) {
      const refusal = isUntouched(lineage) ? undefined : lineageRefusal(lineage, context)
      if (refusal !== undefined) return { columns: [], refusal }
    }
    return { columns: [...new Set(found.flatMap(maskedColumns))].toSorted() }
  }

  #classified(text: string): Classified {
    return this.#classifier.classify(text, this.#view)
  }
}

function maskedColumns({ columns, others }: Lineage): string[] {
  const flows = columns?.map(({ flow }) => flow) ?? []
  if (others !== undefined) flows.push(others)
  return flows
    .filter(isTainted)
    .flatMap(({ sources }) => [...sources.keys()].map(({ name }) => name.join('.')))
}

/** Those that most statements use: without the others a query is taken to give more rows than one. */
const aggregates = /^(?:count|sum|avg|min|max|bool_and|bool_or|(?:array|string|jsonb?)_agg)$/u

let generations = 0

function catalogOf(tables: readonly StandInTable[], trusted: readonly string[]): Catalog {
  // Nobody looks into what is vouched for, so that a name is all there is to it.
  const functions = trusted.map((qualified, index) => {
    const [schema = '', name = ''] = qualified.split('.')
    const facts = { volatility: 'v', language: 'c', returnsSet: false } as const
    return { oid: firstOid + tables.length + index, schema, name, ...facts }
  })
  const relations = new Map(
    tables.map(({ schema, name, columns }, index) => {
      const oid = firstOid + index
      const byNumber = columns.map(
        (column, at) => [at + 1, { name: column, typeOid: textOid, typmod: -1 }] as const,
      )
      return [oid, { oid, schema, name, kind: 'r', columns: new Map(byNumber) }]
    }),
  )
  const builtins = new Map(
    [...readingBuiltins].map((name) => [
      name,
      {
        isVolatile: false,
        returnsSet: /^(?:generate_series|unnest)$/u.test(name),
        isAggregate: aggregates.test(name),
        // Types are not stated, so nothing is told from them.
        returns: '',
      },
    ]),
  )
  generations += 1
  return new Catalog(generations, {
    fingerprint: '',
    relations,
    former: FormerNames.none,
    below: new Map(),
    functions: new Map(functions.map((fn) => [fn.oid, { ...fn, securityDefiner: false }])),
    code: {
      operatorFunctions: () => [],
      checksOf: () => [],
      casts: [],
      mayHold: () => false,
      implicit: [],
      ofRelation: () => [],
      eventTriggers: [],
    },
    searchPath: ['pg_catalog', 'public'],
    lineage: { ...noLineageRows, builtins, functions },
  })
}

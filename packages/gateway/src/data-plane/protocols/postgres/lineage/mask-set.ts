import type { InferenceMode, MaskRule } from '@sallyport/core'
import { matchesColumn } from '../../../masking/column-pattern.ts'
import type { FormerNames } from '../former-names.ts'
import { columnFlow, type Flow, type MaskedColumn } from './flow.ts'
import { sensitiveColumns } from './sensitive-columns.ts'
import type { LineageCatalog, LineageRelation } from './lineage-catalog.ts'

/** What a mask set is made from. */
export interface MaskSource extends Pick<LineageCatalog, 'relation' | 'descendants'> {
  relations(): Iterable<LineageRelation>
  /** The relation and all that it inherits from or is a partition of. */
  withAncestors(oid: number): Iterable<number>
  readonly former: FormerNames
}

/** The masked columns of one database under one list of masks. Immutable. */
export class MaskSet {
  /** Those that rules name. */
  readonly all: readonly MaskedColumn[]
  readonly #byRelation = new Map<number, Map<number, MaskedColumn>>()
  readonly #inference: InferenceMode

  /** `inference` is for rules that do not say. */
  constructor(source: MaskSource, masks: readonly MaskRule[], inference: InferenceMode) {
    this.#inference = inference
    const rules = masks.filter(({ columns }) => columns.length > 0)
    if (rules.length > 0) {
      for (const relation of source.relations()) this.#addRelation(source, relation, rules)
    }
    this.all = [...this.#byRelation.values()].flatMap((columns) =>
      [...columns.values()].filter((column) => !column.rules.includes(systemRule)),
    )
  }

  /** True where no rule names a column of this database. */
  get isEmpty(): boolean {
    return this.all.length === 0
  }

  column(relation: number, attribute: number): MaskedColumn | undefined {
    return this.#byRelation.get(relation)?.get(attribute)
  }

  columnsOf(relation: number): Iterable<MaskedColumn> {
    return this.#byRelation.get(relation)?.values() ?? []
  }

  /** A value that may carry anything masked. */
  get anything(): Flow {
    this.#anything ??= {
      sources: new Map(this.all.flatMap((column) => [...columnFlow(column).sources])),
      isExact: false,
      fails: true,
      acts: true,
    }
    return this.#anything
  }
  #anything: Flow | undefined

  #addRelation(source: MaskSource, relation: LineageRelation, rules: readonly MaskRule[]): void {
    const { oid, schema, name, columns } = relation
    const sensitive = sensitiveColumns(schema, name)
    if (sensitive === undefined && isSystemSchema(schema)) return
    const names = [...source.withAncestors(oid)].flatMap((ancestor) => {
      const found = source.relation(ancestor)
      if (found === undefined) return []
      return [[found.schema, found.name] as const, ...source.former.ofRelation(ancestor)]
    })
    for (const column of columns) {
      const bearing = [column.name, ...source.former.ofColumn(oid, column.attribute)]
      const matching =
        sensitive !== undefined
          ? sensitive(column.name)
            ? [systemRule]
            : []
          : rules.filter((rule) =>
              rule.columns.some((pattern) =>
                names.some(([in_, of]) =>
                  bearing.some((each) => matchesColumn(pattern, [in_, of, each])),
                ),
              ),
            )
      if (matching.length === 0) continue
      let ofRelation = this.#byRelation.get(oid)
      if (ofRelation === undefined) {
        ofRelation = new Map()
        this.#byRelation.set(oid, ofRelation)
      }
      ofRelation.set(column.attribute, {
        relation: oid,
        name: [schema, name, column.name],
        typeOid: column.typeOid,
        rules: matching,
        hidesNull: matching.some((rule) => rule.with === 'null' || rule.with === 'block'),
        isBlocked: matching.some(({ inference = this.#inference }) => inference === 'block'),
      })
    }
  }
}

/** Masks the server's own columns that show values of others. */
const systemRule: MaskRule = {
  rule: 'sallyport/system-columns',
  columns: [],
  detect: [],
  with: 'null',
  unresolved: 'mask',
}

function isSystemSchema(schema: string): boolean {
  return schema === 'pg_catalog' || schema === 'information_schema' || schema === 'pg_toast'
}

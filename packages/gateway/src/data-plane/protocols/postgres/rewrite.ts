import type { MaskKey } from '@sallyport/core'
import { SallyportError } from '@sallyport/core'
import {
  CopyRowSplitter,
  encodeCopyData,
  encodeCopyRow,
  formatAt,
  type ColumnDescription,
  type CopyOptions,
  type CopyRow,
} from '@sallyport/wire'
import { MaskSink } from '../../masking/mask-sink.ts'
import { planColumns, type ResultField } from '../../masking/column-plan.ts'
import { createRowMasker, MaskError, type RowMasker } from '../../masking/row-masker.ts'
import type { Answer } from '../../pipeline/answer.ts'
import type { Catalog } from './catalog.ts'
import type { Classified, CopyInfo } from './classify/classified.ts'

/** Masks one result: rows or COPY data. Same shape, fewer secrets. */
export interface AnswerMasker {
  /** The rewritten message, or undefined where it may pass as it came. */
  row(frames: Buffer, at: number, end: number): Buffer | undefined
  /** CopyData messages for the rows that `data` completes; empty where it completes none. */
  copyData(data: Buffer): Buffer
  copyEnd(): Buffer | undefined
  /** What was masked since the last call. */
  takeCounts(): { rule: string; values: number }[]
}

/** An answer, and what the command is that it answers. */
export interface Source {
  readonly answer: Answer
  readonly classified: Classified | undefined
}

/** The masker of a description, and all that it was planned from. */
interface Planned {
  readonly masks: Answer['masks']
  readonly catalog: Catalog | undefined
  readonly classified: Classified | undefined
  readonly resultFormats: readonly number[] | undefined
  readonly masker: AnswerMasker | undefined
}

/** Plans the masks of each result of a session. */
export class Rewriter {
  readonly #catalog: () => Catalog | undefined
  readonly #key: MaskKey
  /** Executions of one statement share their description, and so their plan. */
  readonly #planned = new WeakMap<readonly ColumnDescription[], Planned>()

  constructor(catalog: () => Catalog | undefined, key: MaskKey) {
    this.#catalog = catalog
    this.#key = key
  }

  /**
   * A masker for rows of these columns; undefined where none of them is masked. It serves one result at a time: the next
   * call for the same columns may return it again.
   */
  rows(
    { answer, classified }: Source,
    columns: readonly ColumnDescription[],
    resultFormats: readonly number[] | undefined,
  ): AnswerMasker | undefined {
    const catalog = this.#catalog()
    const { masks } = answer
    const known = this.#planned.get(columns)
    if (
      known?.masks === masks &&
      known.catalog === catalog &&
      known.classified === classified &&
      areEqual(known.resultFormats, resultFormats)
    ) {
      known.masker?.takeCounts()
      return known.masker
    }
    const fields = columns.map((column, index): ResultField => {
      const format = resultFormats === undefined ? column.format : formatAt(resultFormats, index)
      return {
        name: column.name,
        tableOid: column.tableOid,
        attribute: column.columnNumber,
        typeOid: column.typeOid,
        typmod: column.typeModifier,
        format: format === 1 ? 1 : 0,
      }
    })
    const rowMasker = this.#masker({ answer, classified }, fields)
    const masker = rowMasker === undefined ? undefined : new RowAnswerMasker(rowMasker)
    this.#planned.set(columns, { masks, catalog, classified, resultFormats, masker })
    return masker
  }

  /** A masker for COPY data. Columns of a table are known by name; those of a query are not, and so are masked. */
  copy(source: Source, index: number, columns: number): AnswerMasker | undefined {
    const info = source.classified?.statements[index]?.copy
    if (info === undefined)
      throw new SallyportError('SP_MASK_IMPOSSIBLE', 'COPY of an unknown form')
    const masker = this.#masker(source, this.#copyFields(info, columns))
    return masker === undefined ? undefined : new CopyAnswerMasker(masker, copyOptions(info))
  }

  /** True where a value that comes from no known column may come from a masked one. */
  touchesMasked({ answer, classified }: Source): boolean {
    if (answer.masks.length === 0) return false
    const catalog = this.#catalog()
    const effects = classified?.effects
    if (catalog === undefined || effects?.sql === undefined || effects.class === 'unknown')
      return true
    return catalog.touchesMasked([...effects.sql.reads, ...effects.sql.writes], answer.masks)
  }

  #masker(source: Source, fields: readonly ResultField[]): RowMasker | undefined {
    const { answer, classified } = source
    const catalog = this.#catalog()
    const only = classified?.statements.length === 1 ? classified.statements[0] : undefined
    const plan = planColumns({
      fields,
      masks: answer.masks,
      origins: catalog ?? { column: () => undefined, readsMasked: () => true },
      // Only fields without an origin ask for it, and telling it walks the columns of all that is read.
      touchesMasked: fields.some((field) => field.tableOid === 0) && this.touchesMasked(source),
      clean: (index) => only?.cleanColumns[index] === 'clean',
    })
    if ('blocked' in plan) throw new MaskError('a column of unknown origin', plan.blocked)
    if (plan.every((column) => column.kind === 'pass')) return undefined
    return createRowMasker(plan, this.#key)
  }

  #copyFields(info: CopyInfo, columns: number): ResultField[] {
    const format = info.format === 'binary' ? 1 : 0
    const unknown = { name: '', tableOid: 0, attribute: 0, typeOid: 0, typmod: -1, format } as const
    const found = info.relation === undefined ? [] : (this.#catalog()?.named(info.relation) ?? [])
    const relation = found.length === 1 ? found[0] : undefined
    if (relation === undefined) return Array.from({ length: columns }, () => unknown)
    const all = [...relation.columns].toSorted(([a], [b]) => a - b)
    const named =
      info.columns === undefined || info.columns.length === 0
        ? all
        : info.columns.flatMap((name) => all.filter(([, column]) => column.name === name))
    if (named.length !== columns) return Array.from({ length: columns }, () => unknown)
    return named.map(([attribute, column]) => ({
      name: column.name,
      tableOid: relation.oid,
      attribute,
      typeOid: column.typeOid,
      typmod: column.typmod,
      format,
    }))
  }
}

class RowAnswerMasker implements AnswerMasker {
  readonly #masker: RowMasker
  readonly #sink = new MaskSink()

  constructor(masker: RowMasker) {
    this.#masker = masker
  }

  row(frames: Buffer, at: number, end: number): Buffer | undefined {
    return this.#masker.maskDataRow(frames, at, end, this.#sink) ? this.#sink.take() : undefined
  }

  copyData(): Buffer {
    throw new SallyportError('SP_PROTOCOL', 'COPY data among rows')
  }

  copyEnd(): undefined {
    return undefined
  }

  takeCounts(): { rule: string; values: number }[] {
    return countsOf(this.#masker)
  }
}

class CopyAnswerMasker implements AnswerMasker {
  readonly #masker: RowMasker
  readonly #options: CopyOptions
  readonly #splitter: CopyRowSplitter

  constructor(masker: RowMasker, options: CopyOptions) {
    this.#masker = masker
    this.#options = options
    this.#splitter = new CopyRowSplitter(options)
  }

  row(): Buffer | undefined {
    throw new SallyportError('SP_PROTOCOL', 'a row inside COPY')
  }

  copyData(data: Buffer): Buffer {
    return this.#encode(this.#splitter.push(data))
  }

  copyEnd(): Buffer {
    return this.#encode(this.#splitter.finish())
  }

  #encode(rows: readonly CopyRow[]): Buffer {
    const parts: Buffer[] = []
    for (const row of rows) {
      const masked = row.kind === 'row' ? this.#masker.maskCopyFields(row.fields) : undefined
      const isChanged = masked?.changed === true
      const bytes = isChanged ? encodeCopyRow([...masked.fields], this.#options) : row.raw
      parts.push(encodeCopyData(bytes))
    }
    return Buffer.concat(parts)
  }

  takeCounts(): { rule: string; values: number }[] {
    return countsOf(this.#masker)
  }
}

function areEqual(a: readonly number[] | undefined, b: readonly number[] | undefined): boolean {
  if (a === b) return true
  return a?.length === b?.length && a?.every((format, index) => format === b?.[index]) === true
}

function countsOf(masker: RowMasker): { rule: string; values: number }[] {
  return [...masker.takeCounts()].map(([rule, values]) => ({ rule, values }))
}

function copyOptions(info: CopyInfo): CopyOptions {
  const { delimiter, null: nullText, quote, escape, header } = info.options
  return {
    format: info.format,
    ...(delimiter === undefined ? {} : { delimiter }),
    ...(nullText === undefined ? {} : { nullText }),
    ...(quote === undefined ? {} : { quote }),
    ...(escape === undefined ? {} : { escape }),
    ...(header === undefined ? {} : { header }),
  }
}

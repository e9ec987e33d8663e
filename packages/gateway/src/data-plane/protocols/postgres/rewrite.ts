import type { MaskKey, PgTypes } from '@sallyport/core'
import { SallyportError } from '@sallyport/core'
import {
  BackendType,
  copyRowEncoder,
  CopyRowSplitter,
  formatAt,
  type ColumnDescription,
  type CopyOptions,
  type CopyRow,
  type CopyRowEncoder,
} from '@sallyport/wire'
import { MaskSink } from '../../masking/mask-sink.ts'
import { planColumns, type ColumnOutcome, type ResultField } from '../../masking/column-plan.ts'
import { createRowMasker, MaskError, type RowMasker } from '../../masking/row-masker.ts'
import type { Answer } from '../../pipeline/answer.ts'
import type { Classified, CopyInfo } from './classify/classified.ts'
import { outcomeOf } from './lineage/column-outcome.ts'
import { clean, type Flow } from './lineage/flow.ts'
import type { FollowedUnit } from './lineage/lineage-judge.ts'
import type { Lineage } from './lineage/lineage.ts'
import { resultFlows } from './lineage/result-flows.ts'

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
  readonly followed: FollowedUnit | undefined
  /** Which of the command's statements is answered. */
  readonly statement: number
}

/** The masker of a description, and all that it was planned from. */
interface Planned {
  readonly masks: Answer['masks']
  readonly database: FollowedUnit['database'] | undefined
  readonly lineage: Lineage | undefined
  readonly isTouched: boolean
  readonly resultFormats: readonly number[] | undefined
  readonly masker: AnswerMasker | undefined
}

/** Plans the masks of each result of a session. */
export class Rewriter {
  readonly #key: MaskKey
  readonly #onMoved: () => void
  readonly #types: PgTypes
  /** Executions of one statement share their description, and so their plan. */
  readonly #planned = new WeakMap<readonly ColumnDescription[], Planned>()

  /** `onMoved` hears of results that have other columns than the catalog lets expect; `types` tells what the database's own types are. */
  constructor(key: MaskKey, onMoved: () => void, types: PgTypes) {
    this.#key = key
    this.#types = types
    this.#onMoved = onMoved
  }

  /**
   * A masker for rows of these columns; undefined where none of them is masked. It serves one result at a time: the next
   * call for the same columns may return it again.
   */
  rows(
    source: Source,
    columns: readonly ColumnDescription[],
    resultFormats: readonly number[] | undefined,
  ): AnswerMasker | undefined {
    const { masks } = source.answer
    const { followed } = source
    const known = this.#planned.get(columns)
    const lineage = lineageOf(source)
    if (
      known?.masks === masks &&
      known.database === followed?.database &&
      known.lineage === lineage &&
      known.isTouched === (followed?.isTouched === true) &&
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
    const rowMasker = this.#masker(source, fields)
    const masker = rowMasker === undefined ? undefined : new RowAnswerMasker(rowMasker)
    this.#planned.set(columns, {
      masks,
      database: followed?.database,
      lineage,
      isTouched: followed?.isTouched === true,
      resultFormats,
      masker,
    })
    return masker
  }

  /** A masker for COPY data, whose columns have no description: they are those that lineage expects. */
  copy(source: Source, columns: number): AnswerMasker | undefined {
    const info = source.classified?.statements[source.statement]?.copy
    if (info === undefined)
      throw new SallyportError('SP_MASK_IMPOSSIBLE', 'COPY of an unknown form')
    const masker = this.#masker(source, copyFields(source, info, columns))
    return masker === undefined ? undefined : new CopyAnswerMasker(masker, copyOptions(info))
  }

  /** True where the command can meet masked values, and so a text about it may quote one. */
  touchesMasked({ answer, followed }: Pick<Source, 'answer' | 'followed'>): boolean {
    if (!answer.masks.some(({ columns }) => columns.length > 0)) return false
    return followed === undefined || followed.isTouched
  }

  #masker(source: Source, fields: readonly ResultField[]): RowMasker | undefined {
    const { masks } = source.answer
    const plan = planColumns(fields, this.#outcomes(source, fields), masks)
    if ('blocked' in plan) throw new MaskError('a column of unknown origin', plan.blocked)
    if (plan.every((column) => column.kind === 'pass')) return undefined
    return createRowMasker(plan, this.#key, this.#types)
  }

  #outcomes(source: Source, fields: readonly ResultField[]): readonly ColumnOutcome[] {
    const { followed } = source
    if (!source.answer.masks.some(({ columns }) => columns.length > 0))
      return fields.map(() => ({ kind: 'clean' }))
    // Without a catalog nothing can be told; such a column is withheld.
    if (followed === undefined) return []
    const { database } = followed
    const lineage = followed.isTouched ? lineageOf(source) : untouched
    const { flows, isResolved, hasMoved } = resultFlows(lineage, fields, database)
    if (hasMoved) this.#onMoved()
    return flows.map((flow) => outcomeOf(flow, isResolved, database.masks))
  }
}

/** What is expected of a statement that meets nothing masked: any columns, and nothing in them. */
const untouched: Lineage = {
  columns: undefined,
  others: clean,
  planned: clean,
  influences: [],
  launders: [],
  partials: [],
  unresolved: [],
  sideDoors: [],
  maskedWrites: [],
}

function lineageOf({ followed, statement }: Source): Lineage | undefined {
  return followed?.statements[statement]
}

/** Columns as lineage knows them, with the types that the catalog has for them. */
function copyFields(source: Source, info: CopyInfo, columns: number): ResultField[] {
  const format = info.format === 'binary' ? 1 : 0
  const expected = lineageOf(source)?.columns
  const { database } = source.followed ?? {}
  return Array.from({ length: columns }, (_, index): ResultField => {
    const column = expected?.length === columns ? expected[index] : undefined
    const name = column?.name ?? ''
    const { origin } = column ?? {}
    const relation = origin === undefined ? undefined : database?.catalog.relation(origin.relation)
    const found = relation?.columns.find(({ attribute }) => attribute === origin?.attribute)
    if (found === undefined || origin === undefined) {
      const typeOid = column?.flow.isExact === true ? typeOf(column.flow) : 0
      return { name, tableOid: 0, attribute: 0, typeOid, typmod: -1, format }
    }
    const { relation: tableOid, attribute } = origin
    const { typeOid, typmod } = found
    return { name, tableOid, attribute, typeOid, typmod, format }
  })
}

/** The type that all sources of a value share; 0 where they share none. */
function typeOf({ sources }: Flow): number {
  const types = new Set([...sources.keys()].map(({ typeOid }) => typeOid))
  const [only = 0] = types
  return types.size === 1 ? only : 0
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

/** How text spells NULL unless told otherwise: no value is written like this. */
const nullOfText = String.raw`\N`

const copyDataType = Buffer.of(BackendType.copyData)

class CopyAnswerMasker implements AnswerMasker {
  readonly #masker: RowMasker
  readonly #splitter: CopyRowSplitter
  readonly #encoder: CopyRowEncoder
  readonly #isNullClear: boolean
  readonly #sink = new MaskSink()

  constructor(masker: RowMasker, options: CopyOptions) {
    this.#masker = masker
    this.#splitter = new CopyRowSplitter(options)
    this.#encoder = copyRowEncoder(options)
    // In text a target writes a value that spells NULL as it is, whatever NULL was told to be; in CSV it quotes it.
    this.#isNullClear = options.format !== 'text' || (options.null ?? nullOfText) === nullOfText
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
    for (const row of rows) {
      const masked =
        row.kind === 'row' ? this.#masker.maskCopyFields(row.fields, this.#isNullClear) : undefined
      const bytes = masked?.changed === true ? this.#encoder(masked.fields, row) : row.raw
      this.#sink.write(copyDataType)
      this.#sink.writeInt32(bytes.length + 4)
      this.#sink.write(bytes)
    }
    return this.#sink.take()
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

function copyOptions({ format, options }: CopyInfo): CopyOptions {
  const { encoding: _encoding, ...syntax } = options
  return { format, ...syntax }
}

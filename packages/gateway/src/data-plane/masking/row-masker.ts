import {
  BLOCK,
  compilePgMask,
  DetectorSet,
  isJsonType,
  isTextType,
  OID,
  SallyportError,
  type DetectRule,
  type MaskFunction,
  type MaskKey,
  type PgMask,
  type PgTypes,
  type Syntax,
} from '@sallyport/core'
import { MaskSink } from './mask-sink.ts'

/** What happens to the values of one result column. Format 0 is text, 1 is binary. */
export type ColumnPlan =
  | { readonly kind: 'pass' }
  | {
      readonly kind: 'column'
      readonly fn: MaskFunction
      readonly typeOid: number
      readonly typmod: number
      readonly format: 0 | 1
      readonly rule: string
    }
  | {
      readonly kind: 'detect'
      readonly rules: readonly (DetectRule & { readonly rule: string })[]
      readonly typeOid: number
      readonly format: 0 | 1
    }

/** A row that can't be masked, or that a `block` mask withholds. The response ends here and nothing of the row leaves. */
export class MaskError extends SallyportError {
  override readonly name = 'MaskError'
  /** The rule that withholds the value; undefined where the row itself is at fault. */
  readonly rule: string | undefined

  constructor(message: string, rule?: string) {
    super(rule === undefined ? 'SP_MASK_IMPOSSIBLE' : 'SP_POLICY_BLOCKED', message)
    this.rule = rule
  }
}

/** Masks the rows of one result at a time, and counts. */
export interface RowMasker {
  /** Masked values by rule since the last call. */
  takeCounts(): ReadonlyMap<string, number>
  /** `frames[at]` is the `D` of a whole DataRow that ends before `end`. False and nothing written where nothing changes. */
  maskDataRow(frames: Buffer, at: number, end: number, out: MaskSink): boolean
  /**
   * The fields of one COPY row, decoded; null is NULL. Where a value may read as NULL too, all values of masked columns
   * become NULL: else who guesses a value as the text of NULL would read which rows have it.
   */
  maskCopyFields(fields: readonly (Buffer | null)[], isNullClear: boolean): MaskedFields
}

export interface MaskedFields {
  readonly fields: readonly (Buffer | null)[]
  readonly changed: boolean
}

type Step =
  | { readonly kind: 'column'; readonly mask: PgMask; readonly rule: string }
  | {
      readonly kind: 'detect'
      readonly set: DetectorSet
      readonly syntax: Syntax
      readonly header: number
      /** The value has lengths of its own inside, so a finding makes it NULL: a piece can't be exchanged. */
      readonly isPacked: boolean
    }

const noTypes: PgTypes = () => undefined

/** Prepares the plan of a result. `types` tells what the database's own types are; values of those that it doesn't know become NULL. */
export function createRowMasker(
  plan: readonly ColumnPlan[],
  key: MaskKey,
  types: PgTypes = noTypes,
): RowMasker {
  return new PlannedRowMasker(plan.map((column) => prepare(column, key, types)))
}

const headerBytes = 7

class PlannedRowMasker implements RowMasker {
  readonly #steps: readonly (Step | undefined)[]
  readonly #passes: boolean
  #byRule = new Map<string, number>()

  constructor(steps: readonly (Step | undefined)[]) {
    this.#steps = steps
    this.#passes = steps.every((step) => step === undefined)
  }

  takeCounts(): ReadonlyMap<string, number> {
    const counts = this.#byRule
    if (counts.size > 0) this.#byRule = new Map()
    return counts
  }

  maskDataRow(frames: Buffer, at: number, end: number, out: MaskSink): boolean {
    this.#checkFrame(frames, at, end)
    if (this.#passes) return false
    const start = out.length
    try {
      return this.#rewrite(frames, at, end, out)
    } catch (error) {
      out.truncate(start)
      throw error
    }
  }

  maskCopyFields(fields: readonly (Buffer | null)[], isNullClear: boolean): MaskedFields {
    if (fields.length !== this.#steps.length)
      throw columnCountError(fields.length, this.#steps.length)
    if (this.#passes) return { fields, changed: false }
    let changed = false
    const masked = fields.map((field, index) => {
      const step = this.#steps[index]
      if (step === undefined || field === null) return field
      const value = this.#mask(step, field, 0, field.length)
      if (value === undefined) return field
      changed = true
      return isNullClear || step.kind === 'detect' ? value : null
    })
    return { fields: masked, changed }
  }

  #checkFrame(frames: Buffer, at: number, end: number): void {
    const whole = end <= frames.length && end - at >= headerBytes
    if (!whole || frames[at] !== 0x44 || frames.readInt32BE(at + 1) !== end - at - 1) {
      throw new MaskError('not a whole DataRow message')
    }
    const columns = frames.readInt16BE(at + 5)
    if (columns !== this.#steps.length) throw columnCountError(columns, this.#steps.length)
  }

  /** Copies what stays in as few pieces as there are changed values. */
  #rewrite(frames: Buffer, at: number, end: number, out: MaskSink): boolean {
    const start = out.length
    let copied = at
    let cursor = at + headerBytes
    for (const step of this.#steps) {
      if (cursor + 4 > end) throw new MaskError('a row ends inside a value')
      const length = readLength(frames, cursor)
      const valueStart = cursor + 4
      const valueEnd = length < 0 ? valueStart : valueStart + length
      if (length < -1 || valueEnd > end) throw new MaskError('a value reaches beyond its row')
      if (step !== undefined && length >= 0) {
        const masked = this.#mask(step, frames, valueStart, valueEnd)
        if (masked !== undefined) {
          out.write(frames, copied, cursor)
          out.writeInt32(masked === null ? -1 : masked.length)
          if (masked !== null) out.write(masked)
          copied = valueEnd
        }
      }
      cursor = valueEnd
    }
    if (cursor !== end) throw new MaskError('a row has bytes behind its last value')
    if (copied === at) return false
    out.write(frames, copied, end)
    out.setInt32(out.length - start - 1, start + 1)
    return true
  }

  /** Undefined where the value stays as it is. */
  #mask(step: Step, bytes: Buffer, start: number, end: number): Buffer | null | undefined {
    if (step.kind === 'detect') return this.#detect(step, bytes, start, end)
    if (step.mask.kind === 'block') throw new MaskError('a block mask met a value', step.rule)
    this.#count(step.rule)
    return step.mask.kind === 'constant'
      ? step.mask.value
      : step.mask.mask(bytes.subarray(start, end))
  }

  #detect(
    step: Extract<Step, { kind: 'detect' }>,
    bytes: Buffer,
    start: number,
    end: number,
  ): Buffer | null | undefined {
    const from = start + step.header
    if (from >= end || !step.set.mayMatch(bytes, from, end, step.syntax)) return undefined
    const found = step.set.mask(bytes.toString('utf8', from, end), step.syntax)
    if (found === undefined) return undefined
    if (found.text === BLOCK) throw new MaskError('a block mask met a value', found.rules[0] ?? '')
    for (const rule of found.rules) this.#count(rule)
    if (found.text === null || step.isPacked) return null
    const text = Buffer.from(found.text)
    return step.header === 0 ? text : Buffer.concat([bytes.subarray(start, from), text])
  }

  #count(rule: string): void {
    this.#byRule.set(rule, (this.#byRule.get(rule) ?? 0) + 1)
  }
}

function prepare(column: ColumnPlan, key: MaskKey, types: PgTypes): Step | undefined {
  if (column.kind === 'pass') return undefined
  if (column.kind === 'column') {
    const { fn, typeOid, typmod, rule } = column
    const format = column.format === 0 ? 'text' : 'binary'
    return {
      kind: 'column',
      mask: compilePgMask({ fn, typeOid, typmod, format, key, types }),
      rule,
    }
  }
  const syntax = isJsonType(column.typeOid)
    ? 'json'
    : isTextType(column.typeOid)
      ? 'plain'
      : 'structured'
  // Binary jsonb starts with one byte for its version.
  const header = column.typeOid === OID.jsonb && column.format === 1 ? 1 : 0
  // In binary, arrays and types of the database's own may hold several values, each with its length. XML is one text.
  const isPacked = column.format === 1 && syntax === 'structured' && column.typeOid !== OID.xml
  return { kind: 'detect', set: new DetectorSet(column.rules, key), syntax, header, isPacked }
}

function readLength(bytes: Buffer, at: number): number {
  return (
    ((bytes[at] ?? 0) << 24) |
    ((bytes[at + 1] ?? 0) << 16) |
    ((bytes[at + 2] ?? 0) << 8) |
    (bytes[at + 3] ?? 0)
  )
}

function columnCountError(columns: number, planned: number): MaskError {
  return new MaskError(`a row of ${columns} columns where ${planned} were described`)
}

import { WireError } from '../wire-error.ts'
import {
  type CopyOptions,
  type CopyRow,
  type CopyRowEncoder,
  type CopyScanner,
  backslash,
  carriageReturn,
  newline,
  period,
  singleByte,
} from './copy-row.ts'

/** COPY's CSV format, read as PostgreSQL's CopyReadLineText and CopyReadAttributesCSV read it. */
export class CopyCsvScanner implements CopyScanner {
  readonly #syntax: CsvSyntax
  readonly #header: boolean
  #scanned = 0
  #quoted = false
  #afterEscape = false

  constructor(options: CopyOptions) {
    this.#syntax = csvSyntax(options)
    this.#header = options.header ?? false
  }

  rowEnd(bytes: Buffer, start: number): number {
    const { quote, escape } = this.#syntax
    const hasEscape = escape !== quote
    for (let at = start + this.#scanned; at < bytes.length; at++) {
      const byte = bytes[at]
      if (byte === newline && !this.#quoted) {
        this.#scanned = 0
        this.#afterEscape = false
        return at + 1
      }
      // A quote that is its own escape toggles twice and needs no memory. Another escape counts inside quotes only.
      if (hasEscape && this.#quoted && byte === escape) this.#afterEscape = !this.#afterEscape
      if (byte === quote && !this.#afterEscape) this.#quoted = !this.#quoted
      if (!hasEscape || byte !== escape) this.#afterEscape = false
    }
    this.#scanned = bytes.length - start
    return -1
  }

  read(raw: Buffer, isFirst: boolean): CopyRow {
    const line = withoutLineEnd(raw)
    // Before version 18 this ends the data; from then on it is a value. Rows after it are read either way.
    const isMarker = line.length === 2 && line[0] === backslash && line[1] === period
    if (isMarker) return { kind: 'trailer', fields: [line], raw }
    const kind = isFirst && this.#header ? 'header' : 'row'
    return { kind, fields: readFields(line, this.#syntax), raw }
  }
}

/** Writes rows in COPY's CSV format, with quotes where PostgreSQL would write them. */
export function copyCsvEncoder(options: CopyOptions): CopyRowEncoder {
  const syntax = csvSyntax(options)
  const between = Buffer.of(syntax.delimiter)
  const lineFeed = Buffer.of(newline)
  return (fields) => {
    const parts: Buffer[] = []
    for (const [index, field] of fields.entries()) {
      if (index > 0) parts.push(between)
      if (field === null) parts.push(syntax.null)
      else parts.push(needsQuotes(field, fields.length, syntax) ? quoteField(field, syntax) : field)
    }
    parts.push(lineFeed)
    return Buffer.concat(parts)
  }
}

interface CsvSyntax {
  readonly delimiter: number
  readonly quote: number
  readonly escape: number
  readonly null: Buffer
}

function csvSyntax(options: CopyOptions): CsvSyntax {
  const quote = options.quote ?? '"'
  return {
    delimiter: singleByte(options.delimiter ?? ','),
    quote: singleByte(quote),
    escape: singleByte(options.escape ?? quote),
    null: Buffer.from(options.null ?? ''),
  }
}

function withoutLineEnd(raw: Buffer): Buffer {
  if (raw.at(-1) !== newline) return raw
  return raw.subarray(0, raw.at(-2) === carriageReturn ? -2 : -1)
}

function readFields(line: Buffer, syntax: CsvSyntax): (Buffer | null)[] {
  const fields: (Buffer | null)[] = []
  for (let start = 0; start <= line.length;) {
    const { value, end } = readField(line, start, syntax)
    fields.push(value)
    start = end + 1
  }
  return fields
}

function readField(
  line: Buffer,
  start: number,
  syntax: CsvSyntax,
): { readonly value: Buffer | null; readonly end: number } {
  const { delimiter, quote, escape } = syntax
  const value = Buffer.allocUnsafe(fieldBytesMax(line, start, syntax))
  let length = 0
  let sawQuote = false
  let quoted = false
  let at = start
  for (; at < line.length; at++) {
    const byte = line[at] ?? 0
    const next = line[at + 1]
    if (!quoted && byte === delimiter) break
    if (!quoted && byte === carriageReturn) {
      throw new WireError('malformed', 'a bare carriage return in COPY')
    }
    if (quoted && byte === escape && next !== undefined && (next === quote || next === escape)) {
      value[length++] = next
      at++
    } else if (byte === quote) {
      quoted = !quoted
      sawQuote = true
    } else {
      value[length++] = byte
    }
  }
  if (quoted) throw new WireError('malformed', 'a quoted CSV field without an end')
  const isNull = !sawQuote && line.subarray(start, at).equals(syntax.null)
  return { value: isNull ? null : value.subarray(0, length), end: at }
}

/** Up to the next delimiter where no quote comes first, so that a row of many fields is not allocated many times. */
function fieldBytesMax(line: Buffer, start: number, { delimiter, quote }: CsvSyntax): number {
  const delimiterAt = line.indexOf(delimiter, start)
  const end = delimiterAt === -1 ? line.length : delimiterAt
  const quoteAt = line.subarray(start, end).indexOf(quote)
  return (quoteAt === -1 ? end : line.length) - start
}

function needsQuotes(field: Buffer, fieldCount: number, syntax: CsvSyntax): boolean {
  if (field.equals(syntax.null)) return true
  if (fieldCount === 1 && field.length === 2 && field[0] === backslash && field[1] === period) {
    return true
  }
  const special = [syntax.delimiter, syntax.quote, newline, carriageReturn]
  return special.some((byte) => field.includes(byte))
}

function quoteField(field: Buffer, { quote, escape }: CsvSyntax): Buffer {
  const quoted = Buffer.allocUnsafe(2 * field.length + 2)
  let length = quoted.writeUInt8(quote, 0)
  for (const byte of field) {
    if (byte === quote || byte === escape) quoted[length++] = escape
    quoted[length++] = byte
  }
  quoted[length++] = quote
  return quoted.subarray(0, length)
}

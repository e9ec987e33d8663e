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

/** Letters that stand for a control character after a backslash: b f n r t v. */
const unescapes: ReadonlyMap<number, number> = new Map([
  [0x62, 0x08],
  [0x66, 0x0c],
  [0x6e, 0x0a],
  [0x72, 0x0d],
  [0x74, 0x09],
  [0x76, 0x0b],
])
const escapes: ReadonlyMap<number, number> = new Map([...unescapes].map(([a, b]) => [b, a]))
const letterX = 0x78
/** A backslash and the control characters that have a letter. A compiled pattern is many times faster than a loop. */
const escapable = /[\\\b\t\n\v\f\r]/

/** COPY's text format: a row a line, fields between delimiters, backslash escapes. */
export class CopyTextScanner implements CopyScanner {
  readonly #delimiter: number
  readonly #null: Buffer
  readonly #header: boolean
  #scanned = 0

  constructor(options: CopyOptions) {
    this.#delimiter = singleByte(options.delimiter ?? '\t')
    this.#null = Buffer.from(options.null ?? '\\N')
    this.#header = options.header ?? false
  }

  rowEnd(bytes: Buffer, start: number): number {
    let at = start + this.#scanned
    // Most rows hold no backslash, and native searches find their end many times faster than a loop.
    const found = bytes.indexOf(newline, at)
    if (found !== -1 && !bytes.subarray(at, found).includes(backslash)) {
      this.#scanned = 0
      return found + 1
    }
    while (at < bytes.length) {
      const byte = bytes[at]
      if (byte === newline) {
        this.#scanned = 0
        return at + 1
      }
      // A backslash takes the next byte along, even a newline; without that byte we must look again.
      if (byte === backslash && at + 1 === bytes.length) break
      at += byte === backslash ? 2 : 1
    }
    this.#scanned = at - start
    return -1
  }

  read(raw: Buffer, isFirst: boolean): CopyRow {
    const end = lineEnd(raw)
    const isMarker = end === 2 && raw[0] === backslash && raw[1] === period
    if (isMarker) return { kind: 'trailer', fields: [], raw }
    const kind = isFirst && this.#header ? 'header' : 'row'
    const line = raw.subarray(0, end)
    if (line.includes(backslash) || line.includes(carriageReturn))
      return { kind, fields: this.#escapedFields(line), raw }
    return { kind, fields: this.#plainFields(line), raw, isPlain: true }
  }

  #plainFields(line: Buffer): (Buffer | null)[] {
    const fields: (Buffer | null)[] = []
    let start = 0
    for (;;) {
      const end = line.indexOf(this.#delimiter, start)
      fields.push(this.#value(line.subarray(start, end === -1 ? line.length : end), false))
      if (end === -1) return fields
      start = end + 1
    }
  }

  #escapedFields(line: Buffer): (Buffer | null)[] {
    const fields: (Buffer | null)[] = []
    let start = 0
    let escaped = false
    for (let at = 0; at <= line.length; at++) {
      const byte = line[at]
      if (byte === backslash) {
        escaped = true
        at++
        if (at < line.length) continue
      }
      // PostgreSQL may take it for the end of a row, we would not: two readings of one stream.
      if (byte === carriageReturn)
        throw new WireError('malformed', 'a bare carriage return in COPY')
      if (at < line.length && byte !== this.#delimiter) continue
      fields.push(this.#value(line.subarray(start, at), escaped))
      start = at + 1
      escaped = false
    }
    return fields
  }

  #value(field: Buffer, escaped: boolean): Buffer | null {
    // PostgreSQL compares with the NULL string before it takes escapes away, so that `\\N` is text.
    if (field.equals(this.#null)) return null
    return escaped ? unescape(field) : field
  }
}

/** Writes rows in COPY's text format. */
export function copyTextEncoder(options: CopyOptions): CopyRowEncoder {
  const delimiter = singleByte(options.delimiter ?? '\t')
  const nullText = Buffer.from(options.null ?? '\\N')
  return (fields, asRead) => {
    const parts = fields.map((field, index) => {
      if (field === null) return nullText
      const isAsRead = asRead?.isPlain === true && asRead.fields[index] === field
      return isAsRead ? field : escape(field, delimiter, nullText)
    })
    return joinLine(parts, delimiter)
  }
}

/** Native concatenation of so many short pieces costs more than the copies. */
function joinLine(parts: readonly Buffer[], delimiter: number): Buffer {
  let length = parts.length
  for (const part of parts) length += part.length
  const line = Buffer.allocUnsafe(length)
  let at = 0
  for (const part of parts) {
    line.set(part, at)
    at += part.length
    line[at] = delimiter
    at += 1
  }
  line[at - 1] = newline
  return line
}

/** Where the line's text ends: before the newline, and before a carriage return that belongs to it. */
function lineEnd(raw: Buffer): number {
  const end = raw.length - 1
  if (raw[end] !== newline || isEscaped(raw, end)) return raw.length
  return raw[end - 1] === carriageReturn && !isEscaped(raw, end - 1) ? end - 1 : end
}

function isEscaped(raw: Buffer, at: number): boolean {
  let backslashes = 0
  while (raw[at - 1 - backslashes] === backslash) backslashes++
  return backslashes % 2 === 1
}

function unescape(field: Buffer): Buffer {
  const value = Buffer.allocUnsafe(field.length)
  let length = 0
  let at = 0
  while (at < field.length) {
    let byte = field[at++] ?? 0
    if (byte === backslash) {
      if (at === field.length) break
      const code = numericEscape(field, at)
      byte = code?.value ?? unescapes.get(field[at] ?? 0) ?? field[at] ?? 0
      at += code?.bytes ?? 1
    }
    value[length++] = byte
  }
  return value.subarray(0, length)
}

/** `\x` with one or two hexadecimal digits, or one to three octal digits. */
function numericEscape(field: Buffer, at: number): { value: number; bytes: number } | undefined {
  const isHex = field[at] === letterX
  const digits = isHex ? run(field, at + 1, 2, 16) : run(field, at, 3, 8)
  if (digits === '') return undefined
  const value = Number.parseInt(digits, isHex ? 16 : 8) & 0xff
  return { value, bytes: digits.length + (isHex ? 1 : 0) }
}

function run(field: Buffer, at: number, max: number, radix: 8 | 16): string {
  const text = field.toString('latin1', at, at + max)
  return (radix === 8 ? /^[0-7]*/ : /^[0-9a-fA-F]*/).exec(text)?.[0] ?? ''
}

function escape(field: Buffer, delimiter: number, nullText: Buffer): Buffer {
  const escaped = needsEscape(field, delimiter) ? escapeBytes(field, delimiter) : field
  // A value that reads like NULL keeps being a value. An empty one cannot be told from an empty NULL string.
  const first = field[0]
  if (first === undefined || !escaped.equals(nullText)) return escaped
  return Buffer.concat([hexEscape(first), escapeBytes(field.subarray(1), delimiter)])
}

/** Most values need no escape, and pass as they are. */
function needsEscape(field: Buffer, delimiter: number): boolean {
  return field.includes(delimiter) || escapable.test(field.toString('latin1'))
}

function escapeBytes(field: Buffer, delimiter: number): Buffer {
  const bytes: number[] = []
  for (const byte of field) {
    const letter = escapes.get(byte)
    if (letter !== undefined) bytes.push(backslash, letter)
    else if (byte === delimiter) bytes.push(...hexEscape(byte))
    else if (byte === backslash) bytes.push(backslash, byte)
    else bytes.push(byte)
  }
  return Buffer.from(bytes)
}

/** By number, because a backslash and a letter or digit would mean something else. */
function hexEscape(byte: number): Buffer {
  return Buffer.from(`\\x${byte.toString(16).padStart(2, '0')}`)
}

import type { PgFormat } from './pg-empty-value.ts'
import type { Masker } from './pg-number.ts'
import type { ElementMask } from './pg-array.ts'

/** Tells whether the first bound lies above the second. */
export type IsAbove = (lower: Buffer, upper: Buffer) => boolean

/** Bits of a range's flags (utils/rangetypes.h). */
const EMPTY = 0x01
const LOWER_INCLUSIVE = 0x02
const UPPER_INCLUSIVE = 0x04
const LOWER_INFINITE = 0x08
const UPPER_INFINITE = 0x10

interface Range {
  readonly flags: number
  readonly lower: Buffer | undefined
  readonly upper: Buffer | undefined
}

const empty: Range = { flags: EMPTY, lower: undefined, upper: undefined }

/** Masks the bounds of a range; where a mask puts them in the wrong order they change places. Undefined for what is no range. */
export function rangeMasker(mask: ElementMask, isAbove: IsAbove, format: PgFormat): Masker {
  return (value) => {
    const range = format === 'text' ? parseWhole(value.toString()) : readBinary(value)
    if (range === undefined) return undefined
    const masked = maskBounds(range, mask, isAbove)
    return format === 'text' ? Buffer.from(printText(masked)) : writeBinary(masked)
  }
}

/** The same for a multirange: the target sorts and joins what overlaps. */
export function multirangeMasker(mask: ElementMask, isAbove: IsAbove, format: PgFormat): Masker {
  return (value) => {
    const ranges = format === 'text' ? parseMulti(value.toString()) : readMulti(value)
    const masked = ranges?.map((range) => maskBounds(range, mask, isAbove))
    if (masked === undefined) return undefined
    if (format === 'text') return Buffer.from(`{${masked.map(printText).join(',')}}`)
    const parts = masked.map(writeBinary)
    return Buffer.concat([int32(parts.length), ...parts.flatMap((one) => [int32(one.length), one])])
  }
}

function maskBounds({ flags, lower, upper }: Range, mask: ElementMask, isAbove: IsAbove): Range {
  if ((flags & EMPTY) !== 0) return empty
  const bounds = [lower, upper].map((bound) => (bound === undefined ? undefined : mask(bound)))
  // A bound can't be NULL, and a missing one would mean without end.
  if (bounds.includes(null)) return empty
  const [low, high] = bounds.map((bound) => bound ?? undefined)
  if (low === undefined || high === undefined || !isAbove(low, high))
    return { flags, lower: low, upper: high }
  return { flags, lower: high, upper: low }
}

function parseWhole(text: string): Range | undefined {
  const parser = { text, at: 0 }
  const range = text === 'empty' ? empty : parseRange(parser)
  return text === 'empty' || parser.at === text.length ? range : undefined
}

function parseMulti(text: string): Range[] | undefined {
  if (!text.startsWith('{') || !text.endsWith('}')) return undefined
  const parser = { text, at: 1 }
  const ranges: Range[] = []
  while (parser.at < text.length - 1) {
    const range = parseRange(parser)
    if (range === undefined) return undefined
    ranges.push(range)
    if (text[parser.at] === ',') parser.at += 1
    else if (parser.at !== text.length - 1) return undefined
  }
  return ranges
}

interface Parser {
  readonly text: string
  at: number
}

function parseRange(parser: Parser): Range | undefined {
  const open = parser.text[parser.at]
  if (open !== '[' && open !== '(') return undefined
  parser.at += 1
  const lower = parseBound(parser)
  if (parser.text[parser.at] !== ',') return undefined
  parser.at += 1
  const upper = parseBound(parser)
  const close = parser.text[parser.at]
  if (close !== ']' && close !== ')') return undefined
  parser.at += 1
  const flags =
    (open === '[' ? LOWER_INCLUSIVE : 0) |
    (close === ']' ? UPPER_INCLUSIVE : 0) |
    (lower === undefined ? LOWER_INFINITE : 0) |
    (upper === undefined ? UPPER_INFINITE : 0)
  return { flags, lower, upper }
}

/** Undefined where there is none; quotes and backslashes as in range_parse_bound. */
function parseBound(parser: Parser): Buffer | undefined {
  let value = ''
  let isQuoted = false
  let isThere = false
  for (; parser.at < parser.text.length; parser.at += 1) {
    const sign = parser.text.charAt(parser.at)
    if (!isQuoted && (sign === ',' || sign === ')' || sign === ']')) break
    isThere = true
    if (sign === '\\') {
      parser.at += 1
      value += parser.text.charAt(parser.at)
    } else if (sign !== '"') value += sign
    else if (isQuoted && parser.text[parser.at + 1] === '"') {
      parser.at += 1
      value += '"'
    } else isQuoted = !isQuoted
  }
  return isThere ? Buffer.from(value) : undefined
}

function printText({ flags, lower, upper }: Range): string {
  if ((flags & EMPTY) !== 0) return 'empty'
  const open = (flags & LOWER_INCLUSIVE) === 0 ? '(' : '['
  const close = (flags & UPPER_INCLUSIVE) === 0 ? ')' : ']'
  return `${open}${printBound(lower)},${printBound(upper)}${close}`
}

function printBound(bound: Buffer | undefined): string {
  if (bound === undefined) return ''
  const text = bound.toString()
  return /^[A-Za-z0-9_.+:-]+$/.test(text) ? text : `"${text.replace(/["\\]/g, '\\$&')}"`
}

/** range_send: flags, then each finite bound with its length. */
function readBinary(value: Buffer): Range | undefined {
  const flags = value[0]
  if (flags === undefined) return undefined
  if ((flags & EMPTY) !== 0) return empty
  const cursor = { at: 1 }
  const lower = (flags & LOWER_INFINITE) === 0 ? readPart(value, cursor) : undefined
  const upper = (flags & UPPER_INFINITE) === 0 ? readPart(value, cursor) : undefined
  const isMissing =
    (lower === undefined && (flags & LOWER_INFINITE) === 0) ||
    (upper === undefined && (flags & UPPER_INFINITE) === 0)
  return isMissing || cursor.at !== value.length ? undefined : { flags, lower, upper }
}

function readMulti(value: Buffer): Range[] | undefined {
  if (value.length < 4) return undefined
  const cursor = { at: 4 }
  const ranges: Range[] = []
  while (cursor.at < value.length) {
    const part = readPart(value, cursor)
    const range = part === undefined ? undefined : readBinary(part)
    if (range === undefined) return undefined
    ranges.push(range)
  }
  return ranges.length === value.readInt32BE(0) ? ranges : undefined
}

function readPart(value: Buffer, cursor: { at: number }): Buffer | undefined {
  if (cursor.at + 4 > value.length) return undefined
  const length = value.readInt32BE(cursor.at)
  const start = cursor.at + 4
  if (length < 0 || start + length > value.length) return undefined
  cursor.at = start + length
  return value.subarray(start, cursor.at)
}

function writeBinary({ flags, lower, upper }: Range): Buffer {
  const bounds = [lower, upper].flatMap((bound) =>
    bound === undefined ? [] : [int32(bound.length), bound],
  )
  return Buffer.concat([Buffer.of(flags), ...bounds])
}

function int32(number: number): Buffer {
  const out = Buffer.alloc(4)
  out.writeInt32BE(number)
  return out
}

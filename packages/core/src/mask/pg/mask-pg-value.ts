import type { MaskFunction } from '../../verdict.ts'
import { BLOCK, type Block } from '../mask-function.ts'
import type { MaskKey } from '../mask-key.ts'
import { hashOf, maskText } from '../mask-text.ts'
import { dateMasker } from './pg-date.ts'
import { emptyPgValue, fitText, type PgFormat } from './pg-empty-value.ts'
import { numberMasker, type Masker } from './pg-number.ts'
import { isJsonType, isTextType, OID } from './pg-types.ts'

/** A column as a row description declares it, and what to do to its values. */
export interface PgMaskTarget {
  readonly fn: MaskFunction
  readonly typeOid: number
  /** -1 where the type has no modifier. */
  readonly typmod: number
  readonly format: PgFormat
  readonly key: MaskKey
}

/** A mask made ready for one column: most need nothing of the value. */
export type PgMask =
  | { readonly kind: 'block' }
  | { readonly kind: 'constant'; readonly value: Buffer | null }
  | { readonly kind: 'each'; readonly mask: (value: Buffer) => Buffer | null }

/** Prepares the mask of one column. A function that doesn't fit the type hides the whole value; nothing ever passes. */
export function compilePgMask(target: PgMaskTarget): PgMask {
  if (target.fn === 'block') return { kind: 'block' }
  if (target.fn === 'null') return { kind: 'constant', value: null }
  const empty = emptyPgValue(target.typeOid, target.typmod, target.format)
  const masker = target.fn === 'redact' ? undefined : maskerOf(target)
  if (masker === undefined) return { kind: 'constant', value: empty }
  return { kind: 'each', mask: (value) => masker(value) ?? empty }
}

/** Masks one value. Null stays null: the caller doesn't ask about it. */
export function maskPgValue(
  target: PgMaskTarget & { readonly value: Buffer },
): Buffer | null | Block {
  const mask = compilePgMask(target)
  if (mask.kind === 'block') return BLOCK
  return mask.kind === 'constant' ? mask.value : mask.mask(target.value)
}

function maskerOf({ fn, typeOid, typmod, format, key }: PgMaskTarget): Masker | undefined {
  if (isTextType(typeOid)) return textMasker(fn, typeOid, typmod, key)
  if (isJsonType(typeOid)) return jsonMasker(fn, typeOid === OID.jsonb && format === 'binary', key)
  if (typeOid === OID.xml) return xmlMasker(fn, key)
  if (typeOid === OID.bytea && fn === 'hash') return byteaHash(format, key)
  if (typeOid === OID.uuid && fn === 'hash') return uuidHash(format, key)
  return numberMasker(fn, typeOid, typmod, format, key) ?? dateMasker(fn, typeOid, format, key)
}

function textMasker(
  fn: MaskFunction,
  typeOid: number,
  typmod: number,
  key: MaskKey,
): Masker | undefined {
  if (fn.startsWith('round:')) return undefined
  return (value) => {
    const text = value.toString()
    // Fixed-length columns come filled up with spaces, which are no part of the value.
    const masked = maskText(fn, typeOid === OID.bpchar ? text.replace(/ +$/, '') : text, key)
    return typeof masked === 'string' ? Buffer.from(fitText(masked, typeOid, typmod)) : undefined
  }
}

/** A JSON string is masked as text; numbers, booleans, objects and arrays become null. */
function jsonMasker(fn: MaskFunction, versioned: boolean, key: MaskKey): Masker {
  return (value) => {
    const text = (versioned ? value.subarray(1) : value).toString().trim()
    const inner = text.startsWith('"') ? parseString(text) : undefined
    const masked = inner === undefined ? undefined : maskText(fn, inner, key)
    if (typeof masked !== 'string') return undefined
    return Buffer.from(`${versioned ? '\u0001' : ''}${JSON.stringify(masked)}`)
  }
}

function parseString(text: string): string | undefined {
  try {
    const parsed: unknown = JSON.parse(text)
    return typeof parsed === 'string' ? parsed : undefined
  } catch {
    // Not JSON after all: nothing of it is shown.
    return undefined
  }
}

/** A part of a document is no document, so only keyed forms fit. */
function xmlMasker(fn: MaskFunction, key: MaskKey): Masker | undefined {
  if (fn !== 'token' && fn !== 'hash') return undefined
  return (value) => {
    const masked = maskText(fn, value.toString(), key)
    return typeof masked === 'string' ? Buffer.from(masked) : undefined
  }
}

function byteaHash(format: PgFormat, key: MaskKey): Masker {
  return (value) => {
    if (format === 'binary') return Buffer.from(hashOf(value, key), 'hex')
    const text = value.toString('latin1')
    const bytes = text.startsWith('\\x') ? Buffer.from(text.slice(2), 'hex') : unescape(text)
    return Buffer.from(`\\x${hashOf(bytes, key)}`)
  }
}

/** The older output form of bytea: a backslash as two, other bytes as three octal digits. */
function unescape(text: string): Buffer {
  const plain = text.replace(/\\(\\|[0-3][0-7]{2})/g, (_, escaped: string) =>
    escaped === '\\' ? escaped : String.fromCharCode(Number.parseInt(escaped, 8)),
  )
  return Buffer.from(plain, 'latin1')
}

/** A UUID of version 8, which is the one for values of one's own making. */
function uuidHash(format: PgFormat, key: MaskKey): Masker {
  return (value) => {
    const bytes =
      format === 'text' ? Buffer.from(value.toString('latin1').replaceAll('-', ''), 'hex') : value
    const hash = key.mac('uuid', bytes).subarray(0, 16)
    hash.writeUInt8((hash.readUInt8(6) & 0x0f) | 0x80, 6)
    hash.writeUInt8((hash.readUInt8(8) & 0x3f) | 0x80, 8)
    if (format === 'binary') return hash
    const hex = hash.toString('hex')
    const cuts = [0, 8, 12, 16, 20, 32]
    return Buffer.from(
      cuts
        .slice(1)
        .map((cut, at) => hex.slice(cuts[at], cut))
        .join('-'),
    )
  }
}

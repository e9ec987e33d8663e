import type { MaskFunction } from '../../verdict.ts'
import { BLOCK, isKeyed, type Block } from '../mask-function.ts'
import type { MaskKey } from '../mask-key.ts'
import { hashOf, maskText } from '../mask-text.ts'
import { addressMasker } from './pg-address.ts'
import { arrayMasker, type ElementMask } from './pg-array.ts'
import { isAboveOf } from './pg-bound-order.ts'
import { dateMasker } from './pg-date.ts'
import { emptyPgValue, fitText, type PgFormat } from './pg-empty-value.ts'
import { enumMasker } from './pg-enum.ts'
import { numberMasker, type Masker } from './pg-number.ts'
import { multirangeMasker, rangeMasker } from './pg-range.ts'
import type { PgTypeInfo, PgTypes } from './pg-type-info.ts'
import { builtinInfo, isJsonType, isTextType, OID } from './pg-types.ts'

/** A column as a row description declares it, and what to do to its values. */
export interface PgMaskTarget {
  readonly fn: MaskFunction
  readonly typeOid: number
  /** -1 where the type has no modifier. */
  readonly typmod: number
  readonly format: PgFormat
  readonly key: MaskKey
  /** What the database's own types are; without it they become NULL. */
  readonly types?: PgTypes
}

/** A mask made ready for one column: most need nothing of the value. */
export type PgMask =
  | { readonly kind: 'block' }
  | { readonly kind: 'constant'; readonly value: Buffer | null }
  | { readonly kind: 'each'; readonly mask: (value: Buffer) => Buffer | null }

/** Prepares the mask of one column. A function that doesn't fit the type hides the whole value; nothing ever passes. */
export function compilePgMask(target: PgMaskTarget): PgMask {
  return compile(target, 0)
}

/** Arrays of domains of arrays, and so on: nobody writes more. */
const depthMax = 8

function compile(declared: PgMaskTarget, depth: number): PgMask {
  if (declared.fn === 'block') return { kind: 'block' }
  if (declared.fn === 'null') return { kind: 'constant', value: null }
  if (depth > depthMax) return { kind: 'constant', value: null }
  const { info, ...target } = resolve(declared)
  const empty = emptyPgValue(target.typeOid, target.typmod, target.format, info)
  const masker = target.fn === 'redact' ? undefined : maskerOf(target, info, depth)
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

interface Resolved extends PgMaskTarget {
  readonly info: PgTypeInfo | undefined
}

/** A domain is masked as its base, a text of another name as a text; the server's own arrays and ranges are told like others. */
function resolve(target: PgMaskTarget): Resolved {
  let { typeOid, typmod } = target
  for (let depth = 0; depth < depthMax; depth += 1) {
    const info = builtinInfo(typeOid) ?? target.types?.(typeOid)
    if (info?.kind === 'text') return { ...target, typeOid: OID.text, typmod: -1, info }
    if (info?.kind !== 'domain') return { ...target, typeOid, typmod, info }
    typeOid = info.base
    typmod = info.typmod
  }
  return { ...target, info: undefined }
}

function maskerOf(
  target: PgMaskTarget,
  info: PgTypeInfo | undefined,
  depth: number,
): Masker | undefined {
  const { fn, typeOid, typmod, format, key } = target
  switch (info?.kind) {
    case 'array': {
      const mask = partMask(target, info.element, depth)
      return mask === undefined ? undefined : arrayMasker(mask, delimiterOf(info.element), format)
    }
    case 'range':
    case 'multirange': {
      const mask = partMask(target, info.subtype, depth)
      const isAbove = isAboveOf(info.subtype, format)
      if (mask === undefined || isAbove === undefined) return undefined
      return (info.kind === 'range' ? rangeMasker : multirangeMasker)(mask, isAbove, format)
    }
    case 'enum':
      return enumMasker(fn, info.labels, key)
    case 'text':
    case 'domain':
    case undefined:
  }
  if (isTextType(typeOid)) return textMasker(fn, typeOid, typmod, key)
  if (isJsonType(typeOid)) return jsonMasker(fn, typeOid === OID.jsonb && format === 'binary', key)
  if (typeOid === OID.xml) return xmlMasker(fn, key)
  if (typeOid === OID.bytea && isKeyed(fn)) return byteaHash(format, key)
  return (
    numberMasker(fn, typeOid, typmod, format, key) ??
    dateMasker(fn, typeOid, format, key) ??
    addressMasker(fn, typeOid, format, key)
  )
}

/** The mask of a part of a value; undefined where nothing of a part would be shown: then the whole is hidden with its length. */
function partMask(target: PgMaskTarget, typeOid: number, depth: number): ElementMask | undefined {
  const mask = compile({ ...target, typeOid }, depth + 1)
  return mask.kind === 'each' ? mask.mask : undefined
}

function delimiterOf(element: number): string {
  return element === OID.box ? ';' : ','
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
  if (!isKeyed(fn)) return undefined
  return (value) => {
    const masked = maskText(fn === 'hash' ? fn : 'token', value.toString(), key)
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

import { SENTINEL } from '../mask-text.ts'
import type { PgTypeInfo } from './pg-type-info.ts'
import { builtinInfo, declaredLength, isTextType, OID } from './pg-types.ts'

export type PgFormat = 'text' | 'binary'
type Empty = readonly [text: string, binary: string]

const zero = (bytes: number): string => '00'.repeat(bytes)
const oidLike: Empty = ['0', zero(4)]
const range: Empty = ['empty', '01']
const multirange: Empty = ['{}', zero(4)]

/** PostgreSQL counts microseconds from 2000-01-01, so 1970-01-01 is this many before. */
const epochMicros = (-946_684_800_000_000n & 0xffff_ffff_ffff_ffffn).toString(16)

/** The empty value of each type: its text form, and its binary form in hexadecimal. */
const empties: ReadonlyMap<number, Empty> = new Map<number, Empty>([
  [OID.bool, ['f', '00']],
  [OID.bytea, ['\\x', '']],
  [OID.char, ['*', '2a']],
  [OID.int8, ['0', zero(8)]],
  [OID.int2, ['0', zero(2)]],
  [OID.int4, ['0', zero(4)]],
  ...[24, 26, 28, 29, 2202, 2203, 2204, 2205, 2206, 3734, 3769, 4089, 4096, 4191].map(
    (oid): [number, Empty] => [oid, oidLike],
  ),
  [27, ['(0,0)', zero(6)]], // tid
  [OID.json, ['null', '6e756c6c']],
  [OID.jsonb, ['null', '016e756c6c']],
  [OID.xml, [SENTINEL, Buffer.from(SENTINEL).toString('hex')]],
  [600, ['(0,0)', zero(16)]], // point
  [601, ['[(0,0),(0,0)]', zero(32)]], // lseg
  [602, ['((0,0))', `0100000001${zero(16)}`]], // path
  [603, ['(0,0),(0,0)', zero(32)]], // box
  [604, ['((0,0))', `00000001${zero(16)}`]], // polygon
  [628, ['{1,0,0}', `3ff0000000000000${zero(16)}`]], // line: A and B may not both be 0
  [718, ['<(0,0),0>', zero(24)]], // circle
  [650, ['0.0.0.0/32', `02200104${zero(4)}`]], // cidr
  [869, ['0.0.0.0', `02200004${zero(4)}`]], // inet
  [829, ['00:00:00:00:00:00', zero(6)]], // macaddr
  [774, ['00:00:00:00:00:00:00:00', zero(8)]], // macaddr8
  [OID.float4, ['0', zero(4)]],
  [OID.float8, ['0', zero(8)]],
  [OID.money, ['0.00', zero(8)]],
  [OID.date, ['1970-01-01', 'ffffd533']],
  [1083, ['00:00:00', zero(8)]], // time
  [1266, ['00:00:00+00', zero(12)]], // timetz
  [OID.timestamp, ['1970-01-01 00:00:00', epochMicros]],
  [OID.timestamptz, ['1970-01-01 00:00:00+00', epochMicros]],
  [1186, ['00:00:00', zero(16)]], // interval
  [OID.varbit, ['', zero(4)]],
  [OID.numeric, ['0', zero(8)]],
  [OID.uuid, ['00000000-0000-0000-0000-000000000000', zero(16)]],
  [3220, ['0/0', zero(8)]], // pg_lsn
  [5069, ['0', zero(8)]], // xid8
  [3614, ['', zero(4)]], // tsvector
  // tsquery: the target sends an empty one in binary, and takes none.
  [3615, ["'masked'", '000000010100006d61736b656400']],
  [4072, ['$', '0124']], // jsonpath
])

/**
 * What `redact` puts in place of a value: the empty value of its type, or null for a type that has no safe one
 * (types of the database itself, whose rules only the database knows). `info` is what is known of arrays, ranges and such types.
 */
export function emptyPgValue(
  typeOid: number,
  typmod: number,
  format: PgFormat,
  info: PgTypeInfo | undefined = builtinInfo(typeOid),
): Buffer | null {
  if (isTextType(typeOid)) return Buffer.from(fitText(SENTINEL, typeOid, typmod))
  if (typeOid === OID.bit) return emptyBits(typmod, format)
  if (info?.kind === 'array') {
    return format === 'text' ? Buffer.from('{}') : emptyArray(info.element)
  }
  const empty =
    info?.kind === 'range' ? range : info?.kind === 'multirange' ? multirange : empties.get(typeOid)
  if (empty === undefined) return null
  return format === 'text' ? Buffer.from(empty[0]) : Buffer.from(empty[1], 'hex')
}

/** Cuts a mask to the declared length of its column, and fills a fixed-length column up with spaces. */
export function fitText(mask: string, typeOid: number, typmod: number): string {
  const length = declaredLength(typeOid, typmod)
  if (length === undefined) return mask
  const characters = Array.from(mask).slice(0, length)
  // Characters count, not the units of a string, where a mask shows one beyond 16 bits.
  const padding = typeOid === OID.bpchar ? length - characters.length : 0
  return characters.join('') + ' '.repeat(padding)
}

/** A bit string has exactly its declared length; without one, a single bit stands for it. */
function emptyBits(typmod: number, format: PgFormat): Buffer {
  const bits = typmod > 0 ? typmod : 1
  if (format === 'text') return Buffer.from('0'.repeat(bits))
  const value = Buffer.alloc(4 + Math.ceil(bits / 8))
  value.writeInt32BE(bits, 0)
  return value
}

/** No dimensions, no nulls, and the type of the elements that aren't there. */
function emptyArray(element: number): Buffer {
  const value = Buffer.alloc(12)
  value.writeUInt32BE(element, 8)
  return value
}

import type { PgTypeInfo } from './pg-type-info.ts'

/** Object ids of PostgreSQL's built-in types, from pg_type.dat; they never change between releases. */
export const OID = {
  bool: 16,
  bytea: 17,
  char: 18,
  name: 19,
  int8: 20,
  int2: 21,
  int4: 23,
  text: 25,
  oid: 26,
  json: 114,
  xml: 142,
  float4: 700,
  float8: 701,
  unknown: 705,
  money: 790,
  box: 603,
  bpchar: 1042,
  varchar: 1043,
  date: 1082,
  timestamp: 1114,
  timestamptz: 1184,
  bit: 1560,
  varbit: 1562,
  numeric: 1700,
  refcursor: 1790,
  cstring: 2275,
  uuid: 2950,
  jsonb: 3802,
} as const

/** Types below this id come with PostgreSQL; the others were made in the database, and only its catalogue knows them. */
export const FIRST_CUSTOM_OID = 16_384

/** Types whose text and binary form are both the text itself, with room for a mask. */
const textTypes: ReadonlySet<number> = new Set([
  OID.name,
  OID.text,
  OID.unknown,
  OID.bpchar,
  OID.varchar,
  OID.refcursor,
  OID.cstring,
])

export function isTextType(typeOid: number): boolean {
  return textTypes.has(typeOid)
}

export function isJsonType(typeOid: number): boolean {
  return typeOid === OID.json || typeOid === OID.jsonb
}

/** Array type to element type. `int2vector` and `oidvector` are absent: they have no empty form. */
export const ARRAY_ELEMENTS: ReadonlyMap<number, number> = new Map(
  `143:142 199:114 210:71 270:75 271:5069 272:81 273:83 629:628 651:650 719:718 775:774 791:790
   1000:16 1001:17 1002:18 1003:19 1005:21 1006:22 1007:23 1008:24 1009:25 1010:27 1011:28
   1012:29 1013:30 1014:1042 1015:1043 1016:20 1017:600 1018:601 1019:602 1020:603 1021:700
   1022:701 1027:604 1028:26 1034:1033 1040:829 1041:869 1115:1114 1182:1082 1183:1083 1185:1184
   1187:1186 1231:1700 1263:2275 1270:1266 1561:1560 1563:1562 2201:1790 2207:2202 2208:2203
   2209:2204 2210:2205 2211:2206 2949:2970 2951:2950 3221:3220 3643:3614 3644:3642 3645:3615
   3735:3734 3770:3769 3807:3802 3905:3904 3907:3906 3909:3908 3911:3910 3913:3912 3927:3926
   4073:4072 4090:4089 4097:4096 4192:4191 5039:5038 6150:4451 6151:4532 6152:4533 6153:4534
   6155:4535 6157:4536`
    .split(/\s+/)
    .map((pair): [number, number] => {
      const [array, element] = pair.split(':').map(Number)
      return [array ?? 0, element ?? 0]
    }),
)

/** Range type to the type of its bounds. */
export const RANGES: ReadonlyMap<number, number> = new Map([
  [3904, OID.int4],
  [3906, OID.numeric],
  [3908, OID.timestamp],
  [3910, OID.timestamptz],
  [3912, OID.date],
  [3926, OID.int8],
])

/** Multirange type to the type of its bounds. */
export const MULTIRANGES: ReadonlyMap<number, number> = new Map([
  [4451, OID.int4],
  [4532, OID.numeric],
  [4533, OID.timestamp],
  [4534, OID.timestamptz],
  [4535, OID.date],
  [4536, OID.int8],
])

const textArrays: ReadonlySet<number> = new Set([1002, 1003, 1009, 1014, 1015, 199, 3807, 143])

/**
 * True where a value can hold free text, so that detectors look into it. Types of the database itself count: `citext` is one.
 * So does 0, the type of what a COPY computes.
 */
export function isTextLike(typeOid: number): boolean {
  return (
    typeOid === 0 ||
    isTextType(typeOid) ||
    isJsonType(typeOid) ||
    typeOid === OID.xml ||
    textArrays.has(typeOid) ||
    typeOid >= FIRST_CUSTOM_OID
  )
}

/** The declared length of a text type, in characters; undefined where there is none. */
export function declaredLength(typeOid: number, typmod: number): number | undefined {
  // PostgreSQL counts its own four-byte header into the modifier.
  if (typeOid === OID.varchar || typeOid === OID.bpchar) return typmod > 4 ? typmod - 4 : undefined
  // A name holds 63 bytes; a mask has at most three bytes per character.
  return typeOid === OID.name ? 21 : undefined
}

/** What the server's own arrays and ranges are made of; undefined for all other types. */
export function builtinInfo(typeOid: number): PgTypeInfo | undefined {
  const element = ARRAY_ELEMENTS.get(typeOid)
  if (element !== undefined) return { kind: 'array', element }
  const bound = RANGES.get(typeOid)
  if (bound !== undefined) return { kind: 'range', subtype: bound }
  const part = MULTIRANGES.get(typeOid)
  return part === undefined ? undefined : { kind: 'multirange', subtype: part }
}

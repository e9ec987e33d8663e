import type { Buffer } from 'node:buffer'

/** Milliseconds from 1970 to 2000, where PostgreSQL's binary dates begin. */
const POSTGRES_EPOCH_MS = 946_684_800_000
const DAY_MS = 86_400_000

/** Printers of binary values by type oid (pg_type.dat); a value of another length falls back to hex. */
const PRINTERS: Readonly<
  Record<number, readonly [bytes: number, print: (value: Buffer) => string]>
> = {
  16: [1, (value) => (value.readUInt8(0) === 0 ? 'f' : 't')],
  20: [8, (value) => String(value.readBigInt64BE(0))],
  21: [2, (value) => String(value.readInt16BE(0))],
  23: [4, (value) => String(value.readInt32BE(0))],
  26: [4, (value) => String(value.readUInt32BE(0))],
  700: [4, (value) => String(value.readFloatBE(0))],
  701: [8, (value) => String(value.readDoubleBE(0))],
  1082: [4, (value) => printTime(value.readInt32BE(0) * DAY_MS).slice(0, 10)],
  1114: [8, (value) => printTime(Number(value.readBigInt64BE(0) / 1000n)).replace('Z', '')],
  1184: [8, (value) => printTime(Number(value.readBigInt64BE(0) / 1000n))],
  2950: [16, (value) => printUuid(value.toString('hex'))],
}
/** char, name, text, json, xml, bpchar, varchar, unknown: binary is the text itself. */
const TEXT_TYPES: ReadonlySet<number> = new Set([18, 19, 25, 114, 142, 705, 1042, 1043])

/** A value of a result for people to read. `format` 0 is text, 1 binary; binary of a type not known here is hex. */
export function printPostgresValue(value: Buffer, typeOid: number, format: number): string {
  if (format === 0 || TEXT_TYPES.has(typeOid)) return value.toString('utf8')
  const printer = PRINTERS[typeOid]
  if (printer !== undefined && value.length === printer[0]) return printer[1](value)
  return `\\x${value.toString('hex')}`
}

function printTime(sinceEpochMs: number): string {
  const time = new Date(POSTGRES_EPOCH_MS + sinceEpochMs)
  // Infinity, and years that a JavaScript date does not reach.
  return Number.isNaN(time.getTime()) ? 'infinity' : time.toISOString()
}

function printUuid(hex: string): string {
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}

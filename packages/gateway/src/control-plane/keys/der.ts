/** The few DER types (X.690) that a certificate needs. */
export const der = {
  sequence: (...parts: readonly Buffer[]): Buffer => tagged(0x30, ...parts),
  set: (...parts: readonly Buffer[]): Buffer => tagged(0x31, ...parts),
  /** Unsigned, big-endian: a leading zero keeps a high first bit from reading as a sign. */
  integer(bytes: Buffer): Buffer {
    let start = 0
    while (start < bytes.length - 1 && bytes[start] === 0) start += 1
    const body = bytes.subarray(start)
    return tagged(0x02, (body[0] ?? 0) > 0x7f ? Buffer.concat([Buffer.of(0), body]) : body)
  },
  boolean: (value: boolean): Buffer => tagged(0x01, Buffer.of(value ? 0xff : 0)),
  octets: (bytes: Buffer): Buffer => tagged(0x04, bytes),
  bits: (bytes: Buffer, unused = 0): Buffer => tagged(0x03, Buffer.of(unused), bytes),
  utf8: (text: string): Buffer => tagged(0x0c, Buffer.from(text)),
  /** UTCTime holds years to 2049 only, GeneralizedTime those after it (RFC 5280 section 4.1.2.5). */
  time(date: Date): Buffer {
    const digits = `${date.toISOString().replaceAll(/[-:T]|\.\d+Z$/g, '')}Z`
    const utc = date.getUTCFullYear() < 2050
    return utc ? tagged(0x17, Buffer.from(digits.slice(2))) : tagged(0x18, Buffer.from(digits))
  },
  oid(text: string): Buffer {
    const [first = 0, second = 0, ...rest] = text.split('.').map(Number)
    return tagged(0x06, Buffer.from([first * 40 + second, ...rest.flatMap(base128)]))
  },
  /** `[tag]`, constructed. */
  explicit: (tag: number, part: Buffer): Buffer => tagged(0xa0 | tag, part),
  /** `[tag]` in place of the type's own, for primitive types. */
  implicit: (tag: number, bytes: Buffer): Buffer => tagged(0x80 | tag, bytes),
}

function tagged(tag: number, ...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts)
  return Buffer.concat([Buffer.of(tag), length(body.length), body])
}

function length(count: number): Buffer {
  if (count < 0x80) return Buffer.of(count)
  const bytes: number[] = []
  for (let rest = count; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest % 256)
  return Buffer.from([0x80 | bytes.length, ...bytes])
}

function base128(value: number): number[] {
  const bytes = [value & 0x7f]
  for (let rest = value >>> 7; rest > 0; rest >>>= 7) bytes.unshift((rest & 0x7f) | 0x80)
  return bytes
}

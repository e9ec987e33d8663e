/** Sign words of PostgreSQL's binary numeric; the remaining ones are NaN and the infinities. */
const positive = 0x0000
const negative = 0x4000

/** The decimal text of a binary numeric; undefined for NaN, infinity and bytes that are no numeric. */
export function decodeNumeric(value: Buffer): string | undefined {
  if (value.length < 8) return undefined
  const groups = value.readUInt16BE(0)
  const weight = value.readInt16BE(2)
  const sign = value.readUInt16BE(4)
  const scale = value.readUInt16BE(6)
  if (value.length !== 8 + groups * 2 || (sign !== positive && sign !== negative)) return undefined
  const group = (at: number): string =>
    String(at >= 0 && at < groups ? value.readUInt16BE(8 + at * 2) : 0).padStart(4, '0')
  let whole = ''
  for (let at = 0; at <= weight; at++) whole += group(at)
  let fraction = ''
  for (let at = weight + 1; fraction.length < scale; at++) fraction += group(at)
  const digits = whole.replace(/^0+/, '') || '0'
  const prefix = sign === negative ? '-' : ''
  return scale === 0 ? prefix + digits : `${prefix}${digits}.${fraction.slice(0, scale)}`
}

/** The binary numeric of a plain decimal text. */
export function encodeNumeric(text: string): Buffer {
  const [unsigned, sign] = text.startsWith('-') ? [text.slice(1), negative] : [text, positive]
  const point = unsigned.indexOf('.')
  const whole = point < 0 ? unsigned : unsigned.slice(0, point)
  const fraction = point < 0 ? '' : unsigned.slice(point + 1)
  const wholeWidth = Math.ceil(whole.length / 4) * 4
  const digits =
    whole.padStart(wholeWidth, '0') + fraction.padEnd(Math.ceil(fraction.length / 4) * 4, '0')
  const groups = digits.match(/.{4}/g)?.map(Number) ?? []
  let weight = wholeWidth / 4 - 1
  while (groups[0] === 0) {
    groups.shift()
    weight--
  }
  while (groups.at(-1) === 0) groups.pop()
  const value = Buffer.alloc(8 + groups.length * 2)
  value.writeUInt16BE(groups.length, 0)
  value.writeInt16BE(groups.length === 0 ? 0 : weight, 2)
  value.writeUInt16BE(groups.length === 0 ? positive : sign, 4)
  value.writeUInt16BE(fraction.length, 6)
  groups.forEach((group, at) => value.writeUInt16BE(group, 8 + at * 2))
  return value
}

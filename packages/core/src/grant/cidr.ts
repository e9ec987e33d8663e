/** An address of a caller; an IPv4 address inside of IPv6 (`::ffff:10.0.0.1`) is the IPv4 address. */
export interface Address {
  readonly bits: 32 | 128
  readonly value: bigint
}

/** All addresses that share a prefix. */
export interface Cidr extends Address {
  readonly prefix: number
}

const mappedPrefix = 0xffffn
/** The longest text of an IPv6 address with an IPv4 tail and a zone is shorter. */
const addressLengthMax = 80

/** Parses `10.0.0.0/8` or `fd00::/8`; a text says what is wrong. */
export function parseCidr(text: string): Cidr | string {
  const slash = text.indexOf('/')
  if (slash === -1) return `"${text}" has no prefix length, as in 10.0.0.0/8`
  const isV6 = text.includes(':')
  const address = parseAddress(text.slice(0, slash))
  const written = text.slice(slash + 1)
  const width = isV6 ? 128 : 32
  if (address === undefined || text.includes('%'))
    return `"${text}" is not an address with a prefix length`
  if (!/^(?:0|[1-9]\d{0,2})$/u.test(written) || Number(written) > width) {
    return `"${text}" needs a prefix length from 0 to ${width}`
  }
  const mapped = isV6 && address.bits === 32
  const prefix = Number(written) - (mapped ? 96 : 0)
  if (prefix < 0) return `"${text}" is wider than the IPv4 addresses inside of it`
  const cidr: Cidr = { ...address, prefix }
  const network: Cidr = { ...cidr, value: (cidr.value >> hostBits(cidr)) << hostBits(cidr) }
  if (network.value === cidr.value) return cidr
  return `"${text}" has bits beyond its prefix; write ${printCidr(network)}`
}

/** Parses the address of a caller, `undefined` where it is none. A zone (`fe80::1%eth0`) is left out. */
export function parseAddress(text: string): Address | undefined {
  if (text.length > addressLengthMax) return undefined
  if (!text.includes(':')) {
    const value = parseV4(text)
    return value === undefined ? undefined : { bits: 32, value }
  }
  const value = parseV6(text.replace(/%[A-Za-z0-9_.-]+$/u, ''))
  if (value === undefined) return undefined
  return value >> 32n === mappedPrefix
    ? { bits: 32, value: value & 0xffff_ffffn }
    : { bits: 128, value }
}

/** Whether an address lies within. */
export function cidrHolds(cidr: Cidr, address: Address): boolean {
  return (
    cidr.bits === address.bits && address.value >> hostBits(cidr) === cidr.value >> hostBits(cidr)
  )
}

/** True when all addresses of the first lie within the other. */
export function cidrLeq(inner: Cidr, outer: Cidr): boolean {
  return inner.prefix >= outer.prefix && cidrHolds(outer, inner)
}

/** The canonical text. */
export function printCidr({ bits, value, prefix }: Cidr): string {
  return `${bits === 32 ? printGroups(value, 4, 8, 10, '.') : printV6(value)}/${prefix}`
}

function hostBits(cidr: Cidr): bigint {
  return BigInt(cidr.bits - cidr.prefix)
}

function parseV4(text: string): bigint | undefined {
  // No leading zeros: some programs read them as octal.
  const parts = /^(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})$/u.exec(
    text,
  )
  if (parts === null) return undefined
  let value = 0n
  for (const part of parts.slice(1)) {
    if (Number(part) > 255) return undefined
    value = (value << 8n) | BigInt(part)
  }
  return value
}

function parseV6(text: string): bigint | undefined {
  const lastColon = text.lastIndexOf(':')
  if (text.includes('.')) {
    const tail = parseV4(text.slice(lastColon + 1))
    if (tail === undefined) return undefined
    const groups = `${(tail >> 16n).toString(16)}:${(tail & 0xffffn).toString(16)}`
    return parseV6(text.slice(0, lastColon + 1) + groups)
  }
  const halves = text.split('::')
  if (halves.length > 2) return undefined
  const [head = [], tail] = halves.map((half) => (half === '' ? [] : half.split(':')))
  const missing = 8 - head.length - (tail?.length ?? 0)
  if (tail === undefined ? missing !== 0 : missing < 1) return undefined
  const groups = [...head, ...Array.from({ length: missing }, () => '0'), ...(tail ?? [])]
  let value = 0n
  for (const group of groups) {
    if (!/^[0-9A-Fa-f]{1,4}$/u.test(group)) return undefined
    value = (value << 16n) | BigInt(`0x${group}`)
  }
  return value
}

/** RFC 5952: lower case, and the longest run of two or more zero groups is left out. */
function printV6(value: bigint): string {
  const text = printGroups(value, 8, 16, 16, ':')
  const runs = text.match(/(?:^|:)0(?::0)+(?=:|$)/gu) ?? []
  const longest = runs.toSorted(
    (a, b) => b.replace(/^:/u, '').length - a.replace(/^:/u, '').length,
  )[0]
  if (longest === undefined) return text
  const at = text.search(new RegExp(`${longest}(?=:|$)`, 'u'))
  const head = text.slice(0, at)
  const tail = text.slice(at + longest.length).replace(/^:/u, '')
  return `${head}::${tail}`
}

function printGroups(
  value: bigint,
  count: number,
  width: number,
  radix: number,
  mark: string,
): string {
  const mask = (1n << BigInt(width)) - 1n
  return Array.from({ length: count }, (_, index) => {
    return ((value >> BigInt((count - 1 - index) * width)) & mask).toString(radix)
  }).join(mark)
}

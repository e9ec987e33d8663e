import type { MaskFunction } from '../../verdict.ts'
import { isKeyed } from '../mask-function.ts'
import type { MaskKey } from '../mask-key.ts'
import type { PgFormat } from './pg-empty-value.ts'
import type { Masker } from './pg-number.ts'
import { OID } from './pg-types.ts'

const inet = 869
const macaddr = 829
const macaddr8 = 774

/** The masker of addresses and UUIDs; undefined for other types and for functions that fit none of them. */
export function addressMasker(
  fn: MaskFunction,
  typeOid: number,
  format: PgFormat,
  key: MaskKey,
): Masker | undefined {
  if (typeOid === OID.uuid && isKeyed(fn)) return uuidMasker(format, key)
  if (typeOid === inet) return inetMasker(fn, format, key)
  const bytes = typeOid === macaddr ? 6 : typeOid === macaddr8 ? 8 : 0
  if (bytes === 0 || !isKeyed(fn)) return undefined
  return macMasker(bytes, format, key)
}

/** A UUID of version 8, which is the one for values of one's own making. */
function uuidMasker(format: PgFormat, key: MaskKey): Masker {
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

/** Locally administered, so that it is no maker's (IEEE 802c). */
function macMasker(bytes: number, format: PgFormat, key: MaskKey): Masker {
  return (value) => {
    const raw =
      format === 'binary' ? value : Buffer.from(value.toString('latin1').replaceAll(':', ''), 'hex')
    if (raw.length !== bytes) return undefined
    const out = key.mac('mac', raw).subarray(0, bytes)
    out.writeUInt8((out.readUInt8(0) & 0xfc) | 0x02, 0)
    return format === 'binary' ? out : Buffer.from(out.toString('hex').replace(/..(?=.)/g, '$&:'))
  }
}

/** `partial` keeps the first half of an IPv4 address and the first 48 bits of an IPv6 one; keyed forms are private addresses. */
function inetMasker(fn: MaskFunction, format: PgFormat, key: MaskKey): Masker | undefined {
  if (!isKeyed(fn) && fn !== 'partial') return undefined
  return (value) => {
    const address = format === 'binary' ? readInet(value) : parseInet(value.toString('latin1'))
    if (address === undefined) return undefined
    const masked = fn === 'partial' ? keptPart(address) : privateAddress(address, key)
    return format === 'binary' ? writeInet(masked) : Buffer.from(printInet(masked))
  }
}

/** An address as its bytes: 4 or 16. */
function keptPart(address: Buffer): Buffer {
  const out = Buffer.alloc(address.length)
  address.copy(out, 0, 0, address.length === 4 ? 2 : 6)
  return out
}

function privateAddress(address: Buffer, key: MaskKey): Buffer {
  const out = Buffer.from(key.mac('inet', address).subarray(0, address.length))
  // 10.0.0.0/8 (RFC 1918) and fd00::/8 (RFC 4193).
  out.writeUInt8(address.length === 4 ? 10 : 0xfd, 0)
  return out
}

/** inet_send: family, bits, a flag for cidr, length, address. A network's bits would tell more than a host's, so they go. */
function readInet(value: Buffer): Buffer | undefined {
  const length = value[3]
  if ((length !== 4 && length !== 16) || value.length !== 4 + length) return undefined
  return value.subarray(4)
}

function writeInet(address: Buffer): Buffer {
  const family = address.length === 4 ? 2 : 3
  return Buffer.concat([Buffer.of(family, address.length * 8, 0, address.length), address])
}

function parseInet(text: string): Buffer | undefined {
  const [address = ''] = text.split('/')
  const four = /^([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,3})$/.exec(address)
  if (four !== null) {
    const bytes = four.slice(1).map(Number)
    return bytes.some((byte) => byte > 255) ? undefined : Buffer.from(bytes)
  }
  return parseInet6(address)
}

function parseInet6(text: string): Buffer | undefined {
  // The server prints the IPv4 in an IPv6 address with points.
  const four = /^(.*:)([0-9]+)\.([0-9]+)\.([0-9]+)\.([0-9]+)$/.exec(text)
  if (four !== null) {
    const [a = 0, b = 0, c = 0, d = 0] = four.slice(2).map(Number)
    return parseInet6(`${four[1]}${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`)
  }
  const halves = text.split('::')
  if (!/^[0-9a-fA-F:]+$/.test(text) || halves.length > 2) return undefined
  const [before = [], after = []] = halves.map((half) =>
    half.split(':').flatMap((group) => (group === '' ? [] : [Number.parseInt(group, 16)])),
  )
  const missing = 8 - before.length - after.length
  if (halves.length === 1 ? missing !== 0 : missing < 0) return undefined
  const groups = [...before, ...Array.from({ length: missing }, () => 0), ...after]
  const out = Buffer.alloc(16)
  groups.forEach((group, at) => out.writeUInt16BE(group & 0xffff, at * 2))
  return out
}

function printInet(address: Buffer): string {
  if (address.length === 4) return [...address].join('.')
  return [0, 2, 4, 6, 8, 10, 12, 14].map((at) => address.readUInt16BE(at).toString(16)).join(':')
}

import { WireError } from '../wire-error.ts'
import { BodyReader } from './body-reader.ts'
import { textBytes } from './frame-writer.ts'
import { CANCEL_KEY_BYTES_MAX, CANCEL_KEY_BYTES_MIN } from './session.ts'

/** Packets that come before any typed message, and have no type byte themselves. */
export type StartupPacket =
  | { readonly kind: 'SSLRequest' }
  | { readonly kind: 'GSSENCRequest' }
  | { readonly kind: 'CancelRequest'; readonly processId: number; readonly key: Buffer }
  | StartupMessage

/** Opens a session. */
export interface StartupMessage {
  readonly kind: 'StartupMessage'
  /** Of protocol 3; there is no other major version. */
  readonly minor: number
  readonly parameters: ReadonlyMap<string, string>
}

/** What PostgreSQL itself takes (MAX_STARTUP_PACKET_LENGTH): nobody has logged in yet. */
export const STARTUP_PACKET_BYTES_MAX = 10_000

const requestCode = { cancel: 80877102, ssl: 80877103, gssEnc: 80877104 } as const
const protocolMajor = 3
/** Length and code. */
const headerBytes = 8

/**
 * Reads the packet at the start of `buffer`, or nothing where it isn't whole yet. `bytes` says how long it was.
 *
 * Anything after an SSLRequest or GSSENCRequest came in plain text and must not be read as part of the encrypted
 * session (CVE-2021-23222): refuse a connection where `bytes` is less than what arrived.
 */
export function decodeStartupPacket(
  buffer: Buffer,
  bytesMax = STARTUP_PACKET_BYTES_MAX,
): { readonly packet: StartupPacket; readonly bytes: number } | undefined {
  if (buffer.length < 4) return undefined
  const bytes = buffer.readInt32BE(0)
  if (bytes < headerBytes) throw new WireError('malformed', 'a startup packet without a version')
  if (bytes > bytesMax) throw new WireError('too-large', `a startup packet over ${bytesMax} bytes`)
  if (buffer.length < bytes) return undefined
  const code = buffer.readUInt32BE(4)
  const reader = new BodyReader(0, buffer.subarray(headerBytes, bytes))
  const packet = readPacket(code, reader)
  reader.end()
  return { packet, bytes }
}

function readPacket(code: number, reader: BodyReader): StartupPacket {
  if (code === requestCode.ssl) return { kind: 'SSLRequest' }
  if (code === requestCode.gssEnc) return { kind: 'GSSENCRequest' }
  if (code === requestCode.cancel) return readCancel(reader)
  if (code >>> 16 !== protocolMajor) reader.fail('a protocol version other than 3')
  return { kind: 'StartupMessage', minor: code & 0xffff, parameters: readParameters(reader) }
}

function readCancel(reader: BodyReader): StartupPacket {
  const processId = reader.uint32()
  if (reader.remaining < CANCEL_KEY_BYTES_MIN) reader.fail('a cancel key that is too short')
  if (reader.remaining > CANCEL_KEY_BYTES_MAX) reader.fail('a cancel key that is too long')
  return { kind: 'CancelRequest', processId, key: reader.rest() }
}

function readParameters(reader: BodyReader): ReadonlyMap<string, string> {
  const parameters = new Map<string, string>()
  for (let name = reader.text(); name !== ''; name = reader.text()) {
    // Of two users or databases the target might take the other one.
    if (parameters.has(name)) reader.fail('a startup parameter that stands twice')
    parameters.set(name, reader.text())
  }
  return parameters
}

/** Writes an SSLRequest packet. */
export function encodeSslRequest(): Buffer {
  return encodePacket(requestCode.ssl, Buffer.alloc(0))
}

/** Writes a GSSENCRequest packet. */
export function encodeGssEncRequest(): Buffer {
  return encodePacket(requestCode.gssEnc, Buffer.alloc(0))
}

/** Writes a CancelRequest packet, with the key that BackendKeyData gave. */
export function encodeCancelRequest(processId: number, key: Buffer): Buffer {
  const body = Buffer.allocUnsafe(4 + key.length)
  body.writeUInt32BE(processId, 0)
  key.copy(body, 4)
  return encodePacket(requestCode.cancel, body)
}

/** Writes a StartupMessage packet of protocol 3. */
export function encodeStartupMessage(parameters: ReadonlyMap<string, string>, minor = 0): Buffer {
  let bytes = 1
  for (const [name, value] of parameters) bytes += textBytes(name) + textBytes(value)
  const body = Buffer.alloc(bytes)
  let at = 0
  for (const text of [...parameters].flat()) {
    if (text.includes('\0')) throw new WireError('malformed', 'a parameter with a zero byte in it')
    at += body.write(text, at, 'utf8') + 1
  }
  return encodePacket((protocolMajor << 16) | minor, body)
}

function encodePacket(code: number, body: Buffer): Buffer {
  const packet = Buffer.allocUnsafe(headerBytes + body.length)
  packet.writeInt32BE(packet.length, 0)
  packet.writeUInt32BE(code, 4)
  body.copy(packet, headerBytes)
  return packet
}

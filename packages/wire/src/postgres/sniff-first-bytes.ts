/** What a peer seems to speak. */
export type FirstBytes = 'tls' | 'http' | 'postgres' | 'incomplete' | 'unknown'

/** The record type of a TLS handshake; no startup packet is long enough to begin with it. */
const tlsHandshake = 0x16

/** A startup packet's length has a zero in front as long as packets stay below 16 MiB. */
const startupFirstByte = 0x00

const httpMethods = [
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'PATCH',
  'DELETE',
  'OPTIONS',
  'TRACE',
  'CONNECT',
  'PRI',
]

/** Tells what begins a connection, from as few bytes as will do. The decoders still check every byte. */
export function sniffFirstBytes(bytes: Buffer): FirstBytes {
  if (bytes.length === 0) return 'incomplete'
  if (bytes[0] === tlsHandshake) return 'tls'
  if (bytes[0] === startupFirstByte) return sniffStartup(bytes)
  return sniffHttp(bytes)
}

function sniffStartup(bytes: Buffer): FirstBytes {
  if (bytes.length < 8) return 'incomplete'
  const major = bytes.readUInt16BE(4)
  // 1 and 2 are versions that nobody serves any more, 1234 marks requests for encryption or a cancel.
  return (major >= 1 && major <= 3) || major === 1234 ? 'postgres' : 'unknown'
}

function sniffHttp(bytes: Buffer): FirstBytes {
  const text = bytes.toString('latin1', 0, 8)
  for (const method of httpMethods) {
    const opening = `${method} `
    if (text.startsWith(opening)) return 'http'
    if (opening.startsWith(text)) return 'incomplete'
  }
  return 'unknown'
}

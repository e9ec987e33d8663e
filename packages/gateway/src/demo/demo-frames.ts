/** The little of the PostgreSQL protocol, version 3, that the demo server itself reads and writes. */

/** Type byte and length: what every message after the startup begins with. */
export const headerBytes = 5

/** Builds one message. */
export function frame(type: string, body: Buffer = Buffer.alloc(0)): Buffer {
  const out = Buffer.alloc(headerBytes + body.length)
  out.write(type, 0, 'latin1')
  out.writeUInt32BE(4 + body.length, 1)
  body.copy(out, headerBytes)
  return out
}

/** Text as the protocol ends it. */
export function cString(text: string): Buffer {
  return Buffer.from(`${text}\0`)
}

export function queryFrame(sql: string): Buffer {
  return frame('Q', cString(sql))
}

export function errorFrame(severity: 'ERROR' | 'FATAL', sqlState: string, message: string): Buffer {
  return frame('E', cString(`S${severity}\0V${severity}\0C${sqlState}\0M${message}\0`))
}

/** Splits a buffer of whole messages. */
export function frames(buffer: Buffer): Buffer[] {
  const found: Buffer[] = []
  for (let at = 0; at + headerBytes <= buffer.length;) {
    const end = at + 1 + buffer.readUInt32BE(at + 1)
    found.push(buffer.subarray(at, end))
    at = end
  }
  return found
}

export function frameType(message: Buffer): string {
  return String.fromCharCode(message[0] ?? 0)
}

export function frameBody(message: Buffer): Buffer {
  return message.subarray(headerBytes)
}

/** Text values of a DataRow. */
export function rowValues(message: Buffer): (string | null)[] {
  const body = frameBody(message)
  const values: (string | null)[] = []
  for (let at = 2; at < body.length;) {
    const length = body.readInt32BE(at)
    at += 4
    values.push(length < 0 ? null : body.toString('utf8', at, at + length))
    at += Math.max(length, 0)
  }
  return values
}

/**
 * Gives a statement's name a prefix of its session: all sessions share one backend, whose names are one space.
 * Unnamed statements stay unnamed; the next Parse of anybody replaces them, and groups of messages are not interleaved.
 */
export function prefixName(message: Buffer, prefix: string): Buffer {
  const type = frameType(message)
  const at = nameOffset(type, message)
  if (at === undefined || message[at] === 0) return message
  const body = Buffer.concat([
    message.subarray(headerBytes, at),
    Buffer.from(prefix),
    message.subarray(at),
  ])
  return frame(type, body)
}

function nameOffset(type: string, message: Buffer): number | undefined {
  if (type === 'P') return headerBytes
  if (type === 'B') return message.indexOf(0, headerBytes) + 1
  if ((type === 'D' || type === 'C') && message[headerBytes] === 0x53) return headerBytes + 1
  return undefined
}

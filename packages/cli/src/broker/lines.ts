import type { Duplex } from 'node:stream'

/** One line is one JSON object; the longest carries the arguments of a `run`. */
const lineBytesMax = 256 * 1024

/** Calls `onLine` for each whole line. A line that never ends is an error of the stream. */
export function readLines(stream: Duplex, onLine: (line: string) => void): void {
  let rest: Buffer = Buffer.alloc(0)
  stream.on('data', (piece: Buffer) => {
    rest = rest.length === 0 ? piece : Buffer.concat([rest, piece])
    for (let end = rest.indexOf(0x0a); end >= 0; end = rest.indexOf(0x0a)) {
      const line = rest.toString('utf8', 0, end)
      rest = rest.subarray(end + 1)
      onLine(line)
    }
    if (rest.length > lineBytesMax) stream.destroy(new Error('a line is too long'))
  })
}

/** Reads one line and leaves what follows it in the stream, which is paused afterwards. */
export function readOneLine(stream: Duplex): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  let pieces: Buffer = Buffer.alloc(0)
  const settle = (): void => {
    stream.off('data', onData).off('error', reject).off('close', onClose)
    stream.pause()
  }
  const onClose = (): void => reject(new Error('closed before it answered'))
  const onData = (piece: Buffer): void => {
    pieces = Buffer.concat([pieces, piece])
    const end = pieces.indexOf(0x0a)
    if (end < 0) {
      if (pieces.length > lineBytesMax) stream.destroy(new Error('a line is too long'))
      return
    }
    settle()
    if (end + 1 < pieces.length) stream.unshift(pieces.subarray(end + 1))
    resolve(pieces.toString('utf8', 0, end))
  }
  stream.on('data', onData).on('error', reject).on('close', onClose)
  stream.resume()
  return promise
}

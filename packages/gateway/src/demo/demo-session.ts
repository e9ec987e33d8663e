import { once } from 'node:events'
import type { Socket } from 'node:net'
import type { BackendSession, DemoBackend } from './demo-backend.ts'
import { errorFrame, frameBody, frameType, headerBytes } from './demo-frames.ts'
import { admit, type DemoLogin } from './demo-login.ts'

/** The demo holds little; a larger message is a mistake, and the backend's memory is small. */
const messageBytesMax = 16 * 1024 * 1024
/** COPY data is collected before it runs, since the one backend cannot wait for it. */
const copyBytesMax = 64 * 1024 * 1024

/** Serves one connection until it ends. */
export async function serveDemoSession(
  socket: Socket,
  login: DemoLogin,
  backend: DemoBackend,
): Promise<void> {
  const reader = new FrameReader(socket)
  let session: BackendSession | undefined
  try {
    if (!(await admit(reader, socket, login))) return
    session = backend.open()
    const opened = session
    socket.once('close', () => void backend.close(opened).catch(() => socket.destroy()))
    await relay(reader, socket, backend, opened)
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    if (socket.writable) socket.end(errorFrame('FATAL', '08P01', message))
  } finally {
    if (session !== undefined) await backend.close(session)
  }
}

/** Collects messages up to one that wants an answer, runs them as one group, and returns the answer. */
async function relay(
  reader: FrameReader,
  socket: Socket,
  backend: DemoBackend,
  session: BackendSession,
): Promise<void> {
  let group: Buffer[] = []
  for (let message = await reader.next(); message !== undefined; message = await reader.next()) {
    const type = frameType(message)
    if (type === 'X') return
    group.push(message)
    if (!endsGroup(type)) continue
    await answer(reader, socket, backend, session, group)
    group = []
  }
}

async function answer(
  reader: FrameReader,
  socket: Socket,
  backend: DemoBackend,
  session: BackendSession,
  group: readonly Buffer[],
): Promise<void> {
  const copyIn = mayCopyIn(group) ? await backend.probeCopy(session, group) : undefined
  if (copyIn === undefined) return send(socket, await backend.run(session, group))
  await send(socket, copyIn)
  const data = await collectCopy(reader)
  await send(socket, await backend.runCopy(session, group, data))
}

async function collectCopy(reader: FrameReader): Promise<Buffer[]> {
  const data: Buffer[] = []
  let bytes = 0
  for (let message = await reader.next(); message !== undefined; message = await reader.next()) {
    const type = frameType(message)
    // Sync and Flush mean nothing inside a COPY; the specification says to ignore them.
    if (type === 'S' || type === 'H') continue
    data.push(message)
    bytes += message.length
    if (bytes > copyBytesMax) throw new Error(`the demo takes at most ${copyBytesMax} bytes a COPY`)
    if (type === 'c' || type === 'f') return data
  }
  throw new Error('the connection ended inside a COPY')
}

async function send(socket: Socket, bytes: Buffer): Promise<void> {
  if (bytes.length === 0 || socket.destroyed) return
  if (!socket.write(bytes)) await Promise.race([once(socket, 'drain'), once(socket, 'close')])
}

function endsGroup(type: string): boolean {
  return type === 'Q' || type === 'S' || type === 'H' || type === 'F'
}

/** A cheap guess that errs on the side of yes: a wrong yes costs one more run that is undone. */
function mayCopyIn(group: readonly Buffer[]): boolean {
  return group.some((message) => {
    const type = frameType(message)
    if (type !== 'Q' && type !== 'P') return false
    return /\bcopy\b[^]*\bstdin\b/i.test(frameBody(message).toString('utf8'))
  })
}

/** Reads whole messages, and untyped startup packets before them, from a socket; reads no faster than they are taken. */
export class FrameReader {
  readonly #chunks: AsyncIterator<Buffer>
  #pending: Buffer = Buffer.alloc(0)

  constructor(socket: Socket) {
    this.#chunks = socket[Symbol.asyncIterator]() as AsyncIterator<Buffer>
  }

  /** The next message, or undefined when the peer is done. */
  next(): Promise<Buffer | undefined> {
    return this.#take(1)
  }

  /** The next packet that has a length but no type: startup, TLS and cancel requests. */
  startup(): Promise<Buffer | undefined> {
    return this.#take(0)
  }

  async #take(typeBytes: 0 | 1): Promise<Buffer | undefined> {
    const header = headerBytes - 1 + typeBytes
    if (!(await this.#fill(header))) return undefined
    const size = typeBytes + this.#pending.readUInt32BE(typeBytes)
    if (size < header || size > messageBytesMax)
      throw new Error('a message of an impossible length')
    if (!(await this.#fill(size))) return undefined
    const message = this.#pending.subarray(0, size)
    this.#pending = this.#pending.subarray(size)
    return message
  }

  async #fill(bytes: number): Promise<boolean> {
    const chunks = [this.#pending]
    let have = this.#pending.length
    while (have < bytes) {
      const chunk = await this.#chunks.next()
      if (chunk.done === true) return false
      chunks.push(chunk.value)
      have += chunk.value.length
    }
    if (chunks.length > 1) this.#pending = Buffer.concat(chunks)
    return true
  }
}

import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import {
  FrameSplitter,
  frameBody,
  frameEnd,
  frameType,
  LONG_BACKEND_TYPES,
  LONG_FRONTEND_TYPES,
} from '@sallyport/wire'

/** Both directions of one connection that went through a relay, in plain text. */
export interface Recorded {
  readonly fromCaller: Buffer
  readonly fromTarget: Buffer
}

/** One end's StartupMessage or message. */
interface FrameFrom {
  readonly from: 'caller' | 'target'
  readonly bytes: Frame
}

/** Passes connections on to a port of this machine, and keeps what went through, byte for byte. */
export class RecordingRelay implements AsyncDisposable {
  readonly port: number
  readonly #listener: ReturnType<typeof createServer>
  readonly #sockets: Set<Socket>
  readonly #kept: { fromCaller: Buffer[]; fromTarget: Buffer[] }[]

  private constructor(
    port: number,
    listener: ReturnType<typeof createServer>,
    sockets: Set<Socket>,
    kept: { fromCaller: Buffer[]; fromTarget: Buffer[] }[],
  ) {
    this.port = port
    this.#listener = listener
    this.#sockets = sockets
    this.#kept = kept
  }

  static async before(targetPort: number): Promise<RecordingRelay> {
    const sockets = new Set<Socket>()
    const kept: { fromCaller: Buffer[]; fromTarget: Buffer[] }[] = []
    const listener = createServer((caller) => {
      const target = connect({ port: targetPort, host: '127.0.0.1', noDelay: true })
      const record = { fromCaller: [] as Buffer[], fromTarget: [] as Buffer[] }
      kept.push(record)
      for (const [from, to, into] of [
        [caller, target, record.fromCaller],
        [target, caller, record.fromTarget],
      ] as const) {
        sockets.add(from)
        from.on('data', (chunk: Buffer) => {
          into.push(chunk)
          to.write(chunk)
        })
        from.on('end', () => to.end())
        // Either side may leave without a word; the other is told by the close.
        from.on('error', () => to.destroy())
        from.on('close', () => to.destroy())
      }
    })
    listener.listen(0, '127.0.0.1')
    await once(listener, 'listening')
    const address = listener.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    return new RecordingRelay(port, listener, sockets, kept)
  }

  /** What went through so far, in the order in which the connections came. */
  get connections(): readonly Recorded[] {
    return this.#kept.map(({ fromCaller, fromTarget }) => ({
      fromCaller: Buffer.concat(fromCaller),
      fromTarget: Buffer.concat(fromTarget),
    }))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    this.#listener.close()
    await once(this.#listener, 'close')
  }
}

/** One message as it was sent: type, length and body. */
export type Frame = Buffer

const messageBytesMax = 64 * 1024 * 1024

/** The messages of a caller, after the StartupMessage, which has no type. */
export function callerFrames(bytes: Buffer): Frame[] {
  return framesOf(bytes.subarray(bytes.readInt32BE(0)), LONG_FRONTEND_TYPES)
}

/** The messages of a target. */
export function targetFrames(bytes: Buffer): Frame[] {
  return framesOf(bytes, LONG_BACKEND_TYPES)
}

/** All messages: those of the caller first, then those of the target. */
export function allFrames({ fromCaller, fromTarget }: Recorded): FrameFrom[] {
  const startup = fromCaller.subarray(0, fromCaller.readInt32BE(0))
  const caller = [startup, ...callerFrames(fromCaller)]
  return [
    ...caller.map((bytes) => ({ from: 'caller', bytes }) as const),
    ...targetFrames(fromTarget).map((bytes) => ({ from: 'target', bytes }) as const),
  ]
}

/** A message in a form that a failed comparison can be read in. */
export function legible(frame: Frame): string {
  return `${String.fromCharCode(frameType(frame, 0))} ${JSON.stringify(frameBody(frame, 0).toString('latin1'))}`
}

function framesOf(bytes: Buffer, longTypes: ReadonlySet<number>): Frame[] {
  const whole = new FrameSplitter(messageBytesMax, longTypes).push(bytes)
  const frames: Frame[] = []
  for (let at = 0; at < whole.length; at = frameEnd(whole, at))
    frames.push(whole.subarray(at, frameEnd(whole, at)))
  return frames
}

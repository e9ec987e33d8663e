import { ScriptedPeer } from '@sallyport/testkit'
import { BackendType, encodeTerminate, frameBody, frameType } from '@sallyport/wire'
import { WireCaller, type Door } from '../e2e/wire-caller.ts'

/** One session that sends batches and takes the answers as raw messages. */
export class Lane implements AsyncDisposable {
  readonly #peer: ScriptedPeer

  private constructor(peer: ScriptedPeer) {
    this.#peer = peer
  }

  static async open(door: Door): Promise<Lane> {
    const peer = await ScriptedPeer.connect(door.port)
    await WireCaller.open(door, peer)
    return new Lane(peer)
  }

  /** Sends all, and reads up to the given number of ReadyForQuery. Rejects where the session ends before. */
  async exchange(messages: readonly Buffer[], readies: number): Promise<Buffer[]> {
    this.#peer.send(Buffer.concat(messages))
    const frames: Buffer[] = []
    for (let left = readies; left > 0;) {
      const head = await this.#peer.read(5)
      const length = head.readInt32BE(1)
      // The peer's buffer is used again for what comes later.
      const frame = Buffer.concat([head, await this.#peer.read(length - 4)])
      frames.push(frame)
      if (frameType(frame, 0) === BackendType.readyForQuery) left -= 1
      if (isFatal(frame)) throw new LaneClosed(frames)
    }
    return frames
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#peer.send(encodeTerminate())
    await this.#peer[Symbol.asyncDispose]()
  }
}

/** The session ended with an error of its own; `frames` are what came before it, the error included. */
export class LaneClosed extends Error {
  override readonly name = 'LaneClosed'
  readonly frames: readonly Buffer[]

  constructor(frames: readonly Buffer[]) {
    super('the session was ended')
    this.frames = frames
  }
}

function isFatal(frame: Buffer): boolean {
  return (
    frameType(frame, 0) === BackendType.errorResponse &&
    frameBody(frame, 0).includes('VFATAL\0', 0, 'latin1')
  )
}

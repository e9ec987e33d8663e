import { randomBytes, timingSafeEqual } from 'node:crypto'
import type { CancelKey } from '../../../boundary/messages.ts'
import type { TargetPlace } from '../../../boundary/snapshot.ts'
import { cancelTarget, type TargetCancelKey } from '../../../target/cancel-target.ts'

/** What a cancel key leads to. */
interface Cancellable {
  readonly secret: Buffer
  readonly place: TargetPlace
  readonly targetKey: TargetCancelKey
  /** True where the request has ended what it was for, so that the target need not be asked. */
  noteCancel(): boolean
}

/** Key length of protocol 3.2; 3.0 has room for four bytes. */
const longKeyBytes = 32

/** The cancel keys of one worker. Callers get the gateway's own keys; the target's stay here. */
export class Cancels {
  readonly #sessions = new Map<number, Cancellable>()

  /** Makes a key for a session. `minor` is the caller's protocol version 3.`minor`. */
  register(
    minor: number,
    session: Omit<Cancellable, 'secret'>,
  ): { processId: number; key: Buffer; release: () => void } {
    let processId = randomBytes(4).readUInt32BE() & 0x7fffffff
    while (this.#sessions.has(processId)) processId = randomBytes(4).readUInt32BE() & 0x7fffffff
    const key = randomBytes(minor >= 2 ? longKeyBytes : 4)
    this.#sessions.set(processId, { ...session, secret: key })
    return { processId, key, release: () => this.#sessions.delete(processId) }
  }

  /** Passes a cancel request on to the target with the target's key. False where the key is none of this worker's. */
  async cancel(key: CancelKey): Promise<boolean> {
    const session = this.#sessions.get(key.processId)
    if (session === undefined) return false
    const secret = Buffer.from(key.secret, 'base64')
    if (secret.length !== session.secret.length || !timingSafeEqual(secret, session.secret))
      return true
    if (session.noteCancel()) return true
    await cancelTarget(session.place, session.targetKey)
    return true
  }
}

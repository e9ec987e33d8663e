import { randomBytes, timingSafeEqual } from 'node:crypto'
import { encodeCancelRequest } from '@sallyport/wire'
import type { CancelKey } from '../../../boundary/messages.ts'
import type { ConnectionConfig } from '../../../boundary/snapshot.ts'
import { reach, secure, type Target } from './target-login.ts'

/** What a cancel key leads to. */
interface Cancellable {
  readonly secret: Buffer
  readonly config: ConnectionConfig
  readonly targetKey: Target['cancelKey']
  noteCancel(): void
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
    session.noteCancel()
    await cancelTarget(session.config, session.targetKey)
    return true
  }
}

/** Asks the target to end what this session of it runs. Resolves when the request has been read, or the target is gone. */
export async function cancelTarget(
  config: ConnectionConfig,
  { processId, secretKey }: Target['cancelKey'],
): Promise<void> {
  const socket = await secure(await reach(config), config)
  socket.on('error', () => socket.destroy())
  const closed = new Promise((resolve) => socket.once('close', resolve))
  // The target closes when it has read the request (protocol section 54.2.8).
  socket.end(encodeCancelRequest(processId, secretKey))
  socket.resume()
  await closed
}

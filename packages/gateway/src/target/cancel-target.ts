import { once } from 'node:events'
import type { Socket } from 'node:net'
import { SallyportError } from '@sallyport/core'
import { encodeCancelRequest } from '@sallyport/wire'
import type { TargetPlace } from '../boundary/snapshot.ts'
import { dialMsMax, reach, secure } from './reach-target.ts'

/** Process id and secret of a session at its target (protocol section 54.2.8). */
export interface TargetCancelKey {
  readonly processId: number
  readonly secretKey: Buffer
}

/**
 * Asks the target to end what this session of it runs. Resolves when the target has read the request, which is all that it
 * ever says of one. Rejects where it can't be reached, hangs up early, or `signal` ends the wait.
 */
export async function cancelTarget(
  place: TargetPlace,
  { processId, secretKey }: TargetCancelKey,
  signal: AbortSignal = AbortSignal.timeout(dialMsMax),
): Promise<void> {
  const socket = await unlessAborted(async () => await secure(await reach(place), place), signal)
  try {
    const read = once(socket, 'end', { signal })
    socket.resume()
    // Our half stays open: the target's end then says that it has read the request, and not that we hung up.
    socket.write(encodeCancelRequest(processId, secretKey))
    await read
  } finally {
    // What may still go wrong with this connection concerns nobody.
    socket.on('error', () => undefined)
    socket.destroy()
  }
}

/** Whoever does not wait any more must not leave a connection behind. */
async function unlessAborted(open: () => Promise<Socket>, signal: AbortSignal): Promise<Socket> {
  const opening = open()
  const { promise, reject } = Promise.withResolvers<never>()
  const stop = (): void => {
    reject(new SallyportError('SP_TARGET_UNREACHABLE', 'the target took too long'))
    opening.then(
      (socket) => socket.destroy(),
      () => undefined,
    )
  }
  if (signal.aborted) stop()
  signal.addEventListener('abort', stop, { once: true })
  try {
    return await Promise.race([opening, promise])
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

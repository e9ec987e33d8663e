import { Buffer } from 'node:buffer'
import { constants } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { DeliveryError, type Destination, type OutgoingEvent } from './destination.ts'

/** A pipe that is full is tried again after this long. */
const fullMs = 50

/**
 * Writes events to the gateway's standard output, a line each. It is opened anew without blocking: Node's own stream writes to a
 * pipe synchronously, and a reader that stops would stop the control plane.
 */
export class StandardOutput implements Destination {
  readonly where = 'standard output'
  readonly #path: string
  /** A line was written in part, and is not gone on with. */
  #isTorn = false

  /** `path` is for tests. */
  constructor(path = '/dev/stdout') {
    this.#path = path
  }

  async deliver(events: readonly OutgoingEvent[], signal: AbortSignal): Promise<void> {
    const lines = events.map(({ line }) => `${line}\n`).join('')
    try {
      const flags = constants.O_WRONLY | constants.O_APPEND | constants.O_NONBLOCK
      await using handle = await open(this.#path, flags)
      await this.#write(handle, Buffer.from(this.#isTorn ? `\n${lines}` : lines), signal)
    } catch (error) {
      signal.throwIfAborted()
      const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
      throw new DeliveryError(
        code === 'EPIPE' || code === 'ENXIO'
          ? 'nobody reads standard output, or it is a socket: a pipe, a file or a terminal is needed'
          : `standard output cannot be written: ${code}`,
      )
    }
  }

  async #write(handle: FileHandle, bytes: Buffer, signal: AbortSignal): Promise<void> {
    for (let at = 0; at < bytes.length;) {
      signal.throwIfAborted()
      const written = await handle.write(bytes, at).catch((error: unknown) => {
        if (error instanceof Error && 'code' in error && error.code === 'EAGAIN') return undefined
        throw error
      })
      if (written === undefined) await sleep(fullMs, undefined, { signal })
      else at += written.bytesWritten
      if (at > 0) this.#isTorn = bytes[at - 1] !== newLine
    }
  }
}

const newLine = 10

import { Buffer } from 'node:buffer'
import { constants } from 'node:fs'
import { access, open, rename, type FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { FileExport } from '../config/export-config.ts'
import { DeliveryError, type Destination, type OutgoingEvent } from './destination.ts'

const newLine = 10
const windowBytes = 64 * 1024

/**
 * Appends events to a file, a line each, and gives it another name when it has grown large. The file is opened anew for each
 * batch, so that whoever takes it away finds a new one begun.
 */
export class RotatingFile implements Destination {
  readonly where: string
  readonly #config: FileExport
  readonly #now: () => number

  constructor(config: FileExport, now: () => number) {
    this.where = config.path
    this.#config = config
    this.#now = now
  }

  async deliver(events: readonly OutgoingEvent[]): Promise<void> {
    const bytes = Buffer.from(events.map(({ line }) => `${line}\n`).join(''))
    try {
      const size = await this.#append(bytes)
      if (size >= this.#config.rotateBytes) await this.#rotate()
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
      throw new DeliveryError(`the file cannot be written: ${code}`)
    }
  }

  /** Gives the size of the file, all of which is on disk then. */
  async #append(bytes: Buffer): Promise<number> {
    const { path } = this.#config
    const flags = constants.O_RDWR | constants.O_CREAT
    await using handle = await open(path, flags, 0o600)
    const { size } = await handle.stat()
    const end = await endOfLines(handle, size)
    // What a crash or a full disk left of a line was never told as delivered, and comes again as a whole.
    if (end < size) await handle.truncate(end)
    let at = 0
    while (at < bytes.length) {
      const { bytesWritten } = await handle.write(bytes, at, bytes.length - at, end + at)
      at += bytesWritten
    }
    await handle.sync()
    if (size === 0) await syncFolder(dirname(path))
    return end + bytes.length
  }

  async #rotate(): Promise<void> {
    const { path } = this.#config
    const stamp = new Date(this.#now()).toISOString().replaceAll(/[-:]/gu, '')
    await rename(path, await freeName(`${path}.${stamp}`))
    await syncFolder(dirname(path))
  }
}

/** A rename would take the place of what has the name. */
async function freeName(path: string): Promise<string> {
  for (let n = 0; ; n += 1) {
    const name = n === 0 ? path : `${path}-${n}`
    if (!(await isThere(name))) return name
  }
}

async function isThere(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  )
}

/** A name stands in its folder, which is on disk by itself. */
async function syncFolder(dir: string): Promise<void> {
  await using handle = await open(dir, 'r')
  await handle.sync()
}

/** Where the last whole line ends. */
async function endOfLines(handle: FileHandle, size: number): Promise<number> {
  const window = Buffer.alloc(windowBytes)
  let end = size
  while (end > 0) {
    const from = Math.max(0, end - windowBytes)
    const { bytesRead } = await handle.read(window, 0, end - from, from)
    const at = window.subarray(0, bytesRead).lastIndexOf(newLine)
    if (at !== -1) return from + at + 1
    end = from
  }
  return 0
}

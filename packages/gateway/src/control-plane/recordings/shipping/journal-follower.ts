import { Buffer } from 'node:buffer'
import { open, readdir, readFile, rm, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import {
  decodeEntry,
  decodeFileHeader,
  isRecoveredListName,
  parseJournalFileName,
  parseRecoveredList,
  type DecodedRecord,
} from '@sallyport/core'

const windowBytes = 256 * 1024
/** The node's name has at most 64 KiB. */
const headerBytesMax = 128 * 1024

/** A journal file, and how much of it was read. */
export interface FollowedFile {
  readonly name: string
  readonly worker: number
  readonly sequence: number
  readonly isDamaged: boolean
  /** Number of the worker's run; undefined until the header is read. */
  run: number | undefined
  /** Where the first record stands that was not read. */
  offset: number
  /** Nothing more is written to it. */
  isFinal: boolean
  /** All of it was read, or all that can be. */
  isRead: boolean
  /** Why nothing behind `offset` can be read. */
  problem: string | undefined
}

/** Takes a record, which is valid until it returns. */
export type TakeRecord = (record: DecodedRecord, file: FollowedFile) => void

/**
 * Reads journals while workers write them: in order, each record once.
 *
 * A file is final when its run has gone on to another one, or, where the run has died, when a recovery has seen to it: that
 * cuts a torn end off and closes what was open.
 */
export class JournalFollower {
  readonly #dir: string
  #files = new Map<string, FollowedFile>()

  /** `from`: where another follower is; this one goes on from there. */
  constructor(dir: string, from: readonly FollowedFile[] = []) {
    this.#dir = dir
    for (const file of from) this.#files.set(file.name, { ...file })
  }

  /** Files that are there, by worker and age. */
  get files(): readonly FollowedFile[] {
    return [...this.#files.values()]
  }

  /** The runs that the files belong to. */
  async runs(): Promise<{ worker: number; run: number }[]> {
    await this.#look()
    const runs = new Map<string, { worker: number; run: number }>()
    for (const { worker, run } of this.#files.values())
      if (run !== undefined) runs.set(`${worker}-${run}`, { worker, run })
    return [...runs.values()]
  }

  /** Reads on, for as long as `mayGoOn` says so. */
  async read(take: TakeRecord, mayGoOn: () => boolean): Promise<void> {
    await this.#look()
    for (const file of this.#files.values()) {
      if (file.isRead) continue
      if (!mayGoOn()) return
      await this.#readFile(file, take, mayGoOn)
    }
  }

  /** Removes a file; a worker's newest one stays, since its number is what the next one counts from. */
  async remove(file: FollowedFile): Promise<boolean> {
    const isNewest = ![...this.#files.values()].some(
      ({ worker, sequence }) => worker === file.worker && sequence > file.sequence,
    )
    if (isNewest) return false
    await rm(join(this.#dir, file.name), { force: true })
    this.#files.delete(file.name)
    return true
  }

  async #look(): Promise<void> {
    const names = await readdir(this.#dir)
    for (const worker of await this.#restarted(names)) this.#forget(worker)
    const sizes = await this.#recovered(names)
    const files = new Map<string, FollowedFile>()
    for (const name of names.toSorted()) {
      const parsed = parseJournalFileName(name)
      if (parsed === undefined) continue
      const { worker, sequence, damaged } = parsed
      const known = this.#files.get(name)
      files.set(name, known ?? newFile({ name, worker, sequence, isDamaged: damaged }))
    }
    this.#files = files
    for (const file of files.values()) file.run ??= await this.#runOf(file.name)
    for (const file of files.values()) {
      // A file of a dead run may have grown at its end since it was read.
      if (!file.isFinal && this.#isFinal(file, sizes)) file.isFinal = true
    }
  }

  /** Workers whose newest file is gone, or another one of its name is there: somebody removed the journals, and they begin anew. */
  async #restarted(names: readonly string[]): Promise<number[]> {
    const newest = new Map([...this.#files.values()].map((file) => [file.worker, file]))
    const restarted: number[] = []
    for (const { name, worker, run } of newest.values()) {
      const isThere = names.includes(name)
      // One that was set aside as damaged has another name.
      const isAside = names.includes(`${name}.damaged`)
      if (isThere && run !== undefined && (await this.#runOf(name)) !== run) restarted.push(worker)
      else if (!isThere && !isAside) restarted.push(worker)
    }
    return restarted
  }

  #forget(worker: number): void {
    for (const file of this.#files.values())
      if (file.worker === worker) this.#files.delete(file.name)
  }

  async #runOf(name: string): Promise<number | undefined> {
    const handle = await openThere(join(this.#dir, name))
    if (handle === undefined) return undefined
    try {
      const head = Buffer.alloc(headerBytesMax)
      const { bytesRead } = await handle.read(head, 0, head.length, 0)
      const found = decodeFileHeader(head.subarray(0, bytesRead))
      return found.kind === 'header' ? found.header.run : undefined
    } finally {
      await handle.close()
    }
  }

  #isFinal(file: FollowedFile, recovered: ReadonlyMap<string, number>): boolean {
    if (file.isDamaged) return true
    const later = [...this.#files.values()].filter(
      ({ worker, sequence }) => worker === file.worker && sequence > file.sequence,
    )
    const newest = later.at(-1)
    if (newest === undefined) return recovered.has(file.name)
    return recovered.has(file.name) || (file.run !== undefined && file.run === newest.run)
  }

  async #recovered(names: readonly string[]): Promise<ReadonlyMap<string, number>> {
    const lists = names
      .filter(isRecoveredListName)
      .map(async (name) => parseRecoveredList(await readFile(join(this.#dir, name), 'utf8')))
    return new Map((await Promise.all(lists)).flat())
  }

  async #readFile(file: FollowedFile, take: TakeRecord, mayGoOn: () => boolean): Promise<void> {
    const { isFinal } = file
    const handle = await openThere(join(this.#dir, file.name))
    if (handle === undefined) return
    try {
      const end = await readRecords(handle, file, take, mayGoOn)
      // A record that is half written is whole at the next look; in a final file it never will be.
      if (end === 'not yet' || !isFinal) return
      file.isRead = true
      if (end !== 'whole') file.problem = end.reason
    } finally {
      await handle.close()
    }
  }
}

function newFile(
  of: Pick<FollowedFile, 'name' | 'worker' | 'sequence' | 'isDamaged'>,
): FollowedFile {
  return { ...of, run: undefined, offset: 0, isFinal: false, isRead: false, problem: undefined }
}

/** Undefined where the file has been renamed or removed since it was listed. */
async function openThere(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, 'r')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}

/** How the bytes of a file end. */
type FileEnd = 'not yet' | 'whole' | { readonly reason: string }

/** Reads whole records from `file.offset` on. */
async function readRecords(
  handle: FileHandle,
  file: FollowedFile,
  take: TakeRecord,
  mayGoOn: () => boolean,
): Promise<FileEnd> {
  let window = Buffer.allocUnsafe(windowBytes)
  for (;;) {
    const { bytesRead } = await handle.read(window, 0, window.length, file.offset)
    const { consumed, needed, reason } = takeRecords(window.subarray(0, bytesRead), file, take)
    file.offset += consumed
    if (reason !== undefined) return { reason }
    if (consumed === 0 && bytesRead < window.length)
      return bytesRead === 0 ? 'whole' : { reason: 'an entry is cut short' }
    if (needed > window.length) window = Buffer.allocUnsafe(needed)
    if (!mayGoOn()) return 'not yet'
  }
}

interface Taken {
  readonly consumed: number
  /** Bytes that the record behind them takes. */
  readonly needed: number
  /** Why there is none. */
  readonly reason?: string
}

/** Takes the whole records at the start of `bytes`. */
function takeRecords(bytes: Buffer, file: FollowedFile, take: TakeRecord): Taken {
  let at = 0
  if (file.offset === 0) {
    const found = decodeFileHeader(bytes)
    if (found.kind === 'bad') return { consumed: 0, needed: 0, reason: found.reason }
    if (found.kind === 'short') return { consumed: 0, needed: 0 }
    at = found.next
  }
  for (;;) {
    const found = decodeEntry(bytes, at)
    if (found.kind === 'short') return { consumed: at, needed: found.needed }
    if (found.kind === 'bad') return { consumed: at, needed: 0, reason: found.reason }
    take(found, file)
    at = found.next
  }
}

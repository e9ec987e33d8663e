import { randomInt } from 'node:crypto'
import path from 'node:path'
import {
  encodeFileHeader,
  isRecoveredListName,
  journalFileName,
  parseJournalFileName,
  parseRecoveredList,
} from '@sallyport/core'
import type { JournalFs } from './journal-fs.ts'

/** Journals hold what callers read and wrote: nobody but the gateway's user opens them. */
const FILE_MODE = 0o600
/** The database keeps them as 32 bits with a sign. */
const runsEnd = 2 ** 31

/** The files of one run of a worker's journal: appends, rotates and syncs. It knows nothing of entries. */
export class JournalFiles {
  readonly #fs: JournalFs
  readonly #dir: string
  readonly #worker: number
  readonly #node: string
  readonly #rotateBytes: number
  readonly #folder: number
  readonly #names: string[] = []
  #sequence: number
  /** Drawn, and not counted: where somebody removed the journals, numbers of files begin anew, and runs must not be taken for one. */
  readonly #run = randomInt(1, runsEnd)
  #fd: number | undefined
  #size = 0
  #headerBytes = 0
  #torn = false
  #folderDirty = false
  readonly #dirty = new Set<number>()
  /** Files that are written to the end, and close after their last sync. */
  readonly #retired = new Set<number>()

  constructor(
    fs: JournalFs,
    at: {
      readonly dir: string
      readonly worker: number
      readonly node: string
      readonly rotateBytes: number
    },
  ) {
    this.#fs = fs
    this.#dir = at.dir
    this.#worker = at.worker
    this.#node = at.node
    this.#rotateBytes = at.rotateBytes
    this.#sequence = newestSequence(fs, at.dir, at.worker)
    this.#folder = fs.openSync(at.dir, 'r')
    try {
      this.#openNext()
    } catch (error) {
      fs.closeSync(this.#folder)
      throw error
    }
  }

  /** Names of the files of this run, oldest first; the last is being written. */
  get names(): readonly string[] {
    return this.#names
  }

  get dirty(): boolean {
    return this.#dirty.size > 0 || this.#folderDirty
  }

  /** Appends all of `bytes`, or throws and leaves the file as it was. Returns how many bytes the files grew. */
  append(bytes: Uint8Array): number {
    let grown = 0
    if (this.#fd === undefined || this.#size + bytes.length > this.#rotateBytes) {
      grown = this.#openNext()
    }
    const fd = this.#fd
    if (fd === undefined) throw new TypeError('the journal has no open file')
    if (this.#torn) this.#mend(fd)
    try {
      this.#writeAll(fd, bytes, this.#size)
    } catch (error) {
      this.#torn = true
      this.#mend(fd)
      throw error
    }
    this.#size += bytes.length
    this.#dirty.add(fd)
    return grown + bytes.length
  }

  /** Goes on in a new file now, unless nothing stands in this one. Returns how many bytes the files grew. */
  rotate(): number {
    if (this.#torn && this.#fd !== undefined) this.#mend(this.#fd)
    const isNew = this.#fd !== undefined && this.#size === this.#headerBytes
    return isNew || this.#torn ? 0 : this.#openNext()
  }

  /** Goes on in a new file: after a failed sync the kernel may have dropped what the old one was to hold. */
  abandon(): void {
    if (this.#fd !== undefined) this.#retired.add(this.#fd)
    this.#fd = undefined
  }

  /** Puts everything appended so far on disk. At most one call at a time. */
  async sync(): Promise<void> {
    const files = [...this.#dirty]
    const folder = this.#folderDirty
    this.#dirty.clear()
    this.#folderDirty = false
    const jobs = files.map(async (fd) => settle((done) => this.#fs.fdatasync(fd, done)))
    if (folder) jobs.push(settle((done) => this.#fs.fsync(this.#folder, done)))
    const results = await Promise.allSettled(jobs)
    this.closeRetired()
    const failed = results.find((result) => result.status === 'rejected')
    if (failed === undefined) return
    this.#folderDirty ||= folder
    throw failed.reason
  }

  /** Closes files that are written to the end and owe no sync. Not to be called while a sync runs. */
  closeRetired(all = false): void {
    for (const fd of this.#retired) {
      if (!all && this.#dirty.has(fd)) continue
      this.#retired.delete(fd)
      this.#dirty.delete(fd)
      this.#fs.closeSync(fd)
    }
  }

  close(): void {
    this.abandon()
    this.closeRetired(true)
    this.#fs.closeSync(this.#folder)
  }

  #openNext(): number {
    const sequence = this.#sequence + 1
    const name = journalFileName(this.#worker, sequence)
    const file = path.join(this.#dir, name)
    // Exclusive: a file that exists belongs to another run, whoever started it.
    const fd = this.#fs.openSync(file, 'wx', FILE_MODE)
    this.#sequence = sequence
    const header = encodeFileHeader({ node: this.#node, worker: this.#worker, run: this.#run })
    try {
      this.#writeAll(fd, header, 0)
    } catch (error) {
      this.#fs.closeSync(fd)
      this.#fs.unlinkSync(file)
      throw error
    }
    if (this.#fd !== undefined) this.#retired.add(this.#fd)
    this.#names.push(name)
    this.#fd = fd
    this.#size = header.length
    this.#headerBytes = header.length
    this.#torn = false
    this.#dirty.add(fd)
    this.#folderDirty = true
    return header.length
  }

  #writeAll(fd: number, bytes: Uint8Array, position: number): void {
    let written = 0
    while (written < bytes.length) {
      const count = this.#fs.writeSync(
        fd,
        bytes,
        written,
        bytes.length - written,
        position + written,
      )
      if (count === 0) throw new Error('the journal file takes no more bytes')
      written += count
    }
  }

  /** Cuts a torn record off. Where even that fails, the next try writes over it, since positions are explicit. */
  #mend(fd: number): void {
    try {
      this.#fs.ftruncateSync(fd, this.#size)
      this.#torn = false
    } catch {
      this.#torn = true
    }
  }
}

/** A name that a list of recovered files knows is not given again either: a file of that name would count as written to its end. */
function newestSequence(fs: JournalFs, dir: string, worker: number): number {
  const names = fs.readdirSync(dir)
  const lists = names.filter(isRecoveredListName)
  const listed = lists.flatMap((name) =>
    parseRecoveredList(fs.readFileSync(path.join(dir, name), 'utf8')).map(([file]) => file),
  )
  let newest = 0
  for (const name of [...names, ...listed]) {
    const parsed = parseJournalFileName(name)
    if (parsed?.worker === worker) newest = Math.max(newest, parsed.sequence)
  }
  return newest
}

function settle(start: (done: (error: Error | null) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    start((error) => (error === null || error === undefined ? resolve() : reject(error)))
  })
}

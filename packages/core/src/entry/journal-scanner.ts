import { Buffer } from 'node:buffer'
import { decodeFileHeader, type FileHeader } from './file-header.ts'
import { decodeEntry, type DecodedRecord } from './record.ts'

/** The window at the start; it grows only for a record that is larger. */
const WINDOW_BYTES = 256 * 1024

/** What the scanner found next. `more`: it needs another chunk. `bad` stays: nothing after it is read. */
export type Scanned =
  | DecodedRecord
  | { readonly kind: 'header'; readonly header: FileHeader }
  | { readonly kind: 'more' }
  | { readonly kind: 'bad'; readonly reason: string }

/** Finds header and records in the chunks of one journal file, whatever their sizes. It holds one window, never the file. */
export class JournalScanner {
  #window = Buffer.allocUnsafeSlow(WINDOW_BYTES)
  #start = 0
  #end = 0
  #offset = 0
  #headerSeen = false
  #bad: Scanned | undefined

  /** Place in the file of the first byte that is in no record found so far. */
  get offset(): number {
    return this.#offset
  }

  /** True when no byte waits for its record to be completed. */
  get clean(): boolean {
    return this.#headerSeen && this.#start === this.#end
  }

  /** Adds a chunk. Records returned before are no longer valid in `body` and `hash`. */
  push(chunk: Uint8Array): void {
    const kept = this.#end - this.#start
    const needed = kept + chunk.length
    if (this.#end + chunk.length > this.#window.length) {
      const target =
        needed > this.#window.length
          ? Buffer.allocUnsafeSlow(Math.max(needed, this.#window.length * 2))
          : this.#window
      this.#window.copy(target, 0, this.#start, this.#end)
      this.#window = target
      this.#start = 0
      this.#end = kept
    }
    this.#window.set(chunk, this.#end)
    this.#end += chunk.length
  }

  next(): Scanned {
    if (this.#bad !== undefined) return this.#bad
    return this.#headerSeen ? this.#nextRecord() : this.#header()
  }

  #header(): Scanned {
    const found = decodeFileHeader(this.#window.subarray(this.#start, this.#end))
    if (found.kind === 'short') return { kind: 'more' }
    if (found.kind === 'bad') return this.#stop(found.reason)
    this.#headerSeen = true
    this.#skip(found.next)
    return { kind: 'header', header: found.header }
  }

  #nextRecord(): Scanned {
    const found = decodeEntry(this.#window, this.#start, this.#end)
    if (found.kind === 'short') return { kind: 'more' }
    if (found.kind === 'bad') return this.#stop(found.reason)
    this.#skip(found.next - this.#start)
    return found
  }

  #skip(bytes: number): void {
    this.#start += bytes
    this.#offset += bytes
  }

  #stop(reason: string): Scanned {
    this.#bad = { kind: 'bad', reason }
    return this.#bad
  }
}

import { Buffer } from 'node:buffer'
import { hash } from 'node:crypto'
import type { TrustedKeys } from './key-changes.ts'
import type { Finding, ObjectSource } from './part-reader.ts'
import { membersOf, type SigningKeys } from './signed.ts'
import { storeKeys } from './store-keys.ts'

/** What anchors say of one part. */
export interface AnchoredPart {
  readonly session: string
  /** By number of entries, the hash that the chain has after them. */
  readonly hashes: Map<number, string>
  entries: number
  /** How many of them were in the store. */
  shipped: number
  /** The anchor that spoke of it last. */
  anchor: string
}

/** Reads all anchors of a store, and checks their names, signatures, numbers and order. */
export class AnchorReader {
  /** By `SESSION/PART`. */
  readonly parts = new Map<string, AnchoredPart>()
  readonly findings: Finding[] = []
  readonly notes: string[] = []
  readonly signedBy = new Set<string>()
  range = { from: 0, to: -1, count: 0 }
  /** Time of the newest. */
  at: string | undefined
  readonly #keys: SigningKeys
  readonly #trusted: TrustedKeys

  constructor(keys: SigningKeys, trusted: TrustedKeys) {
    this.#keys = keys
    this.#trusted = trusted
  }

  /** `isAll` says that the first anchor ever must be there: only an export begins later. */
  async read(source: ObjectSource, isAll: boolean): Promise<void> {
    let previous: string | undefined
    let expected: number | undefined
    for await (const where of source.list(storeKeys.anchors)) {
      const number = Number(/(\d+)\.jws$/u.exec(where)?.[1])
      if (where !== storeKeys.anchor(number)) {
        this.#find(where, 'this is not the name of an anchor')
        continue
      }
      if (expected === undefined) this.#begin(where, number, isAll)
      else if (number > expected) {
        this.#find(where, `the anchors ${expected} to ${number - 1} are missing`)
        previous = undefined
      }
      previous = await this.#one(source, where, number, number === 0 ? '' : previous)
      expected = number + 1
      this.range = { ...this.range, to: number, count: this.range.count + 1 }
    }
    if (expected === undefined)
      this.notes.push('There is no anchor: whole sessions may be missing.')
    for (const { to, anchor } of this.#trusted.changes)
      if (isAll && anchor > (expected ?? 0))
        this.#find(
          storeKeys.keyChange(to),
          `it was made before anchor ${anchor}, and those from ${expected ?? 0} on are missing`,
        )
  }

  #begin(where: string, number: number, isAll: boolean): void {
    this.range.from = number
    if (number === 0) return
    if (isAll) this.#find(where, `the anchors 0 to ${number - 1} are missing`)
    else this.notes.push(`The anchors begin with number ${number}.`)
  }

  /** Returns what the next anchor names this one by. */
  async #one(
    source: ObjectSource,
    where: string,
    number: number,
    previous: string | undefined,
  ): Promise<string | undefined> {
    try {
      const text = Buffer.from((await source.get(where)) ?? '').toString()
      this.#check(where, text, number, previous)
      return hash('sha256', text)
    } catch (error) {
      if (!(error instanceof RangeError)) throw error
      this.#find(where, error.message)
      return undefined
    }
  }

  #check(where: string, text: string, number: number, previous: string | undefined): void {
    let found: ReadonlyMap<string, unknown>
    try {
      const { key, fields } = this.#keys.open(text)
      this.#signed(where, key, number)
      if (fields.get('type') !== 'sallyport.anchor.1') throw new RangeError('this is no anchor')
      if (fields.get('number') !== number)
        throw new RangeError(`this is anchor ${String(fields.get('number'))}`)
      found = fields
    } catch (error) {
      if (!(error instanceof RangeError)) throw error
      return this.#find(where, error.message)
    }
    if (previous !== undefined && found.get('previous') !== previous)
      this.#find(where, 'the anchor follows another one than the one here')
    this.at = String(found.get('at'))
    const parts = found.get('parts')
    for (const part of Array.isArray(parts) ? parts : []) this.#note(where, membersOf(part))
  }

  /** Anyone can make a key and sign with it. */
  #signed(where: string, key: string, number: number): void {
    const wrong = this.#trusted.signs(key, number)
    if (wrong !== undefined) this.#find(where, wrong)
    this.signedBy.add(key)
  }

  #note(where: string, fields: ReadonlyMap<string, unknown>): void {
    const names = ['session', 'part', 'entries', 'shipped', 'head']
    const [session, part, entries, shipped, head] = names.map((name) => fields.get(name))
    if (typeof session !== 'string' || typeof part !== 'string' || typeof head !== 'string')
      throw new RangeError('an anchor lacks a field')
    if (typeof entries !== 'number' || typeof shipped !== 'number')
      throw new RangeError('an anchor lacks a field')
    const name = `${session}/${part}`
    const now = this.parts.get(name) ?? newPart(session, where)
    if (entries < now.entries) this.#find(where, `the chain of ${session} became shorter`)
    if ((now.hashes.get(entries) ?? head) !== head)
      this.#find(where, `it names another hash of ${session} than an anchor before it`)
    now.hashes.set(entries, head)
    now.entries = entries
    now.shipped = shipped
    now.anchor = where
    this.parts.set(name, now)
  }

  #find(where: string, what: string): void {
    this.findings.push({ where, what })
  }
}

function newPart(session: string, anchor: string): AnchoredPart {
  return { session, hashes: new Map(), entries: 0, shipped: 0, anchor }
}

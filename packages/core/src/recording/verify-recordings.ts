import { Buffer } from 'node:buffer'
import { isLedgerId } from '../ids.ts'
import { AnchorReader, type AnchoredPart } from './anchor-reader.ts'
import { compareAnchors, type AnchorCopy, type ComparedAnchors } from './compare-anchors.ts'
import { misfit, readErased, type ErasedSession } from './erased-sessions.ts'
import { openKeyChange, TrustedKeys } from './key-changes.ts'
import { checkExtract, type VerifiedExtract } from './ledger-extract.ts'
import {
  PartReader,
  type Finding,
  type ObjectSource,
  type PartItem,
  type PartSummary,
} from './part-reader.ts'
import { checkSeal } from './session-seal.ts'
import { SigningKeys } from './signed.ts'
import { storeKeys } from './store-keys.ts'
import { storedThings } from './stored-parts.ts'

/** What is to be verified. */
export interface VerifyRequest {
  readonly source: ObjectSource
  /** The key of a session, or undefined where it is not to be had: then its entries are not opened. */
  readonly keyOf: (session: string) => Promise<Uint8Array | undefined>
  /** Sessions whose ids begin so; all where empty. */
  readonly idPrefix?: string
  /** The sessions that are meant to be here; all that anchors name where absent. */
  readonly only?: ReadonlySet<string>
  /** Thumbprints of keys that are known to be the node's: who signs must be one of them, or linked to one by changes of keys. */
  readonly signedBy?: readonly string[]
  /** Anchors of this store that were published elsewhere. */
  readonly copies?: readonly AnchorCopy[]
  /** Called as sessions are done. */
  readonly onPart?: (part: PartSummary) => void
}

/** What was found out. Without findings the recordings are as the node signed them. */
export interface Verification {
  readonly sessions: number
  /** What the control plane recorded of itself, counted beside the sessions. */
  readonly ledgers: number
  readonly entries: number
  readonly segments: number
  /** Sessions of which only what stands in clear could be checked. */
  readonly unopened: number
  readonly anchors: { readonly from: number; readonly to: number; readonly count: number }
  /** Time of the newest anchor; absent where there is none. */
  readonly anchoredAt?: string
  /** Thumbprints of the keys that signed. */
  readonly signedBy: readonly string[]
  /** Those by which they were trusted, and whether somebody named them; else it is that of the first anchor. */
  readonly trusted: { readonly keys: readonly string[]; readonly isExpected: boolean }
  /** What was compared with copies of anchors. */
  readonly copies: readonly Omit<ComparedAnchors, 'findings'>[]
  readonly findings: readonly Finding[]
  /** Facts of ledgers that lie beside an export's recordings; absent where there are none, or where they do not verify. */
  readonly extract?: VerifiedExtract
  /** Sessions that are not here, since retention erased them, as an anchored ledger says. */
  readonly erased: readonly string[]
  /** What is no fault, and keeps the proof from reaching further. */
  readonly notes: readonly string[]
}

/** Erased sessions that are told one by one. */
const erasedToldMax = 20

/** Checks recordings against their chains, seals and anchors, offline. */
export async function verifyRecordings(request: VerifyRequest): Promise<Verification> {
  const verifier = new Verifier(request)
  return await verifier.run()
}

class Verifier {
  readonly #request: VerifyRequest
  readonly #keys = new SigningKeys()
  readonly #trusted: TrustedKeys
  readonly #anchors: AnchorReader
  readonly #findings: Finding[] = []
  readonly #notes: string[] = []
  readonly #seen = new Set<string>()
  readonly #sessions = new Set<string>()
  readonly #seals = new Set<string>()
  readonly #unopened = new Set<string>()
  readonly #strays: string[] = []
  /** Tombstones that anchored entries of ledgers hold. */
  readonly #tombstones = new Map<string, ErasedSession>()
  readonly #erased = new Set<string>()
  /** By key that signed seals, one of their sessions. */
  readonly #sealers = new Map<string, string>()
  #copies: ComparedAnchors[] = []
  #entries = 0
  #segments = 0

  constructor(request: VerifyRequest) {
    this.#request = request
    this.#trusted = new TrustedKeys(request.signedBy ?? [])
    this.#anchors = new AnchorReader(this.#keys, this.#trusted)
  }

  async run(): Promise<Verification> {
    const { source, only } = this.#request
    await this.#readKeys()
    await this.#readChanges()
    await this.#anchors.read(source, only === undefined)
    await this.#compareCopies()
    await this.#readTombstones()
    await this.#checkSessions()
    this.#findMissing()
    this.#tellErased()
    const extract = await this.#checkExtract()
    const { range, at, findings, notes } = this.#anchors
    const signedBy = new Set([...this.#anchors.signedBy, ...this.#sealers.keys()])
    const ledgers = [...this.#sessions].filter(isLedgerId).length
    return {
      sessions: this.#sessions.size - ledgers,
      ledgers,
      entries: this.#entries,
      segments: this.#segments,
      unopened: this.#unopened.size,
      anchors: range,
      ...(at === undefined ? {} : { anchoredAt: at }),
      signedBy: [...signedBy],
      trusted: {
        keys: this.#trusted.roots,
        isExpected: (this.#request.signedBy ?? []).length > 0,
      },
      copies: this.#copies.map(({ where, from, to, same }) => ({ where, from, to, same })),
      findings: [...findings, ...this.#findings],
      ...(extract === undefined ? {} : { extract }),
      erased: [...this.#erased],
      notes: [...notes, ...this.#notes],
    }
  }

  async #readKeys(): Promise<void> {
    for await (const where of this.#request.source.list(storeKeys.publicKeys)) {
      const pem = await this.#get(where)
      const id = pem === undefined ? undefined : this.#keys.add(Buffer.from(pem).toString())
      if (id === undefined) this.#find(where, 'this is no Ed25519 key as a gateway writes it')
      else if (where !== storeKeys.publicKey(id)) this.#find(where, `this is the key ${id}`)
    }
  }

  async #readChanges(): Promise<void> {
    for await (const where of this.#request.source.list(storeKeys.keyChanges)) {
      const text = await this.#get(where)
      if (text === undefined) continue
      try {
        const change = openKeyChange(Buffer.from(text).toString(), this.#keys)
        if (where !== storeKeys.keyChange(change.to))
          throw new RangeError(`this is the change to ${change.to}`)
        this.#trusted.add(change)
      } catch (error) {
        if (!(error instanceof RangeError)) throw error
        this.#find(where, error.message)
      }
    }
  }

  async #compareCopies(): Promise<void> {
    const { source, only, copies = [] } = this.#request
    const { from, to } = this.#anchors.range
    // An export holds the anchors around its sessions alone.
    const isExpected = (number: number): boolean =>
      only === undefined || (number >= from && number <= to)
    for (const copy of copies) {
      const compared = await compareAnchors(source, copy, this.#trusted, isExpected)
      this.#copies.push(compared)
      this.#findings.push(...compared.findings)
      if (compared.to >= 0 && compared.to < to)
        this.#notes.push(`Anchors ${compared.to + 1} to ${to} are not in ${compared.where} yet.`)
    }
  }

  async #get(where: string): Promise<Uint8Array | undefined> {
    try {
      return await this.#request.source.get(where)
    } catch (error) {
      if (!(error instanceof RangeError)) throw error
      this.#find(where, error.message)
      return undefined
    }
  }

  /** Of one session alone, ledgers are read for this; of all, they come first anyway. */
  async #readTombstones(): Promise<void> {
    const { source, keyOf, idPrefix = '', only } = this.#request
    if (only !== undefined || 'l_'.startsWith(idPrefix) || isLedgerId(idPrefix)) return
    for await (const thing of storedThings(source, 'l_')) {
      if (thing.kind !== 'part') continue
      const reader = new PartReader(source, { ...thing, key: await keyOf(thing.session) })
      for await (const item of reader.read(thing.indexes)) this.#noteTombstone(thing, item)
    }
  }

  /** Only what an anchor covers counts: whoever can write into the store could add an entry behind it. */
  #noteTombstone(of: { readonly session: string; readonly part: string }, item: PartItem): void {
    if (item.kind !== 'entry' || item.entry.kind !== 'fact' || !item.verified) return
    const { entries = 0 } = this.#anchors.parts.get(`${of.session}/${of.part}`) ?? {}
    if (item.position >= entries) return
    const erased = readErased(item.entry, item.timeMs)
    if (erased !== undefined) this.#tombstones.set(erased.session, erased)
  }

  async #checkSessions(): Promise<void> {
    const { source, idPrefix = '' } = this.#request
    for await (const thing of storedThings(source, idPrefix)) {
      if (thing.kind === 'part') await this.#checkPart(thing)
      else if (thing.kind === 'seal') this.#seals.add(thing.session)
      else this.#strays.push(thing.key)
    }
  }

  async #checkPart(of: {
    session: string
    part: string
    indexes: readonly number[]
  }): Promise<void> {
    const { source, keyOf, onPart } = this.#request
    const name = `${of.session}/${of.part}`
    const anchored = this.#anchors.parts.get(name)
    const where = storeKeys.sessions(name)
    const key = await keyOf(of.session)
    // Without its key it is erased, though some of its objects may still be here.
    if (key === undefined && this.#tombstones.has(of.session)) return
    const reader = new PartReader(source, { ...of, key })
    const compare = (): void => {
      const { entries, head } = reader.summary
      const expected = anchored?.hashes.get(entries)
      if (expected !== undefined && expected !== head)
        this.#find(where, `the chain differs from its anchor after ${entries} entries`)
    }
    for await (const item of reader.read(of.indexes)) {
      if (item.kind === 'finding') this.#findings.push(foundIn(item))
      else {
        compare()
        if (isLedgerId(of.session)) this.#noteTombstone(of, item)
      }
    }
    const part = reader.summary
    if (key === undefined) compare()
    this.#seen.add(name)
    this.#sessions.add(of.session)
    if (key === undefined) this.#unopened.add(of.session)
    this.#entries += part.entries
    this.#segments += part.segments
    const isSealed = await this.#checkSeal(part)
    if (anchored === undefined) this.#find(where, 'no anchor names this recording')
    else this.#compareLength(part, anchored, isSealed)
    onPart?.(part)
  }

  #compareLength(part: PartSummary, anchored: AnchoredPart, isSealed: boolean): void {
    const { session, entries } = part
    const where = storeKeys.sessions(`${session}/${part.part}`)
    if (entries < anchored.shipped)
      this.#find(where, `it ends after ${entries} entries; ${anchored.shipped} were there`)
    else if (entries < anchored.entries)
      this.#notes.push(
        `${session} has entries ${entries} to ${anchored.entries - 1} not in the store yet.`,
      )
    else if (entries > anchored.entries && !isSealed)
      this.#notes.push(
        `${session} has entries ${anchored.entries} to ${entries - 1} behind its newest anchor: nothing that is signed speaks of them.`,
      )
  }

  /** True where the session is sealed, and as its seal says. */
  async #checkSeal(part: PartSummary): Promise<boolean> {
    const where = storeKeys.seal(part.session)
    const text = await this.#get(where)
    if (text === undefined) {
      if (part.isClosed) this.#find(where, 'the session has ended, and its seal is missing')
      return false
    }
    try {
      const seal = this.#keys.open(Buffer.from(text).toString())
      this.#sealers.set(seal.key, part.session)
      checkSeal(seal, part, this.#trusted)
      return true
    } catch (error) {
      if (!(error instanceof RangeError)) throw error
      this.#find(where, error.message)
      return false
    }
  }

  /** Beside an export alone: in a store nothing of that name means anything. */
  async #checkExtract(): Promise<VerifiedExtract | undefined> {
    const { source, only } = this.#request
    if (only === undefined) return undefined
    const of = { source, keys: this.#keys, trusted: this.#trusted, sessions: only }
    const found = await checkExtract({ ...of, anchored: this.#anchors.parts })
    if (found === undefined || !('what' in found)) return found
    this.#findings.push(found)
    return undefined
  }

  #findMissing(): void {
    const { idPrefix = '', only } = this.#request
    let others = 0
    for (const [name, anchored] of this.#anchors.parts) {
      const { session, shipped, anchor } = anchored
      if (this.#seen.has(name) || !session.startsWith(idPrefix)) continue
      const tombstone = this.#tombstones.get(session)
      if (tombstone !== undefined) {
        const wrong = misfit(tombstone, name.slice(session.length + 1), anchored)
        if (wrong === undefined) this.#erased.add(session)
        else this.#find(anchor, wrong)
      } else if (only !== undefined && !only.has(session)) others += 1
      else if (shipped > 0) this.#find(anchor, `it names ${session}, whose recording is missing`)
      else this.#notes.push(`${session} has nothing in the store yet.`)
    }
    for (const session of only ?? [])
      if (!this.#sessions.has(session))
        this.#find(storeKeys.sessions(session), 'the recording is missing')
    for (const session of this.#seals)
      if (!this.#sessions.has(session) && !this.#erased.has(session))
        this.#find(storeKeys.seal(session), 'the recording that it seals is missing')
    if (others > 0) this.#notes.push(`The anchors name ${others} other sessions, not part of this.`)
    const [first] = this.#strays
    if (first !== undefined)
      this.#notes.push(
        `${this.#strays.length} of the files are no part of a recording and were not checked, such as ${first}.`,
      )
  }

  #tellErased(): void {
    const all = [...this.#erased].flatMap((session) => this.#tombstones.get(session) ?? [])
    for (const { session, atMs, why } of all.slice(0, erasedToldMax))
      this.#notes.push(
        `${session} was erased by retention on ${new Date(atMs).toISOString().slice(0, 10)}, as the ledger says: ${why}.`,
      )
    if (all.length > erasedToldMax)
      this.#notes.push(
        `${all.length - erasedToldMax} more were erased by retention, as the ledger says.`,
      )
  }

  #find(where: string, what: string): void {
    this.#findings.push({ where, what })
  }
}

function foundIn({ where, what, offset }: Finding): Finding {
  return { where, what, ...(offset === undefined ? {} : { offset }) }
}

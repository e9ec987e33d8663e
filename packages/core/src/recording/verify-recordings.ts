import { Buffer } from 'node:buffer'
import { hash } from 'node:crypto'
import { membersOf, SigningKeys } from './signed.ts'
import { parseSegmentKey, storeKeys } from './store-keys.ts'
import { PartReader, type Finding, type ObjectSource, type PartSummary } from './part-reader.ts'

/** What is to be verified. */
export interface VerifyRequest {
  readonly source: ObjectSource
  /** The key of a session, or undefined where it is not to be had: then its entries are not opened. */
  readonly keyOf: (session: string) => Promise<Uint8Array | undefined>
  /** Sessions whose ids begin so; all where empty. */
  readonly idPrefix?: string
  /** The sessions that are meant to be here; all that anchors name where absent. */
  readonly only?: ReadonlySet<string>
  /** Called as sessions are done. */
  readonly onPart?: (part: PartSummary) => void
}

/** What was found out. Without findings the recordings are as the node signed them. */
export interface Verification {
  readonly sessions: number
  readonly entries: number
  readonly segments: number
  /** Sessions of which only what stands in clear could be checked. */
  readonly unopened: number
  readonly anchors: { readonly from: number; readonly to: number; readonly count: number }
  /** Time of the newest anchor; absent where there is none. */
  readonly anchoredAt?: string
  /** Thumbprints of the keys that signed. */
  readonly signedBy: readonly string[]
  readonly findings: readonly Finding[]
  /** What is no fault, and keeps the proof from reaching further. */
  readonly notes: readonly string[]
}

interface AnchoredPart {
  readonly session: string
  /** By number of entries, the hash that the chain has after them. */
  readonly hashes: Map<number, string>
  entries: number
  /** How many of them were in the store. */
  shipped: number
  /** The anchor that spoke of it last. */
  anchor: string
}

/** Checks recordings against their chains, seals and anchors, offline. */
export async function verifyRecordings(request: VerifyRequest): Promise<Verification> {
  const verifier = new Verifier(request)
  return await verifier.run()
}

class Verifier {
  readonly #request: VerifyRequest
  readonly #keys = new SigningKeys()
  readonly #signedBy = new Set<string>()
  readonly #anchored = new Map<string, AnchoredPart>()
  readonly #findings: Finding[] = []
  readonly #notes: string[] = []
  readonly #seen = new Set<string>()
  readonly #sessions = new Set<string>()
  readonly #unopened = new Set<string>()
  #anchors = { from: 0, to: -1, count: 0 }
  #anchoredAt: string | undefined
  #entries = 0
  #segments = 0

  constructor(request: VerifyRequest) {
    this.#request = request
  }

  async run(): Promise<Verification> {
    await this.#readKeys()
    await this.#readAnchors()
    await this.#checkSessions()
    this.#findMissing()
    return {
      sessions: this.#sessions.size,
      entries: this.#entries,
      segments: this.#segments,
      unopened: this.#unopened.size,
      anchors: this.#anchors,
      ...(this.#anchoredAt === undefined ? {} : { anchoredAt: this.#anchoredAt }),
      signedBy: [...this.#signedBy],
      findings: this.#findings,
      notes: this.#notes,
    }
  }

  async #readKeys(): Promise<void> {
    const { source } = this.#request
    for await (const where of source.list(storeKeys.publicKeys)) {
      const pem = await source.get(where)
      const id = pem === undefined ? undefined : this.#keys.add(Buffer.from(pem).toString())
      if (id === undefined) this.#find(where, 'this is no Ed25519 key')
      else if (where !== storeKeys.publicKey(id)) this.#find(where, `this is the key ${id}`)
    }
  }

  async #readAnchors(): Promise<void> {
    const { source } = this.#request
    let previous: string | undefined
    let expected: number | undefined
    for await (const where of source.list(storeKeys.anchors)) {
      const text = Buffer.from((await source.get(where)) ?? '').toString()
      const number = Number(/(\d+)\.jws$/u.exec(where)?.[1])
      if (expected === undefined) {
        this.#anchors.from = number
        if (number > 0) this.#notes.push(`The anchors begin with number ${number}.`)
      } else if (number > expected) {
        this.#find(where, `the anchors ${expected} to ${number - 1} are missing`)
        previous = undefined
      }
      this.#anchor(where, text, number, number === 0 ? '' : previous)
      previous = hash('sha256', text)
      expected = number + 1
      this.#anchors = { ...this.#anchors, to: number, count: this.#anchors.count + 1 }
    }
    if (expected === undefined)
      this.#notes.push('There is no anchor: whole sessions may be missing.')
  }

  #anchor(where: string, text: string, number: number, previous: string | undefined): void {
    try {
      const { key, fields } = this.#keys.open(text)
      this.#signedBy.add(key)
      if (fields.get('type') !== 'sallyport.anchor.1') throw new RangeError('this is no anchor')
      if (fields.get('number') !== number)
        throw new RangeError(`this is anchor ${String(fields.get('number'))}`)
      if (previous !== undefined && fields.get('previous') !== previous)
        this.#find(where, 'the anchor follows another one than the one here')
      this.#anchoredAt = String(fields.get('at'))
      const parts = fields.get('parts')
      for (const part of Array.isArray(parts) ? parts : []) this.#note(where, membersOf(part))
    } catch (error) {
      if (!(error instanceof RangeError)) throw error
      this.#find(where, error.message)
    }
  }

  #note(where: string, fields: ReadonlyMap<string, unknown>): void {
    const names = ['session', 'part', 'entries', 'shipped']
    const [session, part, entries, shipped] = names.map((name) => fields.get(name))
    if (typeof session !== 'string' || typeof part !== 'string')
      throw new RangeError('an anchor lacks a field')
    if (typeof entries !== 'number' || typeof shipped !== 'number')
      throw new RangeError('an anchor lacks a field')
    const name = `${session}/${part}`
    const known = this.#anchored.get(name)
    const now = known ?? newPart(session, where)
    now.hashes.set(entries, String(fields.get('head')))
    if (entries < now.entries) this.#find(where, `the chain of ${session} became shorter`)
    now.entries = entries
    now.shipped = shipped
    now.anchor = where
    this.#anchored.set(name, now)
  }

  async #checkSessions(): Promise<void> {
    const { source, idPrefix = '' } = this.#request
    let last: { session: string; part: string; segments: number } | undefined
    for await (const key of source.list(storeKeys.sessions(idPrefix))) {
      const parsed = parseSegmentKey(key)
      if (parsed === undefined) continue
      const { session, part, index } = parsed
      if (last !== undefined && (last.session !== session || last.part !== part))
        await this.#checkPart(last)
      last = { session, part, segments: index + 1 }
    }
    if (last !== undefined) await this.#checkPart(last)
  }

  async #checkPart(of: { session: string; part: string; segments: number }): Promise<void> {
    const { source, keyOf, onPart } = this.#request
    const name = `${of.session}/${of.part}`
    const anchored = this.#anchored.get(name)
    const where = storeKeys.sessions(name)
    const key = await keyOf(of.session)
    const reader = new PartReader(source, { ...of, key })
    const compare = (): void => {
      const { entries, head } = reader.summary
      const expected = anchored?.hashes.get(entries)
      if (expected !== undefined && expected !== head)
        this.#find(where, `the chain differs from its anchor after ${entries} entries`)
    }
    for await (const item of reader.read(of.segments)) {
      if (item.kind === 'finding') this.#findings.push(foundIn(item))
      else compare()
    }
    const part = reader.summary
    if (key === undefined) compare()
    this.#seen.add(name)
    this.#sessions.add(of.session)
    if (key === undefined) this.#unopened.add(of.session)
    this.#entries += part.entries
    this.#segments += part.segments
    if (anchored === undefined) this.#find(where, 'no anchor names this recording')
    else if (part.entries < anchored.shipped)
      this.#find(where, `it ends after ${part.entries} entries; ${anchored.shipped} were there`)
    else if (part.entries < anchored.entries)
      this.#notes.push(
        `${of.session} has entries ${part.entries} to ${anchored.entries - 1} not in the store yet.`,
      )
    await this.#checkSeal(part)
    onPart?.(part)
  }

  async #checkSeal(part: PartSummary): Promise<void> {
    const where = storeKeys.seal(part.session)
    const text = await this.#request.source.get(where)
    if (text === undefined) {
      if (part.isClosed) this.#find(where, 'the session has ended, and its seal is missing')
      return
    }
    try {
      const { key, fields } = this.#keys.open(Buffer.from(text).toString())
      this.#signedBy.add(key)
      if (fields.get('type') !== 'sallyport.seal.1' || fields.get('session') !== part.session)
        throw new RangeError('this is the seal of something else')
      const parts = fields.get('parts')
      const all = (Array.isArray(parts) ? parts : []).map(membersOf)
      const sealed = all.find((each) => each.get('part') === part.part)
      if (sealed === undefined) throw new RangeError(`the seal does not name part ${part.part}`)
      for (const name of ['entries', 'head', 'segments', 'bytes', 'last'] as const)
        if (sealed.get(name) !== part[name])
          throw new RangeError(
            `the seal says ${name} ${String(sealed.get(name))}; here it is ${part[name]}`,
          )
    } catch (error) {
      if (!(error instanceof RangeError)) throw error
      this.#find(where, error.message)
    }
  }

  #findMissing(): void {
    const { idPrefix = '', only } = this.#request
    let others = 0
    for (const [name, { session, shipped, anchor }] of this.#anchored) {
      if (this.#seen.has(name) || !session.startsWith(idPrefix)) continue
      if (only !== undefined && !only.has(session)) others += 1
      else if (shipped > 0) this.#find(anchor, `it names ${session}, whose recording is missing`)
      else this.#notes.push(`${session} has nothing in the store yet.`)
    }
    for (const session of only ?? [])
      if (!this.#sessions.has(session))
        this.#find(storeKeys.sessions(session), 'the recording is missing')
    if (others > 0) this.#notes.push(`The anchors name ${others} other sessions, not part of this.`)
  }

  #find(where: string, what: string): void {
    this.#findings.push({ where, what })
  }
}

function newPart(session: string, anchor: string): AnchoredPart {
  return { session, hashes: new Map(), entries: 0, shipped: 0, anchor }
}

function foundIn({ where, what, offset }: Finding): Finding {
  return { where, what, ...(offset === undefined ? {} : { offset }) }
}

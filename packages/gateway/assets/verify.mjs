#!/usr/bin/env node
// Made by `npm run build:verify` from the sources of Sallyport (Apache-2.0). Checks the export that it lies in: node verify.mjs
import { Buffer } from 'node:buffer'
import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createPublicKey,
  createSecretKey,
  hash,
  hkdfSync,
  randomBytes,
  timingSafeEqual,
  verify,
} from 'node:crypto'
import { constants as fileConstants } from 'node:fs'
import { open, readdir } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { constants, crc32, zstdCompress, zstdDecompress } from 'node:zlib'

// packages/core/src/recording/signed.ts
const core_src_recording_signed_ts = (() => {
  /** The public keys that stand beside recordings, by their thumbprints (RFC 7638). */
  class SigningKeys {
    #keys = new Map()

    /** Adds a key in PEM, and returns its thumbprint; undefined where it is no Ed25519 key, or is written in another way. */
    add(pem) {
      let key
      try {
        key = createPublicKey(pem)
      } catch {
        return undefined
      }
      if (key.export({ type: 'spki', format: 'pem' }) !== pem) return undefined
      const id = thumbprintOf(key)
      if (id !== undefined) this.#keys.set(id, key)
      return id
    }

    /** The payload of a compact JWS (RFC 7515) that one of these keys signed. Throws a RangeError that says what is wrong. */
    open(jws) {
      const [head, body, signature, ...rest] = jws.split('.')
      if (head === undefined || body === undefined || signature === undefined || rest.length > 0)
        throw new RangeError('it is not signed')
      const signed = Buffer.from(signature, 'base64url')
      // Other characters can stand for the same bytes; then it is not what was written.
      if (signed.toString('base64url') !== signature)
        throw new RangeError('its signature is changed')
      const header = fieldsOf(Buffer.from(head, 'base64url').toString())
      const id = header.get('kid')
      if (header.get('alg') !== 'EdDSA' || typeof id !== 'string')
        throw new RangeError('it is signed in a way that is not known')
      const key = this.#keys.get(id)
      if (key === undefined) throw new RangeError(`the key ${id} that signed it is not here`)
      if (!verify(undefined, Buffer.from(`${head}.${body}`), key, signed))
        throw new RangeError('its signature is wrong')
      return { key: id, fields: fieldsOf(Buffer.from(body, 'base64url').toString()) }
    }
  }

  /** The thumbprint (RFC 7638) of an Ed25519 key in PEM, public or private; undefined where it is none. */
  function thumbprint(pem) {
    try {
      return thumbprintOf(createPublicKey(pem))
    } catch {
      return undefined
    }
  }

  function thumbprintOf(key) {
    const { kty, crv, x } = key.export({ format: 'jwk' })
    if (key.asymmetricKeyType !== 'ed25519' || kty === undefined || crv === undefined)
      return undefined
    // The members that RFC 8037 requires, in the order that RFC 7638 asks for.
    return hash('sha256', JSON.stringify({ crv, kty, x }), 'base64url')
  }

  /** What was signed, and by which key. */

  /** The members of a JSON object. Throws a RangeError where the text is none. */
  function fieldsOf(json) {
    let value
    try {
      value = JSON.parse(json)
    } catch (cause) {
      throw new RangeError('it is no JSON', { cause })
    }
    return membersOf(value)
  }

  function membersOf(value) {
    if (typeof value !== 'object' || value === null) throw new RangeError('it is no JSON object')
    return new Map(Object.entries(value))
  }

  return { SigningKeys, thumbprint, fieldsOf, membersOf }
})()

// packages/core/src/recording/ledger-extract.ts
const core_src_recording_ledger_extract_ts = (() => {
  const { fieldsOf } = core_src_recording_signed_ts
  const { membersOf } = core_src_recording_signed_ts

  /** Where an archive has facts of ledgers: one JSON object a line. */
  const extractName = 'ledger.jsonl'
  /** What the node signed of them. */
  const extractSealName = 'ledger.jws'

  /** A ledger that facts were taken from, as far as it had been verified then. */

  /** What the node says of an extract. */

  /** What was found out of an extract. */

  /** What an extract is checked against. */

  /** Checks the facts of an archive by what the node signed of them; undefined where there are none. */
  async function checkExtract(check) {
    const [lines, seal] = [
      await check.source.get(extractName),
      await check.source.get(extractSealName),
    ]
    if (lines === undefined && seal === undefined) return undefined
    if (lines === undefined)
      return { where: extractName, what: 'the facts that were signed are missing' }
    if (seal === undefined)
      return { where: extractName, what: 'nothing that is signed speaks of it' }
    try {
      return read(Buffer.from(lines), Buffer.from(seal).toString(), check)
    } catch (error) {
      if (!(error instanceof RangeError)) throw error
      return { where: extractName, what: error.message }
    }
  }

  function read(lines, seal, { keys, trusted, sessions, anchored }) {
    const { key, fields } = keys.open(seal)
    if (!trusted.trusts(key))
      throw new RangeError(
        `${key} signed it, and nothing leads there from ${trusted.roots.join(' or ')}`,
      )
    if (fields.get('type') !== 'sallyport.extract.1')
      throw new RangeError(`${extractSealName} signs something else`)
    if (fields.get('sha256') !== hash('sha256', lines))
      throw new RangeError('it was changed since it was signed')
    const of = new Set(listOf(fields.get('sessions')).map(String))
    if (of.size !== sessions.size || [...of].some((session) => !sessions.has(session)))
      throw new RangeError('it was made for other recordings than the ones here')
    const ledgers = new Map(
      listOf(fields.get('ledgers')).map((each) => ledgerOf(membersOf(each), anchored)),
    )
    const text = lines.toString()
    const facts = text === '' ? [] : text.trimEnd().split('\n')
    if (fields.get('facts') !== facts.length)
      throw new RangeError(
        `it has ${facts.length} facts, and ${String(fields.get('facts'))} were signed`,
      )
    for (const line of facts) {
      const fact = fieldsOf(line)
      const entries = ledgers.get(`${String(fact.get('ledger'))}/${String(fact.get('part'))}`) ?? 0
      const position = fact.get('position')
      if (typeof position !== 'number' || position >= entries)
        throw new RangeError('a fact is of a ledger, or of a place in one, that was not verified')
    }
    return {
      facts: facts.length,
      ledgers: ledgers.size,
      at: String(fields.get('at')),
      signedBy: key,
    }
  }

  /** Where an anchor here speaks of the same ledger, the two say the same. */
  function ledgerOf(fields, anchored) {
    const name = `${String(fields.get('session'))}/${String(fields.get('part'))}`
    const entries = Number(fields.get('entries'))
    const head = anchored.get(name)?.hashes.get(entries) ?? fields.get('head')
    if (head !== fields.get('head'))
      throw new RangeError(`an anchor names another hash of ${name} after ${entries} entries`)
    return [name, entries]
  }

  function listOf(value) {
    return Array.isArray(value) ? value : []
  }

  return { extractName, extractSealName, checkExtract }
})()

// packages/core/src/recording/tell-verification.ts
const core_src_recording_tell_verification_ts = (() => {
  const { extractName } = core_src_recording_ledger_extract_ts

  /** Findings beyond this are counted: a store that lost its keys has one for each object. */
  const findingsMax = 20

  /** Names of files may be anyone's, and must not steer the terminal of whoever reads this. */
  const steering = /[\p{Cc}\p{Bidi_Control}\p{Zl}\p{Zp}]/gu

  /** What a verification found, in words for people: lines that are safe to print. */
  function tellVerification(result) {
    return tell(result).map((line) => line.replaceAll(steering, '\ufffd'))
  }

  function tell(result) {
    const { sessions, ledgers, entries, segments, unopened, anchors, findings, notes, signedBy } =
      result
    const { trusted } = result
    const lines = []
    const recorded = sessions + ledgers
    if (recorded === 0 && anchors.count === 0 && findings.length === 0)
      return ['  Nothing is recorded here.']
    const beside = ledgers === 0 ? '' : ` and ${ledgers} ${ledgers === 1 ? 'ledger' : 'ledgers'}`
    const count = `${sessions} ${sessions === 1 ? 'recording' : 'recordings'}${beside}, ${entries} entries in ${segments} ${segments === 1 ? 'segment' : 'segments'}`
    const keys = signedBy.length === 0 ? 'nothing is signed' : `signed by ${signedBy.join(' and ')}`
    if (findings.length === 0) lines.push(`✓ ${count}, ${keys}`)
    else {
      lines.push(`✕ ${findings.length} found in ${count}`)
      for (const { where, what, offset } of findings.slice(0, findingsMax))
        lines.push(`  ${where}${offset === undefined ? '' : ` at byte ${offset}`}: ${what}`)
      if (findings.length > findingsMax) lines.push(`  and ${findings.length - findingsMax} more`)
    }
    if (anchors.count > 0)
      lines.push(
        `  Anchors ${anchors.from} to ${anchors.to}, the newest of ${result.anchoredAt ?? '?'}.`,
      )
    if (result.extract !== undefined)
      lines.push(
        `  ${extractName}: ${result.extract.facts} facts of ${result.extract.ledgers} ${result.extract.ledgers === 1 ? 'ledger' : 'ledgers'}, as ${result.extract.signedBy} signed them at ${result.extract.at}. It does not prove that no other fact belongs there.`,
      )
    for (const { where, from, to, same } of result.copies)
      if (same > 0 && same === to - from + 1)
        lines.push(`  Anchors ${from} to ${to} are the same in ${where}.`)
      else if (same > 0) lines.push(`  ${same} anchors are the same in ${where}.`)
    if (trusted.keys.length > 0)
      lines.push(
        trusted.isExpected
          ? `  Trusted: ${trusted.keys.join(' and ')}, as expected, and what changes of keys link to it.`
          : `  Trusted: ${trusted.keys.join(' and ')}, only since it signed first. Compare it with what the gateway's "keys" prints, or say --signed-by.`,
      )
    if (unopened > 0)
      lines.push(
        `  ${unopened} were not opened, since their keys are not here: only places, lengths and signatures were checked.`,
      )
    for (const note of notes) lines.push(`  ${note}`)
    if (findings.length > 0 || recorded === 0) return lines
    const which = unopened > 0 ? ', of the recordings that were opened' : ''
    lines.push(
      `  Proves${which}: nothing was changed since it was signed, and nothing is missing in between.`,
      `  Does not prove: that the gateway wrote the truth${trusted.isExpected ? '' : ', that these keys are its own'}, or anything after the newest anchor.`,
    )
    return lines
  }

  return { tellVerification }
})()

// packages/core/src/ids.ts
const core_src_ids_ts = (() => {
  /** Lower-case Crockford base32: no i, l, o, u. */
  const alphabet = '0123456789abcdefghjkmnpqrstvwxyz'

  /** Behind the prefix of an id; each has five random bits. */
  const idCharacters = 13

  /** The letter of an id that a random byte stands for, as its code in ASCII. */
  function idLetter(byte) {
    return alphabet.charCodeAt(byte & 31)
  }

  /** Makes `<prefix>_` plus 13 characters (65 random bits) from `random`, which must return that many bytes. */
  function makeId(prefix, random) {
    const letters = Array.from(random(idCharacters), idLetter)
    return `${prefix}_${String.fromCharCode(...letters)}`
  }

  /** True of the id of a ledger, which is recorded as sessions are. */
  function isLedgerId(session) {
    return session.startsWith('l_')
  }

  return { idCharacters, idLetter, makeId, isLedgerId }
})()

// packages/core/src/recording/store-keys.ts
const core_src_recording_store_keys_ts = (() => {
  /** What stands where in a recording store. */
  const storeKeys = {
    /** The session's key, sealed by the recording key. Removing it erases the recording. */
    sessionKey: (session) => `keys/${session}.key`,
    sessions: (idPrefix) => `sessions/${idPrefix}`,
    segment: (session, part, index) =>
      `sessions/${session}/${part}/${String(index).padStart(8, '0')}.segment`,
    /** What the node says of a session that is whole. */
    seal: (session) => `sessions/${session}/seal.jws`,
    anchors: 'anchors/',
    anchor: (number) => `anchors/${String(number).padStart(10, '0')}.jws`,
    publicKeys: 'signing-keys/',
    publicKey: (id) => `signing-keys/${id}.pem`,
    keyChanges: 'key-changes/',
    /** What the key before this one, and this one, have signed of it. */
    keyChange: (id) => `key-changes/${id}.jws`,
  }

  /** What the key of a segment says; undefined for other keys, and for names of one that only look alike. */
  function parseSegmentKey(key) {
    const match = /^sessions\/([^/]+)\/([^/]+)\/(\d+)\.segment$/u.exec(key)
    const [, session, part, index] = match ?? []
    if (session === undefined || part === undefined) return undefined
    const parsed = { session, part, index: Number(index) }
    return storeKeys.segment(session, part, parsed.index) === key ? parsed : undefined
  }

  return { storeKeys, parseSegmentKey }
})()

// packages/core/src/recording/anchor-reader.ts
const core_src_recording_anchor_reader_ts = (() => {
  const { membersOf } = core_src_recording_signed_ts
  const { storeKeys } = core_src_recording_store_keys_ts

  /** What anchors say of one part. */

  /** Reads all anchors of a store, and checks their names, signatures, numbers and order. */
  class AnchorReader {
    /** By `SESSION/PART`. */
    parts = new Map()
    findings = []
    notes = []
    signedBy = new Set()
    range = { from: 0, to: -1, count: 0 }
    /** Time of the newest. */
    at
    #keys
    #trusted

    constructor(keys, trusted) {
      this.#keys = keys
      this.#trusted = trusted
    }

    /** `isAll` says that the first anchor ever must be there: only an export begins later. */
    async read(source, isAll) {
      let previous
      let expected
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

    #begin(where, number, isAll) {
      this.range.from = number
      if (number === 0) return
      if (isAll) this.#find(where, `the anchors 0 to ${number - 1} are missing`)
      else this.notes.push(`The anchors begin with number ${number}.`)
    }

    /** Returns what the next anchor names this one by. */
    async #one(source, where, number, previous) {
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

    #check(where, text, number, previous) {
      let found
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
    #signed(where, key, number) {
      const wrong = this.#trusted.signs(key, number)
      if (wrong !== undefined) this.#find(where, wrong)
      this.signedBy.add(key)
    }

    #note(where, fields) {
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

    #find(where, what) {
      this.findings.push({ where, what })
    }
  }

  function newPart(session, anchor) {
    return { session, hashes: new Map(), entries: 0, shipped: 0, anchor }
  }

  return { AnchorReader }
})()

// packages/core/src/recording/compare-anchors.ts
const core_src_recording_compare_anchors_ts = (() => {
  const { SigningKeys } = core_src_recording_signed_ts
  const { storeKeys } = core_src_recording_store_keys_ts

  /** Anchors that were published elsewhere. */

  /** What copies of anchors say of the store beside them. */

  /**
   * Holds a store against copies of its anchors, which whoever can write the store could not change. Only those that `isExpected`
   * says are missed here.
   */
  async function compareAnchors(store, copy, trusted, isExpected) {
    const findings = []
    const keys = new SigningKeys()
    for (const source of [store, copy.source])
      for await (const key of source.list(storeKeys.publicKeys)) {
        const pem = await readable(source, key)
        if (pem !== undefined) keys.add(Buffer.from(pem).toString())
      }
    let [from, to, same] = [-1, -1, 0]
    for await (const key of copy.source.list(storeKeys.anchors)) {
      const number = Number(/(\d+)\.jws$/u.exec(key)?.[1])
      if (key !== storeKeys.anchor(number)) continue
      if (from < 0) from = number
      to = number
      const there = await readable(copy.source, key)
      const wrong = wrongWith(there, number, keys, trusted)
      if (wrong !== undefined)
        findings.push({ where: key, what: `of its copy in ${copy.where}: ${wrong}` })
      const here = await readable(store, key)
      if (here === undefined) {
        if (isExpected(number))
          findings.push({ where: key, what: `it is missing here, and stands in ${copy.where}` })
      } else if (there !== undefined && Buffer.compare(here, there) === 0) same += 1
      else findings.push({ where: key, what: `it is another one than its copy in ${copy.where}` })
    }
    if (from < 0) findings.push({ where: copy.where, what: 'it holds no anchors to compare with' })
    return { where: copy.where, from, to, same, findings }
  }

  function wrongWith(bytes, number, keys, trusted) {
    try {
      const { key, fields } = keys.open(Buffer.from(bytes ?? '').toString())
      if (fields.get('type') !== 'sallyport.anchor.1' || fields.get('number') !== number)
        return 'this is not that anchor'
      if (!trusted.trusts(key))
        return `${key} signed it, and nothing leads there from ${trusted.roots.join(' or ')}`
      return undefined
    } catch (error) {
      if (error instanceof RangeError) return error.message
      throw error
    }
  }

  async function readable(source, key) {
    try {
      return await source.get(key)
    } catch (error) {
      if (error instanceof RangeError) return undefined
      throw error
    }
  }

  return { compareAnchors }
})()

// packages/core/src/recording/erased-sessions.ts
const core_src_recording_erased_sessions_ts = (() => {
  const { membersOf } = core_src_recording_signed_ts

  /** A recording that was erased, as a ledger says. */

  /** The name of the fact that stands where a recording was. */
  const erasedFact = 'retention.erased'

  /** Reads a tombstone; undefined where it is none, or says too little. */
  function readErased(fact, atMs) {
    if (fact.what !== erasedFact) return undefined
    let detail
    try {
      detail = membersOf(JSON.parse(fact.detail))
    } catch {
      return undefined
    }
    const listed = detail.get('parts')
    const parts = new Map()
    for (const line of Array.isArray(listed) ? listed : []) {
      const [part = '', entries, head = ''] = String(line).split(' ')
      parts.set(part, { entries: Number(entries), head })
    }
    return { session: fact.subject, atMs, why: String(detail.get('why')), parts }
  }

  /** What is wrong with a tombstone by what was anchored of one part; undefined where it fits. */
  function misfit(erased, part, anchored) {
    const { session } = erased
    const told = erased.parts.get(part)
    if (told === undefined)
      return `the ledger says that ${session} was erased, and not of part ${part}`
    const { entries, hashes } = anchored
    if (told.entries === entries && hashes.get(entries) === told.head) return undefined
    return `the ledger says that ${session} was erased after ${told.entries} entries; here are ${entries}, or others`
  }

  return { erasedFact, readErased, misfit }
})()

// packages/core/src/recording/key-changes.ts
const core_src_recording_key_changes_ts = (() => {
  /** A node's signing key was followed by another one. Both have signed it, so that who trusts one may trust the other. */

  /**
   * Reads a change: two compact JWS of the same payload, that of the old key and that of the new one, with a newline between
   * them. Throws a RangeError that says what is wrong.
   */
  function openKeyChange(text, keys) {
    const [old, next, ...rest] = text.split('\n')
    if (old === undefined || next === undefined || rest.length > 0)
      throw new RangeError('this is no change of a key')
    const { key, fields } = keys.open(old)
    const other = keys.open(next)
    if (old.split('.')[1] !== next.split('.')[1])
      throw new RangeError('the two keys have signed different things')
    const [type, from, to] = ['type', 'from', 'to'].map((name) => fields.get(name))
    const anchor = fields.get('anchor')
    if (type !== 'sallyport.key.1' || from !== key || to !== other.key || key === other.key)
      throw new RangeError('this is no change between the keys that signed it')
    if (typeof anchor !== 'number' || !Number.isSafeInteger(anchor) || anchor < 0)
      throw new RangeError('it does not say from which anchor on')
    return { from: key, to: other.key, anchor, at: String(fields.get('at')) }
  }

  /** Who may sign: the keys that changes link to those that are expected, and when each of them may. */
  class TrustedKeys {
    /** Each key has at most one that follows it. */
    #next = new Map()
    /** Where none is expected, that of the first anchor is taken. */
    #expected
    #first
    #current

    constructor(expected) {
      this.#expected = new Set(expected)
    }

    /** The keys that others are trusted by. */
    get roots() {
      if (this.#expected.size > 0) return [...this.#expected]
      return this.#first === undefined ? [] : [this.#first]
    }

    get changes() {
      return this.#next.values()
    }

    /** Throws a RangeError where the old key has said the same of another one: one of them was not its owner. */
    add(change) {
      const other = this.#next.get(change.from)
      if (other !== undefined)
        throw new RangeError(`${change.from} was followed by ${other.to}, and here by ${change.to}`)
      this.#next.set(change.from, change)
    }

    /** What is wrong with the key of this anchor, which comes behind those that were asked for before; undefined where nothing is. */
    signs(key, anchor) {
      const before = this.#current
      this.#first ??= key
      this.#current = key
      if (!this.trusts(key))
        return `${key} signs it, and nothing leads there from ${this.roots.join(' or ')}`
      const left = this.#next.get(key)
      if (left !== undefined && left.anchor <= anchor)
        return `${key} signs it, which was followed by ${left.to} from anchor ${left.anchor} on`
      if (before === undefined || before === key) return undefined
      const change = this.#next.get(before)
      if (change?.to === key) {
        const { anchor: first } = change
        return first === anchor ? undefined : `${key} signs from here on, and not from ${first}`
      }
      // Who expects both has said it for the key that did not.
      if (this.#expected.has(before) && this.#expected.has(key)) return undefined
      return `${key} signs instead of ${before}, which has not said so`
    }

    /** True where changes link a key to one that is expected, or else to that of the first anchor. */
    trusts(key) {
      const known = new Set(this.roots)
      if (known.size === 0) return true
      for (let size = 0; size !== known.size;) {
        size = known.size
        for (const { from, to } of this.#next.values()) {
          if (known.has(from)) known.add(to)
          else if (known.has(to)) known.add(from)
        }
      }
      return known.has(key)
    }
  }

  return { openKeyChange, TrustedKeys }
})()

// packages/core/src/entry/entry-chain.ts
const core_src_entry_entry_chain_ts = (() => {
  /** Length of a chain hash, in bytes. */
  const HASH_BYTES = 32
  /** Block length of SHA-256: an HMAC key is padded to it. */
  const BLOCK_BYTES = 64
  /** What is hashed before a body: the inner pad and the previous hash. */
  const PREFIX_BYTES = BLOCK_BYTES + HASH_BYTES

  /**
   * The hash chain of one session: `h = HMAC-SHA-256(session key, previous h ‖ body)`, from 32 zero bytes.
   *
   * The HMAC is written out over one-shot hashes (RFC 2104), since these cost 1 µs where `createHmac` costs 2.5 µs;
   * a digest as a latin-1 string saves the allocation of two buffers. A test compares both.
   */
  class EntryChain {
    #inner = Buffer.alloc(PREFIX_BYTES, 0x36)
    #outer = Buffer.alloc(PREFIX_BYTES, 0x5c)
    #saved = Buffer.alloc(PREFIX_BYTES)
    #length

    /** `head` and `length` continue a chain that was begun elsewhere. `key` has 32 bytes. */
    constructor(key, head = new Uint8Array(HASH_BYTES), length = 0) {
      if (key.length !== HASH_BYTES) throw new RangeError('a chain key has 32 bytes')
      padWith(key, this.#inner, this.#outer)
      this.#inner.set(head, BLOCK_BYTES)
      this.#length = length
    }

    /** Number of entries in the chain: the position of the next one. */
    get length() {
      return this.#length
    }

    /** A copy of the newest hash. */
    get head() {
      return Buffer.from(this.#inner.subarray(BLOCK_BYTES))
    }

    /**
     * Appends the body that stands in `bytes` from `start` to `end`, and writes its hash to `end`.
     * `start` is at least 96: these bytes are borrowed and put back, so that no body is copied.
     */
    seal(bytes, start, end) {
      const from = start - PREFIX_BYTES
      bytes.copy(this.#saved, 0, from, start)
      this.#inner.copy(bytes, from)
      const inner = hash('sha256', bytes.subarray(from, end), 'binary')
      this.#saved.copy(bytes, from)
      this.#outer.write(inner, BLOCK_BYTES, HASH_BYTES, 'latin1')
      const sealed = hash('sha256', this.#outer, 'binary')
      bytes.write(sealed, end, HASH_BYTES, 'latin1')
      this.#inner.write(sealed, BLOCK_BYTES, HASH_BYTES, 'latin1')
      this.#length += 1
    }
  }

  /** Bodies up to this length are copied to be hashed; larger ones are rare, and go to `createHmac`. */
  const COPIED_BYTES_MAX = 16 * 1024
  const copied = Buffer.alloc(PREFIX_BYTES + COPIED_BYTES_MAX)

  /** Checks a chain that someone else wrote, entry by entry. */
  class ChainVerifier {
    /** An object: given as bytes, a key is made anew for every entry, which takes five times as long as the hash. */
    #key
    /** The inner pad and the previous hash; see `EntryChain` for why the HMAC is written out. */
    #inner = Buffer.alloc(PREFIX_BYTES, 0x36)
    #outer = Buffer.alloc(PREFIX_BYTES, 0x5c)
    #length

    /** `head` and `length` go on behind what was checked before. */
    constructor(key, head = new Uint8Array(HASH_BYTES), length = 0) {
      this.#key = createSecretKey(key)
      padWith(key, this.#inner, this.#outer)
      this.#inner.set(head, BLOCK_BYTES)
      this.#length = length
    }

    /** True when the entry is the next of the chain and its hash is right. After one failure nothing is accepted. */
    accept(record) {
      if (record.position !== this.#length) return this.#refuse()
      const expected = this.#hashOf(record.body)
      if (!timingSafeEqual(expected, record.hash)) return this.#refuse()
      this.#inner.set(expected, BLOCK_BYTES)
      this.#length += 1
      return true
    }

    #hashOf(body) {
      if (body.length > COPIED_BYTES_MAX) {
        const head = this.#inner.subarray(BLOCK_BYTES)
        return createHmac('sha256', this.#key).update(head).update(body).digest()
      }
      copied.set(this.#inner)
      copied.set(body, PREFIX_BYTES)
      const whole = copied.subarray(0, PREFIX_BYTES + body.length)
      this.#outer.write(hash('sha256', whole, 'binary'), BLOCK_BYTES, HASH_BYTES, 'latin1')
      return hash('sha256', this.#outer, 'buffer')
    }

    #refuse() {
      this.#length = Number.NaN
      return false
    }
  }

  /** The pads of RFC 2104 for this key. */
  function padWith(key, inner, outer) {
    for (const [index, byte] of key.entries()) {
      inner[index] = 0x36 ^ byte
      outer[index] = 0x5c ^ byte
    }
  }

  return { HASH_BYTES, EntryChain, ChainVerifier }
})()

// packages/core/src/entry/byte-reader.ts
const core_src_entry_byte_reader_ts = (() => {
  /** Reads what ByteWriter wrote. Every read beyond the end throws a RangeError. */
  class ByteReader {
    #bytes
    #at
    #end

    constructor(bytes, start, end) {
      this.#bytes = bytes
      this.#at = start
      this.#end = end
    }

    get done() {
      return this.#at === this.#end
    }

    u8() {
      return this.#bytes.readUInt8(this.#take(1))
    }

    u32() {
      return this.#bytes.readUInt32LE(this.#take(4))
    }

    f64() {
      return this.#bytes.readDoubleLE(this.#take(8))
    }

    count() {
      let value = 0
      let scale = 1
      for (let index = 0; index < 8; index += 1) {
        const byte = this.u8()
        value += (byte & 127) * scale
        if (byte < 128) return value
        scale *= 128
      }
      throw new RangeError('a count has more than eight bytes')
    }

    text() {
      const length = this.count()
      const start = this.#take(length)
      return this.#bytes.toString('utf8', start, start + length)
    }

    /** A copy, so that the window the bytes came from can be used again. */
    blob() {
      const length = this.count()
      const start = this.#take(length)
      return Buffer.from(this.#bytes.subarray(start, start + length))
    }

    list(read) {
      const length = this.count()
      // Every element takes a byte at least; a count beyond that is damage, and must not allocate.
      if (length > this.#end - this.#at) throw new RangeError('a list is longer than its entry')
      const items = []
      for (let index = 0; index < length; index += 1) items.push(read())
      return items
    }

    oneOf(values) {
      const value = values[this.u8()]
      if (value === undefined) throw new RangeError('a value is not one of its list')
      return value
    }

    #take(length) {
      const start = this.#at
      if (length > this.#end - start) throw new RangeError('a field ends beyond its entry')
      this.#at = start + length
      return start
    }
  }

  return { ByteReader }
})()

// packages/core/src/entry/entry.ts
const core_src_entry_entry_ts = (() => {
  /** How a command stood on the wire: a simple query, a parse, an execution, a function call, or a copy that runs. */
  const COMMAND_UNITS = ['query', 'parse', 'execute', 'function', 'copy']

  /** How the answer to a command ended. */
  const RESPONSE_STATUSES = ['complete', 'error', 'suspended', 'skipped', 'aborted']

  /** A session began. Always the first entry of its chain; it carries the session's key, wrapped by the recording key. */

  /** A command was judged. It stands in the journal before anything of it is forwarded. */

  /** Where the facts of a command stand: two `facts` entries before it, by number, and what changes with every command. */

  /** Facts that many commands share stand once. Of a session: who asks for what, and from where. Of effects: what a text does. */

  const FACTS_ABOUT = ['session', 'effects']

  /** Bytes of an answer, as the caller saw them. */

  /** The answer to a command is over. */

  /** Values of an answer were masked by a rule. */

  /** Where the values of an answer come from, and what masked columns decided about it: a line for each. */

  /** Copy data that went from the caller to the target. */

  /** A command was not forwarded. */

  /** A command waits for an approval. */

  /** How a request for an approval ended. Only `approved` lets its command go on. */
  const HOLD_OUTCOMES = ['approved', 'denied', 'expired', 'withdrawn', 'pending']

  /** A command that was held goes on, or does not. */

  /** The caller asked to cancel the command; 0 where none ran. */

  /** Something that belongs to the session as a whole. */

  /** A session ended. Always the last entry of its chain. */

  /** Who brings about what a fact tells of. */
  const FACT_ACTORS = ['gateway', 'owner', 'principal', 'agent', 'nobody']

  /** Something that happened in the control plane. It stands in a ledger and nowhere else. */

  /** One fact about a session, in order. */

  /** The type byte of an entry is its index here. Only append: the numbers stand in files. */
  const ENTRY_KINDS = [
    'session.opened',
    'command',
    'response.data',
    'response.end',
    'masked',
    'copy.data',
    'refused',
    'cancelled',
    'notice',
    'session.closed',
    'lineage',
    'fact',
    'held',
    'answered',
    'facts',
  ]

  return { COMMAND_UNITS, RESPONSE_STATUSES, FACTS_ABOUT, HOLD_OUTCOMES, FACT_ACTORS, ENTRY_KINDS }
})()

// packages/core/src/entry/entry-fields.ts
const core_src_entry_entry_fields_ts = (() => {
  const { COMMAND_UNITS } = core_src_entry_entry_ts
  const { FACT_ACTORS } = core_src_entry_entry_ts
  const { HOLD_OUTCOMES } = core_src_entry_entry_ts
  const { FACTS_ABOUT } = core_src_entry_entry_ts
  const { RESPONSE_STATUSES } = core_src_entry_entry_ts

  const noBytes = new Uint8Array()
  const VERDICT_EFFECTS = ['allow', 'approve', 'block']

  /** Writes the fields of an entry, without its kind. */
  function writeFields(out, entry) {
    switch (entry.kind) {
      case 'session.opened':
        return writeOpened(out, entry)
      case 'command':
        return writeCommand(out, entry)
      case 'response.data':
      case 'copy.data':
        out.count(entry.seq)
        return out.blob(entry.bytes)
      case 'response.end':
        return writeResponseEnd(out, entry)
      case 'masked':
        out.count(entry.seq)
        out.text(entry.rule)
        return out.count(entry.values)
      case 'refused':
        out.count(entry.seq)
        out.text(entry.code)
        return out.text(entry.message)
      case 'lineage':
        out.count(entry.seq)
        return out.text(entry.text)
      case 'cancelled':
        return out.count(entry.seq)
      case 'notice':
        return out.text(entry.text)
      case 'held':
        out.count(entry.seq)
        out.text(entry.approval)
        out.text(entry.wants)
        return out.count(entry.untilMs)
      case 'answered':
        return writeAnswered(out, entry)
      case 'session.closed':
        out.text(entry.reason)
        out.count(entry.commands)
        out.count(entry.blocked)
        return out.count(entry.maskedValues)
      case 'fact':
        return writeFact(out, entry)
      case 'facts':
        out.count(entry.number)
        out.u8(FACTS_ABOUT.indexOf(entry.about))
        return out.text(entry.json)
    }
  }

  /** Reads the fields that `writeFields` wrote for an entry of this kind. Throws a RangeError on anything else. */
  function readFields(from, kind) {
    switch (kind) {
      case 'session.opened':
        return readOpened(from)
      case 'command':
        return readCommand(from)
      case 'response.data':
      case 'copy.data':
        return { kind, seq: from.count(), bytes: from.blob() }
      case 'response.end':
        return readResponseEnd(from)
      case 'masked':
        return { kind, seq: from.count(), rule: from.text(), values: from.count() }
      case 'refused':
        // The cast trusts the writer: the chain hash, not this function, proves who wrote it.
        return { kind, seq: from.count(), code: from.text(), message: from.text() }
      case 'lineage':
        return { kind, seq: from.count(), text: from.text() }
      case 'cancelled':
        return { kind, seq: from.count() }
      case 'notice':
        return { kind, text: from.text() }
      case 'held':
        return {
          kind,
          seq: from.count(),
          approval: from.text(),
          wants: from.text(),
          untilMs: from.count(),
        }
      case 'answered':
        return {
          kind,
          seq: from.count(),
          approval: from.text(),
          outcome: from.oneOf(HOLD_OUTCOMES),
          by: from.list(() => from.text()),
          note: from.text(),
        }
      case 'session.closed':
        return {
          kind,
          reason: from.text(),
          commands: from.count(),
          blocked: from.count(),
          maskedValues: from.count(),
        }
      case 'fact':
        return readFact(from)
      case 'facts':
        return { kind, number: from.count(), about: from.oneOf(FACTS_ABOUT), json: from.text() }
    }
  }

  function writeAnswered(out, entry) {
    out.count(entry.seq)
    out.text(entry.approval)
    out.u8(HOLD_OUTCOMES.indexOf(entry.outcome))
    out.count(entry.by.length)
    for (const name of entry.by) out.text(name)
    out.text(entry.note)
  }

  function writeOpened(out, entry) {
    out.text(entry.session)
    out.count(entry.worker)
    out.text(entry.connection)
    out.text(entry.database)
    out.text(entry.credential)
    writeChain(out, entry.chain)
    out.count(entry.level)
    out.text(entry.application)
    out.text(entry.source)
    out.u8(entry.tls ? 1 : 0)
    out.blob(entry.wrappedKey)
  }

  function readOpened(from) {
    return {
      kind: 'session.opened',
      session: from.text(),
      worker: from.count(),
      connection: from.text(),
      database: from.text(),
      credential: from.text(),
      chain: readChain(from),
      level: from.count(),
      application: from.text(),
      source: from.text(),
      tls: from.oneOf([false, true]),
      wrappedKey: from.blob(),
    }
  }

  function writeChain(out, chain) {
    out.count(chain.length)
    for (const agent of chain) {
      out.text(agent.id)
      out.text(agent.name)
    }
  }

  function readChain(from) {
    return from.list(() => ({ id: from.text(), name: from.text() }))
  }

  function writeFact(out, entry) {
    out.text(entry.what)
    out.u8(FACT_ACTORS.indexOf(entry.by))
    out.text(entry.actor)
    writeChain(out, entry.chain)
    out.text(entry.subject)
    out.text(entry.source)
    out.text(entry.detail)
  }

  function readFact(from) {
    return {
      kind: 'fact',
      what: from.text(),
      by: from.oneOf(FACT_ACTORS),
      actor: from.text(),
      chain: readChain(from),
      subject: from.text(),
      source: from.text(),
      detail: from.text(),
    }
  }

  function writeCommand(out, entry) {
    out.text(entry.id)
    out.count(entry.seq)
    out.text(entry.decision)
    out.u8(VERDICT_EFFECTS.indexOf(entry.effect))
    out.count(entry.rules.length)
    for (const rule of entry.rules) out.text(rule)
    out.text(entry.class)
    out.text(entry.verb)
    out.count(entry.objects.length)
    for (const object of entry.objects) {
      out.count(object.length)
      for (const part of object) out.text(part)
    }
    out.blob(entry.text)
    out.count(entry.parameters.length)
    for (const value of entry.parameters) writeParameter(out, value)
    out.count(entry.formats.length)
    for (const format of entry.formats) out.count(format)
    out.count(entry.policyVersion)
    out.u8(COMMAND_UNITS.indexOf(entry.unit))
    if (entry.facts !== undefined) writeCommandFacts(out, entry.facts)
  }

  function writeCommandFacts(out, facts) {
    out.count(facts.session)
    out.count(facts.effects)
    out.u8(facts.inTransaction ? 1 : 0)
    out.count(facts.bytes)
    out.u8(facts.askedAtMs === undefined ? 0 : 1)
    if (facts.askedAtMs !== undefined) out.f64(facts.askedAtMs)
  }

  function readCommandFacts(from) {
    const facts = {
      session: from.count(),
      effects: from.count(),
      inTransaction: from.oneOf([false, true]),
      bytes: from.count(),
    }
    return from.oneOf([false, true]) ? { ...facts, askedAtMs: from.f64() } : facts
  }

  /** A byte tells null from a value, which may be empty. */
  function writeParameter(out, value) {
    out.u8(value === null ? 0 : 1)
    if (value !== null) out.blob(value)
  }

  function readParameter(from) {
    return from.oneOf([false, true]) ? from.blob() : null
  }

  function readCommand(from) {
    const entry = {
      kind: 'command',
      id: from.text(),
      seq: from.count(),
      decision: from.text(),
      effect: from.oneOf(VERDICT_EFFECTS),
      rules: from.list(() => from.text()),
      class: from.text(),
      verb: from.text(),
      objects: from.list(() => from.list(() => from.text())),
      text: from.blob(),
      parameters: from.list(() => readParameter(from)),
      formats: from.list(() => from.count()),
      policyVersion: from.count(),
      unit: from.oneOf(COMMAND_UNITS),
    }
    // An entry of a gateway that kept no facts ends here.
    return from.done ? entry : { ...entry, facts: readCommandFacts(from) }
  }

  function writeResponseEnd(out, entry) {
    out.count(entry.seq)
    out.u8(RESPONSE_STATUSES.indexOf(entry.status))
    out.text(entry.tag)
    out.count(entry.rows)
    out.count(entry.bytes)
    out.text(entry.sqlState ?? '')
    out.blob(entry.data ?? noBytes)
  }

  function readResponseEnd(from) {
    const entry = {
      kind: 'response.end',
      seq: from.count(),
      status: from.oneOf(RESPONSE_STATUSES),
      tag: from.text(),
      rows: from.count(),
      bytes: from.count(),
    }
    const sqlState = from.text()
    const data = from.blob()
    return {
      ...entry,
      ...(sqlState === '' ? {} : { sqlState }),
      ...(data.length === 0 ? {} : { data }),
    }
  }

  return { writeFields, readFields }
})()

// packages/core/src/entry/record.ts
const core_src_entry_record_ts = (() => {
  const { ByteReader } = core_src_entry_byte_reader_ts

  const { HASH_BYTES } = core_src_entry_entry_chain_ts
  const { readFields } = core_src_entry_entry_fields_ts
  const { writeFields } = core_src_entry_entry_fields_ts
  const { ENTRY_KINDS } = core_src_entry_entry_ts

  /** Length and CRC-32, both 32 bits, little endian, stand before each payload. */
  const HEAD_BYTES = 8
  /** Type byte, session reference, position, time. */
  const BODY_HEAD_BYTES = 1 + 4 + 4 + 8
  /** Above the largest message the gateway takes (64 MiB): a longer length is damage, and must not allocate. */
  const RECORD_BYTES_MAX = 128 * 1024 * 1024

  /** An entry as it stands in a journal file. `body` is what the hash covers; it is a view of the bytes read. */

  /** `short`: the bytes end before the record does. `bad`: no record can start here. */

  /**
   * Appends one record: length, CRC-32, type, session, position, time, fields, chain hash.
   *
   * The CRC finds torn writes and rot; the hash finds changes. It is zlib's CRC-32, which Node has as native code
   * (several GB/s); CRC-32C would find no more of these faults and cost a hundred times as much in JavaScript.
   */
  function encodeEntry(out, entry, at, chain) {
    const start = out.end
    try {
      out.reserve(HEAD_BYTES + BODY_HEAD_BYTES)
      out.end += HEAD_BYTES
      out.u8(ENTRY_KINDS.indexOf(entry.kind))
      out.u32(at.session)
      out.u32(chain.length)
      out.f64(at.timeMs)
      writeFields(out, entry)
      out.reserve(HASH_BYTES)
      const length = out.end + HASH_BYTES - start - HEAD_BYTES
      if (length > RECORD_BYTES_MAX) throw new RangeError('an entry is larger than a record may be')
      chain.seal(out.bytes, start + HEAD_BYTES, out.end)
      out.end += HASH_BYTES
      out.bytes.writeUInt32LE(length, start)
      out.bytes.writeUInt32LE(crc32(out.bytes.subarray(start + HEAD_BYTES, out.end)), start + 4)
    } catch (error) {
      out.end = start
      throw error
    }
  }

  /** All bytes of a record, as they stand in the file: a view of the same memory as `body`. */
  function recordBytes({ body }) {
    const length = HEAD_BYTES + body.length + HASH_BYTES
    return Buffer.from(body.buffer, body.byteOffset - HEAD_BYTES, length)
  }

  /** Reads the record at `start` of `bytes`, of which `end` bytes are filled. */
  function decodeEntry(bytes, start = 0, end = bytes.length) {
    if (end - start < HEAD_BYTES) return { kind: 'short', needed: HEAD_BYTES }
    const length = bytes.readUInt32LE(start)
    if (length < BODY_HEAD_BYTES + HASH_BYTES || length > RECORD_BYTES_MAX) {
      return { kind: 'bad', reason: 'the length of an entry is impossible' }
    }
    const payload = start + HEAD_BYTES
    const next = payload + length
    if (next > end) return { kind: 'short', needed: HEAD_BYTES + length }
    if (crc32(bytes.subarray(payload, next)) !== bytes.readUInt32LE(start + 4)) {
      return { kind: 'bad', reason: 'the checksum of an entry is wrong' }
    }
    try {
      return decodePayload(bytes, payload, next)
    } catch (error) {
      if (error instanceof RangeError) return { kind: 'bad', reason: error.message }
      throw error
    }
  }

  function decodePayload(bytes, start, next) {
    const end = next - HASH_BYTES
    const from = new ByteReader(bytes, start, end)
    const kind = from.oneOf(ENTRY_KINDS)
    const session = from.u32()
    const position = from.u32()
    const timeMs = from.f64()
    const entry = readFields(from, kind)
    if (!from.done) throw new RangeError('an entry has bytes that no field explains')
    const body = bytes.subarray(start, end)
    const hash = bytes.subarray(end, next)
    return { kind: 'record', entry, session, position, timeMs, body, hash, next }
  }

  return { RECORD_BYTES_MAX, encodeEntry, recordBytes, decodeEntry }
})()

// packages/core/src/recording/segment.ts
const core_src_recording_segment_ts = (() => {
  const MAGIC = Buffer.from('SALLYSEG')
  /** Version of the file and of its header. A reader refuses every other one. */
  const SEGMENT_VERSION = 1
  /** Magic, version, length of the header. */
  const FIXED_BYTES = 8 + 2 + 4
  const HEADER_BYTES_MAX = 64 * 1024
  /** AES-256-GCM: a nonce of 96 bits and a tag of 128 bits, as NIST SP 800-38D recommends. */
  const CIPHER = 'aes-256-gcm'
  const NONCE_BYTES = 12
  const TAG_BYTES = 16
  /** Records of one segment, uncompressed: a piece is sealed and read in one go, so it bounds memory. */
  const SEGMENT_BYTES_MAX = 8 * 1024 * 1024
  /** One record may be larger than a segment should be; it then has one of its own. */
  const RAW_BYTES_MAX = 256 * 1024 * 1024
  const LEVEL = { params: { [constants.ZSTD_c_compressionLevel]: 1 } }

  const compress = promisify(zstdCompress)
  const decompress = promisify(zstdDecompress)

  /** What stands in clear before a segment's sealed records, and is bound to them. */

  /** A segment file, taken apart but not opened. */

  /** Compresses records (zstd) and seals them with the session's key; the header can be read by anyone and changed by nobody. */
  async function sealSegment(header, records, sessionKey) {
    const text = Buffer.from(JSON.stringify(header))
    const fixed = Buffer.alloc(FIXED_BYTES)
    MAGIC.copy(fixed)
    fixed.writeUInt16LE(SEGMENT_VERSION, 8)
    fixed.writeUInt32LE(text.length, 10)
    const bound = Buffer.concat([fixed, text])
    const nonce = randomBytes(NONCE_BYTES)
    const cipher = createCipheriv(CIPHER, segmentKey(sessionKey, header.session), nonce)
    cipher.setAAD(bound)
    const packed = await compress(records, LEVEL)
    const sealed = [cipher.update(packed), cipher.final()]
    return Buffer.concat([bound, nonce, cipher.getAuthTag(), ...sealed])
  }

  /** Reads the header of a segment file. Throws a RangeError that says what is wrong with it. */
  function parseSegment(file) {
    if (file.length < FIXED_BYTES || !file.subarray(0, MAGIC.length).equals(MAGIC))
      throw new RangeError('this is not a segment')
    const version = file.readUInt16LE(8)
    if (version !== SEGMENT_VERSION) throw new RangeError(`segment version ${version} is not known`)
    const length = file.readUInt32LE(10)
    const end = FIXED_BYTES + length
    if (length > HEADER_BYTES_MAX || file.length < end + NONCE_BYTES + TAG_BYTES)
      throw new RangeError('the segment is cut short')
    const header = parseHeader(file.toString('utf8', FIXED_BYTES, end))
    return { header, bound: file.subarray(0, end), sealed: file.subarray(end) }
  }

  /** Returns the records of a segment. Throws a RangeError where the key is another one or a byte was changed. */
  async function openSegment({ header, bound, sealed }, sessionKey) {
    const key = segmentKey(sessionKey, header.session)
    const body = NONCE_BYTES + TAG_BYTES
    let packed
    try {
      const nonce = sealed.subarray(0, NONCE_BYTES)
      const cipher = createDecipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES })
      cipher.setAAD(bound).setAuthTag(sealed.subarray(NONCE_BYTES, body))
      packed = Buffer.concat([cipher.update(sealed.subarray(body)), cipher.final()])
    } catch (cause) {
      throw new RangeError('the seal of the segment is broken, or the key is another one', {
        cause,
      })
    }
    // Whoever holds an export has its keys and can make any bytes, so what they unfold to is bounded.
    const most = Math.min(Math.max(header.rawBytes, 1), RAW_BYTES_MAX)
    let records
    try {
      records = await decompress(packed, { maxOutputLength: most })
    } catch (cause) {
      throw new RangeError('the contents of the segment do not unfold as its header says', {
        cause,
      })
    }
    if (records.length !== header.rawBytes)
      throw new RangeError('the segment holds another number of bytes than its header says')
    return records
  }

  /** What the next segment, and the seal, name a segment file by. Hexadecimal. */
  function segmentHash(file) {
    return hash('sha256', file)
  }

  /** Segments have a key of their own, so that no key is used for two purposes (RFC 5869). */
  function segmentKey(sessionKey, session) {
    return Buffer.from(hkdfSync('sha256', sessionKey, session, 'sallyport segment 1', 32))
  }

  function parseHeader(text) {
    let value
    try {
      value = JSON.parse(text)
    } catch (cause) {
      throw new RangeError('the header of the segment is no JSON', { cause })
    }
    if (!isHeader(value)) throw new RangeError('the header of the segment lacks a field')
    return value
  }

  function isHeader(value) {
    if (typeof value !== 'object' || value === null) return false
    const fields = new Map(Object.entries(value))
    const isAll = (names, type) => names.every((name) => typeof fields.get(name) === type)
    return (
      isAll(['session', 'part', 'head', 'previous'], 'string') &&
      isAll(['index', 'first', 'count', 'fromMs', 'toMs', 'rawBytes'], 'number')
    )
  }

  return { SEGMENT_VERSION, SEGMENT_BYTES_MAX, sealSegment, parseSegment, openSegment, segmentHash }
})()

// packages/core/src/recording/session-rules.ts
const core_src_recording_session_rules_ts = (() => {
  const { isLedgerId } = core_src_ids_ts

  /**
   * Says of each entry of a session whether it may stand where it does: a verdict before its answer, no answer without a command.
   * A ledger holds facts and nothing else, and facts stand nowhere else.
   */
  class SessionRules {
    #session
    #position = 0
    #commands = 0
    #isClosed = false

    constructor(session) {
      this.#session = session
    }

    get isClosed() {
      return this.#isClosed
    }

    /** Returns what is wrong with the next entry, or undefined. */
    next(entry) {
      const isFirst = this.#position === 0
      this.#position += 1
      if (this.#isClosed) return 'an entry stands behind the end of the session'
      if (isFirst !== (entry.kind === 'session.opened'))
        return isFirst
          ? 'the session does not begin with its opening'
          : 'the session is opened again'
      const isLedger = isLedgerId(this.#session)
      if (isLedger !== (entry.kind === 'fact') && !isFrame(entry))
        return isLedger ? 'the ledger holds what is no fact' : 'a fact stands outside of a ledger'
      switch (entry.kind) {
        case 'session.opened':
          return entry.session === this.#session ? undefined : 'the opening is of another session'
        case 'command':
          this.#commands += 1
          if (entry.seq === this.#commands) return undefined
          return `command ${entry.seq} stands where ${this.#commands} should`
        case 'response.data':
        case 'response.end':
        case 'masked':
        case 'lineage':
        case 'copy.data':
        case 'refused':
        case 'held':
        case 'answered':
          if (entry.seq >= 1 && entry.seq <= this.#commands) return undefined
          return `an answer belongs to command ${entry.seq}, which is not before it`
        case 'cancelled':
          return entry.seq <= this.#commands
            ? undefined
            : 'a cancel of a command that is not before it'
        case 'notice':
        case 'fact':
        case 'facts':
          return undefined
        case 'session.closed':
          this.#isClosed = true
          if (entry.commands === this.#commands) return undefined
          return `the end speaks of ${entry.commands} commands, ${this.#commands} are here`
      }
    }
  }

  function isFrame({ kind }) {
    return kind === 'session.opened' || kind === 'session.closed'
  }

  return { SessionRules }
})()

// packages/core/src/recording/part-reader.ts
const core_src_recording_part_reader_ts = (() => {
  const { ChainVerifier } = core_src_entry_entry_chain_ts

  const { decodeEntry } = core_src_entry_record_ts
  const { openSegment } = core_src_recording_segment_ts
  const { parseSegment } = core_src_recording_segment_ts
  const { segmentHash } = core_src_recording_segment_ts
  const { SessionRules } = core_src_recording_session_rules_ts
  const { storeKeys } = core_src_recording_store_keys_ts

  /** Where objects are read from: a folder, a bucket, an archive. */

  /** Something that is not as it should be. */

  /** One entry as it stands in the store. `verified` says that the chain is whole up to here. */

  /** What a reader gives: entries, and what is wrong with them. */

  /** One part of a session, as far as it could be read. */

  /** What is to be read. Without a key, only what stands in clear is. */

  /** Reads one part of a session, and checks its segments' places and seals, its chain, and the order of its entries. */
  class PartReader {
    #source
    #of
    #rules
    /** Goes on behind the last entry that was read. */
    verifier
    #segments = 0
    #entries = 0
    #bytes = 0
    #head = ''
    #last = ''
    #isBroken = false

    constructor(source, of) {
      this.#source = source
      this.#of = of
      this.#rules = new SessionRules(of.session)
      this.verifier = of.key === undefined ? undefined : new ChainVerifier(of.key)
    }

    /** What was read so far. */
    get summary() {
      return {
        session: this.#of.session,
        part: this.#of.part,
        segments: this.#segments,
        entries: this.#entries,
        bytes: this.#bytes,
        head: this.#head,
        last: this.#last,
        isClosed: this.#rules.isClosed,
      }
    }

    /** Reads these segments, ascending. Those that are missing before and between them are told. */
    async *read(indexes) {
      for await (const items of this.batches(indexes)) yield* items
    }

    /** As `read`, a segment at a time: asking for each item by itself costs more than reading it. */
    async *batches(indexes) {
      let next = 0
      for (const index of indexes) {
        // A name costs nothing, so a whole gap is one finding.
        if (index > next) {
          const where = storeKeys.segment(this.#of.session, this.#of.part, next)
          const more = index - next === 1 ? '' : `, and ${index - next - 1} behind it`
          yield [finding(where, `the segment is missing${more}`)]
        }
        yield await this.#segment(index)
        next = index + 1
      }
    }

    async #segment(index) {
      const where = storeKeys.segment(this.#of.session, this.#of.part, index)
      let file
      try {
        file = await this.#source.get(where)
      } catch (error) {
        if (!(error instanceof RangeError)) throw error
        return [finding(where, error.message)]
      }
      if (file === undefined) return [finding(where, 'the segment is missing')]
      const bytes = Buffer.from(file.buffer, file.byteOffset, file.length)
      const items = []
      let segment
      let records
      try {
        segment = parseSegment(bytes)
        const misplaced = this.#misplaced(segment, index)
        if (misplaced !== undefined) items.push(finding(where, misplaced))
        if (this.#of.key !== undefined) records = await openSegment(segment, this.#of.key)
      } catch (error) {
        if (!(error instanceof RangeError)) throw error
        items.push(finding(where, error.message))
        return items
      } finally {
        this.#last = segmentHash(bytes)
      }
      this.#segments += 1
      this.#bytes += bytes.length
      const { header } = segment
      const end = header.first + header.count
      if (records === undefined) this.#entries = end
      else {
        for (const item of this.#records(where, records)) items.push(item)
        if (this.#head !== header.head)
          items.push(finding(where, 'the header names another last hash'))
        if (this.#entries !== end)
          items.push(finding(where, 'the header names another number of entries'))
      }
      this.#head = header.head
      return items
    }

    *#records(where, records) {
      let last
      try {
        for (let at = 0; at < records.length;) {
          const found = decodeEntry(records, at)
          if (found.kind !== 'record') {
            const what = found.kind === 'bad' ? found.reason : 'an entry is cut short'
            return yield finding(where, what, at)
          }
          const { entry, position, timeMs } = found
          const verified = this.verifier?.accept(found) ?? false
          // After the first break nothing is accepted any more, which needs to be said once.
          if (!verified && !this.#isBroken)
            yield finding(where, `the chain is broken at entry ${position}`, at)
          const wrong = this.#rules.next(entry)
          if (wrong !== undefined && !this.#isBroken) yield finding(where, wrong, at)
          this.#isBroken ||= !verified
          this.#entries = position + 1
          last = found.hash
          yield { kind: 'entry', position, timeMs, verified, entry }
          at = found.next
        }
      } finally {
        if (last !== undefined) this.#head = Buffer.from(last).toString('hex')
      }
    }

    #misplaced({ header }, index) {
      const { session, part } = this.#of
      if (header.session !== session || header.part !== part)
        return 'the segment belongs to another session'
      if (header.index !== index) return `the segment is number ${header.index}, not ${index}`
      if (header.previous !== this.#last) return 'the segment follows another one than the one here'
      if (header.first === this.#entries) return undefined
      return `entries ${this.#entries} to ${header.first - 1} are missing`
    }
  }

  function finding(where, what, offset) {
    return { kind: 'finding', where, what, ...(offset === undefined ? {} : { offset }) }
  }

  return { PartReader }
})()

// packages/core/src/recording/session-seal.ts
const core_src_recording_session_seal_ts = (() => {
  const { membersOf } = core_src_recording_signed_ts

  /** Compares a part with what was signed of its session when that was whole. Throws a RangeError that says what is wrong. */
  function checkSeal({ key, fields }, part, trusted) {
    if (!trusted.trusts(key))
      throw new RangeError(
        `${key} signed it, and nothing leads there from ${trusted.roots.join(' or ')}`,
      )
    if (fields.get('type') !== 'sallyport.seal.1' || fields.get('session') !== part.session)
      throw new RangeError('this is the seal of something else')
    const parts = fields.get('parts')
    const all = (Array.isArray(parts) ? parts : []).map(membersOf)
    const sealed = all.find((each) => each.get('part') === part.part)
    if (sealed === undefined) throw new RangeError(`the seal does not name part ${part.part}`)
    for (const name of ['entries', 'head', 'segments', 'bytes', 'last'])
      if (sealed.get(name) !== part[name])
        throw new RangeError(
          `the seal says ${name} ${String(sealed.get(name))}; here it is ${part[name]}`,
        )
  }

  return { checkSeal }
})()

// packages/core/src/recording/stored-parts.ts
const core_src_recording_stored_parts_ts = (() => {
  const { parseSegmentKey } = core_src_recording_store_keys_ts
  const { storeKeys } = core_src_recording_store_keys_ts

  /** What stands under `sessions/`: the segments of a part, a seal, or something that is neither. */

  /** All that a store holds of the sessions whose ids begin so. Only names that a gateway would give count. */
  async function* storedThings(source, idPrefix) {
    let open
    for await (const key of source.list(storeKeys.sessions(idPrefix))) {
      const parsed = parseSegmentKey(key)
      if (parsed === undefined) {
        const session = /^sessions\/([^/]+)\/seal\.jws$/u.exec(key)?.[1]
        yield session === undefined ? { kind: 'stray', key } : { kind: 'seal', session }
        continue
      }
      const { session, part, index } = parsed
      if (open !== undefined && (open.session !== session || open.part !== part)) {
        yield { kind: 'part', ...open }
        open = undefined
      }
      open ??= { session, part, indexes: [] }
      open.indexes.push(index)
    }
    if (open !== undefined) yield { kind: 'part', ...open }
  }

  return { storedThings }
})()

// packages/core/src/recording/verify-recordings.ts
const core_src_recording_verify_recordings_ts = (() => {
  const { isLedgerId } = core_src_ids_ts
  const { AnchorReader } = core_src_recording_anchor_reader_ts
  const { compareAnchors } = core_src_recording_compare_anchors_ts
  const { misfit } = core_src_recording_erased_sessions_ts
  const { readErased } = core_src_recording_erased_sessions_ts
  const { openKeyChange } = core_src_recording_key_changes_ts
  const { TrustedKeys } = core_src_recording_key_changes_ts
  const { checkExtract } = core_src_recording_ledger_extract_ts
  const { PartReader } = core_src_recording_part_reader_ts
  const { checkSeal } = core_src_recording_session_seal_ts
  const { SigningKeys } = core_src_recording_signed_ts
  const { storeKeys } = core_src_recording_store_keys_ts
  const { storedThings } = core_src_recording_stored_parts_ts

  /** What is to be verified. */

  /** What was found out. Without findings the recordings are as the node signed them. */

  /** Erased sessions that are told one by one. */
  const erasedToldMax = 20

  /** Checks recordings against their chains, seals and anchors, offline. */
  async function verifyRecordings(request) {
    const verifier = new Verifier(request)
    return await verifier.run()
  }

  class Verifier {
    #request
    #keys = new SigningKeys()
    #trusted
    #anchors
    #findings = []
    #notes = []
    #seen = new Set()
    #sessions = new Set()
    #seals = new Set()
    #unopened = new Set()
    #strays = []
    /** Tombstones that anchored entries of ledgers hold. */
    #tombstones = new Map()
    #erased = new Set()
    /** By key that signed seals, one of their sessions. */
    #sealers = new Map()
    #copies = []
    #entries = 0
    #segments = 0

    constructor(request) {
      this.#request = request
      this.#trusted = new TrustedKeys(request.signedBy ?? [])
      this.#anchors = new AnchorReader(this.#keys, this.#trusted)
    }

    async run() {
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

    async #readKeys() {
      for await (const where of this.#request.source.list(storeKeys.publicKeys)) {
        const pem = await this.#get(where)
        const id = pem === undefined ? undefined : this.#keys.add(Buffer.from(pem).toString())
        if (id === undefined) this.#find(where, 'this is no Ed25519 key as a gateway writes it')
        else if (where !== storeKeys.publicKey(id)) this.#find(where, `this is the key ${id}`)
      }
    }

    async #readChanges() {
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

    async #compareCopies() {
      const { source, only, copies = [] } = this.#request
      const { from, to } = this.#anchors.range
      // An export holds the anchors around its sessions alone.
      const isExpected = (number) => only === undefined || (number >= from && number <= to)
      for (const copy of copies) {
        const compared = await compareAnchors(source, copy, this.#trusted, isExpected)
        this.#copies.push(compared)
        this.#findings.push(...compared.findings)
        if (compared.to >= 0 && compared.to < to)
          this.#notes.push(`Anchors ${compared.to + 1} to ${to} are not in ${compared.where} yet.`)
      }
    }

    async #get(where) {
      try {
        return await this.#request.source.get(where)
      } catch (error) {
        if (!(error instanceof RangeError)) throw error
        this.#find(where, error.message)
        return undefined
      }
    }

    /** Of one session alone, ledgers are read for this; of all, they come first anyway. */
    async #readTombstones() {
      const { source, keyOf, idPrefix = '', only } = this.#request
      if (only !== undefined || 'l_'.startsWith(idPrefix) || isLedgerId(idPrefix)) return
      for await (const thing of storedThings(source, 'l_')) {
        if (thing.kind !== 'part') continue
        const reader = new PartReader(source, { ...thing, key: await keyOf(thing.session) })
        for await (const item of reader.read(thing.indexes)) this.#noteTombstone(thing, item)
      }
    }

    /** Only what an anchor covers counts: whoever can write into the store could add an entry behind it. */
    #noteTombstone(of, item) {
      if (item.kind !== 'entry' || item.entry.kind !== 'fact' || !item.verified) return
      const { entries = 0 } = this.#anchors.parts.get(`${of.session}/${of.part}`) ?? {}
      if (item.position >= entries) return
      const erased = readErased(item.entry, item.timeMs)
      if (erased !== undefined) this.#tombstones.set(erased.session, erased)
    }

    async #checkSessions() {
      const { source, idPrefix = '' } = this.#request
      for await (const thing of storedThings(source, idPrefix)) {
        if (thing.kind === 'part') await this.#checkPart(thing)
        else if (thing.kind === 'seal') this.#seals.add(thing.session)
        else this.#strays.push(thing.key)
      }
    }

    async #checkPart(of) {
      const { source, keyOf, onPart } = this.#request
      const name = `${of.session}/${of.part}`
      const anchored = this.#anchors.parts.get(name)
      const where = storeKeys.sessions(name)
      const key = await keyOf(of.session)
      // Without its key it is erased, though some of its objects may still be here.
      if (key === undefined && this.#tombstones.has(of.session)) return
      const reader = new PartReader(source, { ...of, key })
      const compare = () => {
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

    #compareLength(part, anchored, isSealed) {
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
    async #checkSeal(part) {
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
    async #checkExtract() {
      const { source, only } = this.#request
      if (only === undefined) return undefined
      const of = { source, keys: this.#keys, trusted: this.#trusted, sessions: only }
      const found = await checkExtract({ ...of, anchored: this.#anchors.parts })
      if (found === undefined || !('what' in found)) return found
      this.#findings.push(found)
      return undefined
    }

    #findMissing() {
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
      if (others > 0)
        this.#notes.push(`The anchors name ${others} other sessions, not part of this.`)
      const [first] = this.#strays
      if (first !== undefined)
        this.#notes.push(
          `${this.#strays.length} of the files are no part of a recording and were not checked, such as ${first}.`,
        )
    }

    #tellErased() {
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

    #find(where, what) {
      this.#findings.push({ where, what })
    }
  }

  function foundIn({ where, what, offset }) {
    return { where, what, ...(offset === undefined ? {} : { offset }) }
  }

  return { verifyRecordings }
})()

// packages/gateway/src/control-plane/recordings/folder-source.ts
const gateway_src_control_plane_recordings_folder_source_ts = (() => {
  /** What is still being written: a crash may leave it, and no list shows it. */
  const draftEnd = '.draft'

  /** The largest is a segment of one record, which has at most 128 MiB: more must not be taken into memory. */
  const objectBytesMax = 256 * 1024 * 1024

  /** Objects that are files of a folder. A key is a path inside it. */
  class FolderSource {
    #dir

    constructor(dir) {
      this.#dir = dir
    }

    async get(key) {
      try {
        // Of what somebody else unpacked, a name may be a pipe, which never ends, or a device.
        const flags = fileConstants.O_RDONLY | fileConstants.O_NONBLOCK
        await using handle = await open(join(this.#dir, key), flags)
        const info = await handle.stat()
        if (!info.isFile()) throw new RangeError('it is no file')
        if (info.size > objectBytesMax) throw new RangeError('it is larger than an object can be')
        return await handle.readFile()
      } catch (error) {
        if (isMissing(error)) return undefined
        if (isClosedToUs(error)) throw new RangeError('it cannot be read', { cause: error })
        throw error
      }
    }

    /** All keys that begin with `prefix`, in order. */
    async *list(prefix) {
      const folder = prefix.slice(0, prefix.lastIndexOf('/') + 1)
      for await (const key of this.#below(folder)) if (key.startsWith(prefix)) yield key
    }

    async *#below(folder) {
      const entries = await readdir(join(this.#dir, folder), { withFileTypes: true }).catch(
        (error) => {
          if (isMissing(error)) return []
          throw error
        },
      )
      // With its slash a folder's name sorts as the keys below it do.
      const names = entries.map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name))
      for (const name of names.toSorted((a, b) => (a < b ? -1 : 1))) {
        if (name.endsWith('/')) yield* this.#below(`${folder}${name}`)
        else if (!name.endsWith(draftEnd)) yield `${folder}${name}`
      }
    }
  }

  function isMissing(error) {
    return hasCode(error, ['ENOENT', 'ENOTDIR'])
  }

  /** ENXIO: a socket. */
  function isClosedToUs(error) {
    return hasCode(error, ['EACCES', 'ELOOP', 'ENXIO'])
  }

  function hasCode(error, codes) {
    return error instanceof Error && 'code' in error && codes.includes(String(error.code))
  }

  return { draftEnd, objectBytesMax, FolderSource }
})()

// packages/gateway/src/control-plane/recordings/export/export-manifest.ts
const gateway_src_control_plane_recordings_export_export_manifest_ts = (() => {
  const { fieldsOf } = core_src_recording_signed_ts
  const { membersOf } = core_src_recording_signed_ts

  /** Beside the objects of an export: what is in it, and the keys that open it. */
  const manifestName = 'export.json'

  /** What a reader of an export must not take for proven. */
  const notChecked = 'Transcripts and entries in an export are for reading; they were not checked.'

  /** What an export says of itself. */

  /** The keys of an export by session; undefined where there is no manifest. Throws a RangeError where it is none. */
  async function exportKeys(source) {
    const text = await source.get(manifestName)
    if (text === undefined) return undefined
    const fields = fieldsOf(Buffer.from(text).toString())
    const sessions = fields.get('sessions')
    if (fields.get('type') !== 'sallyport.export.1' || !Array.isArray(sessions))
      throw new RangeError(`${manifestName} is of a kind that is not known`)
    const keys = new Map()
    for (const each of sessions.map(membersOf))
      keys.set(String(each.get('session')), Buffer.from(String(each.get('key')), 'base64'))
    return keys
  }

  return { manifestName, notChecked, exportKeys }
})()

const { tellVerification } = core_src_recording_tell_verification_ts
const { verifyRecordings } = core_src_recording_verify_recordings_ts
const { FolderSource } = gateway_src_control_plane_recordings_folder_source_ts
const { exportKeys } = gateway_src_control_plane_recordings_export_export_manifest_ts
const { manifestName } = gateway_src_control_plane_recordings_export_export_manifest_ts
const { notChecked } = gateway_src_control_plane_recordings_export_export_manifest_ts

/** Verifies the export that it stands in, or the one named first on the command line; behind that, thumbprints of keys that are expected. Exit codes: 0 whole, 1 not, 2 no export. */
async function main() {
  const dir = resolve(process.argv[2] ?? dirname(fileURLToPath(import.meta.url)))
  const source = new FolderSource(dir)
  const keys = await exportKeys(source).catch((error) => {
    if (!(error instanceof RangeError)) throw error
    process.stderr.write(`${manifestName}: ${error.message}\n`)
  })
  if (keys === undefined) {
    process.stderr.write(`${dir} holds no ${manifestName}: unpack the whole archive first.\n`)
    return 2
  }
  const result = await verifyRecordings({
    source,
    keyOf: async (session) => await Promise.resolve(keys.get(session)),
    only: new Set(keys.keys()),
    signedBy: process.argv.slice(3),
  })
  process.stdout.write(
    `${tellVerification({ ...result, notes: [...result.notes, notChecked] }).join('\n')}\n`,
  )
  return result.findings.length === 0 ? 0 : 1
}

process.exitCode = await main()

import { Buffer } from 'node:buffer'
import { hash } from 'node:crypto'
import type { AnchoredPart } from './anchor-reader.ts'
import type { TrustedKeys } from './key-changes.ts'
import type { Finding, ObjectSource } from './part-reader.ts'
import { fieldsOf, membersOf, type SigningKeys } from './signed.ts'

/** Where an archive has facts of ledgers: one JSON object a line. */
export const extractName = 'ledger.jsonl'
/** What the node signed of them. */
export const extractSealName = 'ledger.jws'

/** A ledger that facts were taken from, as far as it had been verified then. */
export interface ExtractedLedger {
  readonly session: string
  readonly part: string
  /** How many entries its chain had, and the hash of the last, hexadecimal. */
  readonly entries: number
  readonly head: string
}

/** What the node says of an extract. */
export interface LedgerExtract {
  readonly type: 'sallyport.extract.1'
  readonly at: string
  /** The recordings that it was made for: it proves nothing beside others. */
  readonly sessions: readonly string[]
  readonly ledgers: readonly ExtractedLedger[]
  readonly facts: number
  /** SHA-256 of the lines, hexadecimal. */
  readonly sha256: string
}

/** What was found out of an extract. */
export interface VerifiedExtract {
  readonly facts: number
  readonly ledgers: number
  readonly at: string
  readonly signedBy: string
}

/** What an extract is checked against. */
export interface ExtractCheck {
  readonly source: ObjectSource
  readonly keys: SigningKeys
  readonly trusted: TrustedKeys
  /** The sessions of the archive. */
  readonly sessions: ReadonlySet<string>
  /** What its anchors say, by `SESSION/PART`. */
  readonly anchored: ReadonlyMap<string, AnchoredPart>
}

/** Checks the facts of an archive by what the node signed of them; undefined where there are none. */
export async function checkExtract(
  check: ExtractCheck,
): Promise<VerifiedExtract | Finding | undefined> {
  const [lines, seal] = [
    await check.source.get(extractName),
    await check.source.get(extractSealName),
  ]
  if (lines === undefined && seal === undefined) return undefined
  if (lines === undefined)
    return { where: extractName, what: 'the facts that were signed are missing' }
  if (seal === undefined) return { where: extractName, what: 'nothing that is signed speaks of it' }
  try {
    return read(Buffer.from(lines), Buffer.from(seal).toString(), check)
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    return { where: extractName, what: error.message }
  }
}

function read(
  lines: Buffer,
  seal: string,
  { keys, trusted, sessions, anchored }: ExtractCheck,
): VerifiedExtract {
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
  return { facts: facts.length, ledgers: ledgers.size, at: String(fields.get('at')), signedBy: key }
}

/** Where an anchor here speaks of the same ledger, the two say the same. */
function ledgerOf(
  fields: ReadonlyMap<string, unknown>,
  anchored: ReadonlyMap<string, AnchoredPart>,
): readonly [string, number] {
  const name = `${String(fields.get('session'))}/${String(fields.get('part'))}`
  const entries = Number(fields.get('entries'))
  const head = anchored.get(name)?.hashes.get(entries) ?? fields.get('head')
  if (head !== fields.get('head'))
    throw new RangeError(`an anchor names another hash of ${name} after ${entries} entries`)
  return [name, entries]
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

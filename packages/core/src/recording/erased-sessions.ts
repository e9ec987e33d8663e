import type { FactEntry } from '../entry/entry.ts'
import type { AnchoredPart } from './anchor-reader.ts'
import { membersOf } from './signed.ts'

/** A recording that was erased, as a ledger says. */
export interface ErasedSession {
  readonly session: string
  readonly atMs: number
  readonly why: string
  /** By part, how many entries it had, and the hash of the last. */
  readonly parts: ReadonlyMap<string, { readonly entries: number; readonly head: string }>
}

/** The name of the fact that stands where a recording was. */
export const erasedFact = 'retention.erased'

/** Reads a tombstone; undefined where it is none, or says too little. */
export function readErased(fact: FactEntry, atMs: number): ErasedSession | undefined {
  if (fact.what !== erasedFact) return undefined
  let detail: ReadonlyMap<string, unknown>
  try {
    detail = membersOf(JSON.parse(fact.detail))
  } catch {
    return undefined
  }
  const listed = detail.get('parts')
  const parts = new Map<string, { entries: number; head: string }>()
  for (const line of Array.isArray(listed) ? listed : []) {
    const [part = '', entries, head = ''] = String(line).split(' ')
    parts.set(part, { entries: Number(entries), head })
  }
  return { session: fact.subject, atMs, why: String(detail.get('why')), parts }
}

/** What is wrong with a tombstone by what was anchored of one part; undefined where it fits. */
export function misfit(
  erased: ErasedSession,
  part: string,
  anchored: AnchoredPart,
): string | undefined {
  const { session } = erased
  const told = erased.parts.get(part)
  if (told === undefined)
    return `the ledger says that ${session} was erased, and not of part ${part}`
  const { entries, hashes } = anchored
  if (told.entries === entries && hashes.get(entries) === told.head) return undefined
  return `the ledger says that ${session} was erased after ${told.entries} entries; here are ${entries}, or others`
}

import { Buffer } from 'node:buffer'
import { hash } from 'node:crypto'
import {
  verifyRecordings,
  visibleJson,
  visibleText,
  type ExtractedLedger,
  type FactActor,
  type FactEntry,
  type LedgerExtract,
} from '@sallyport/core'
import type { Exporter } from '../recordings/export/exporter.ts'
import { exportSource } from '../recordings/export/export-zip.ts'
import { sessionKeyOf, storedEntries } from '../recordings/recordings.ts'
import type { FactPlace } from './incident-facts.ts'

/** A fact as it stands in a ledger that was verified. */
export interface LedgerFact {
  readonly ledger: string
  readonly part: string
  readonly position: number
  readonly at: string
  readonly what: string
  readonly by: FactActor
  readonly actor: string
  /** The agent that did it, root first. */
  readonly chain: readonly { readonly id: string; readonly name: string }[]
  readonly subject: string
  readonly source: string
  readonly detail: unknown
}

/** Facts, and how far the ledgers were verified that they stand in. */
export interface LedgerEvidence {
  /** In the order of the ledgers, and in each of its own. */
  readonly facts: readonly LedgerFact[]
  readonly ledgers: readonly ExtractedLedger[]
  /** What is wrong with ledgers, whose facts are left out then. */
  readonly findings: readonly string[]
}

/** Reads facts out of their ledgers, each of which is verified whole first. */
export async function ledgerEvidence(
  exporter: Exporter,
  places: readonly FactPlace[],
  signedBy: readonly string[],
): Promise<LedgerEvidence> {
  const facts: LedgerFact[] = []
  const ledgers: ExtractedLedger[] = []
  const findings: string[] = []
  for (const [ledger, own] of Map.groupBy(places, (place) => place.ledger)) {
    const wanted = new Set(own.map(({ part, position }) => `${part}/${position}`))
    const found = await readLedger(exporter, { ledger, wanted, signedBy })
    facts.push(...found.facts)
    ledgers.push(...found.ledgers)
    findings.push(...found.findings)
  }
  return { facts, ledgers, findings }
}

/** What the node says of facts that it hands out, and the lines that it says it of. */
export function extractOf(
  { facts, ledgers }: LedgerEvidence,
  sessions: readonly string[],
  at: Date,
): { readonly lines: string; readonly extract: LedgerExtract } {
  const lines = facts.map((fact) => `${visibleJson(JSON.stringify(fact))}\n`).join('')
  const extract: LedgerExtract = {
    type: 'sallyport.extract.1',
    at: at.toISOString(),
    sessions,
    ledgers,
    facts: facts.length,
    sha256: hash('sha256', Buffer.from(lines)),
  }
  return { lines, extract }
}

async function readLedger(
  exporter: Exporter,
  of: {
    readonly ledger: string
    readonly wanted: ReadonlySet<string>
    readonly signedBy: readonly string[]
  },
): Promise<LedgerEvidence> {
  const { ledger, wanted, signedBy } = of
  if ((await exporter.exportable([ledger])).length === 0)
    return { facts: [], ledgers: [], findings: [`${ledger}: nothing of this ledger can be read`] }
  const request = await exporter.prepare([ledger])
  const { recordings, recordingKey } = request.sources
  const newest = request.anchors?.last
  const ledgers = new Map<string, ExtractedLedger>()
  // A ledger's chain is read from its beginning, so that the newest anchor speaks for all of it.
  const anchors = newest === undefined ? undefined : { first: newest, last: newest }
  const { findings } = await verifyRecordings({
    source: await exportSource({ ...request, anchors }),
    keyOf: async (session) => await sessionKeyOf(recordings, recordingKey, session),
    only: new Set([ledger]),
    signedBy,
    onPart: ({ session, part, entries, head }) =>
      ledgers.set(part, { session, part, entries, head }),
  })
  if (findings.length > 0) {
    const said = findings.map(({ where, what }) => visibleText(`${where}: ${what}`))
    return { facts: [], ledgers: [], findings: said }
  }
  const facts: LedgerFact[] = []
  for await (const { part, entries } of storedEntries(request.sources, ledger)) {
    const verified = ledgers.get(part)?.entries ?? 0
    for await (const record of entries) {
      const { entry, position, timeMs } = record
      if (position >= verified || !record.verified) break
      if (entry.kind === 'fact' && wanted.has(`${part}/${position}`))
        facts.push(factOf(entry, { ledger, part, position, timeMs }))
    }
  }
  return { facts, ledgers: [...ledgers.values()], findings: [] }
}

function factOf(
  { what, by, actor, chain, subject, source, detail }: FactEntry,
  at: FactPlace & { readonly timeMs: number },
): LedgerFact {
  const { ledger, part, position, timeMs } = at
  const time = new Date(timeMs).toISOString()
  const who = { what, by, actor, chain, subject, source }
  return { ledger, part, position, at: time, ...who, detail: detailOf(detail) }
}

/** A text where it is no JSON, which nobody writes. */
function detailOf(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch {
    return json
  }
}

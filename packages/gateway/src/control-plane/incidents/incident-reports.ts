import {
  extractName,
  extractSealName,
  SallyportError,
  verifyRecordings,
  visibleJson,
  visibleText,
  type LedgerExtract,
  type Verification,
} from '@sallyport/core'
import type { FactBy, Ledger } from '../ledger/ledger.ts'
import type { Store } from '../ports/store.ts'
import type { Exporter } from '../recordings/export/exporter.ts'
import { exportSource, exportZip, type ExportRequest } from '../recordings/export/export-zip.ts'
import { sessionKeyOf, storedEntries } from '../recordings/recordings.ts'
import { Gathered } from './gathered.ts'
import { agentsOf, factsOf } from './incident-agents.ts'
import { factsMax, placesOfFacts } from './incident-facts.ts'
import type {
  IncidentReport,
  ReportProof,
  SessionFact,
  IncidentView,
} from '../contract/incident-views.ts'
import { extractOf, ledgerEvidence, type LedgerEvidence } from './ledger-evidence.ts'
import { printReport } from './print-report.ts'
import { readSession } from './read-session.ts'
import type { ReportForm } from './report-forms.ts'
import { unknownOf } from './unknown-facts.ts'

/** What reports need of the gateway. */
export interface ReportsOptions {
  readonly store: Store
  readonly exporter: Exporter
  readonly ledger: Ledger
  /** The owner, who alone reads them. */
  readonly actor: FactBy
  /** Thumbprints of keys that are this node's: what another has signed is no proof here. */
  readonly signedBy: () => readonly string[]
  /** A compact JWS with the node's key. */
  readonly sign: (payload: LedgerExtract) => Promise<string>
  /** Why the index of searches may lack something; undefined where it doesn't. */
  readonly indexProblem: () => string | undefined
}

const births = ['agent.born', 'agent.ticket', 'agent.narrowed', 'agent.renewed']
const stops = [
  'agent.revoked',
  'agent.frozen',
  'agent.unfrozen',
  'agent.ended',
  'agent.expired',
  'agent.finding',
]

/** Answers the six questions of an incident from recordings and ledgers that are verified first. */
export class IncidentReports {
  readonly #options: ReportsOptions

  constructor(options: ReportsOptions) {
    this.#options = options
  }

  /** A report; as an archive with the evidence that it was made from. */
  async make(
    incident: IncidentView,
    form: ReportForm,
  ): Promise<AsyncIterable<string | Uint8Array>> {
    const { exporter, ledger, actor } = this.#options
    const there = await exporter.exportable(incident.sessions)
    if (there.length === 0) {
      const detail = `nothing is recorded, or readable, of the sessions of ${incident.id}`
      throw new SallyportError('SP_NOT_FOUND', detail, { detail })
    }
    const request = await exporter.prepare(there)
    const { report, evidence } = await this.#build(incident, request)
    const detail = { form }
    await ledger.write({ what: 'incident.reported', actor, subject: incident.id, detail })
    // Line by line: what stands between two lines is ours.
    const lines = JSON.stringify(report, undefined, 2).split('\n')
    const json = `${lines.map(visibleJson).join('\n')}\n`
    if (form === 'json') return pieces(json)
    if (form === 'markdown') return pieces(printReport(report))
    return await this.#archive(request, { markdown: printReport(report), json, evidence })
  }

  async #archive(
    request: ExportRequest,
    of: { readonly markdown: string; readonly json: string; readonly evidence: LedgerEvidence },
  ): Promise<AsyncIterable<Uint8Array>> {
    const { lines, extract } = extractOf(of.evidence, request.sessions, request.exportedAt)
    const reports = [
      {
        name: 'report.md',
        text: of.markdown,
        about: 'the incident: six questions and their answers',
      },
      { name: 'report.json', text: of.json, about: 'the same for programs' },
      {
        name: extractName,
        text: lines,
        about: 'facts of the ledger about its sessions, agents, connections and policies',
      },
      {
        name: extractSealName,
        text: await this.#options.sign(extract),
        about: 'what the gateway signed of these facts',
      },
    ]
    return exportZip({ ...request, reports })
  }

  async #build(
    incident: IncidentView,
    request: ExportRequest,
  ): Promise<{ readonly report: IncidentReport; readonly evidence: LedgerEvidence }> {
    const { store, exporter, indexProblem, signedBy } = this.#options
    const verification = await this.#verify(request)
    const gathered = await this.#gather(incident, request)
    const agents = await agentsOf(store.db, incident.sessions)
    const ids = agents.map(({ id }) => id)
    const places = await placesOfFacts(store.db, {
      subjects: [incident.id, ...incident.sessions, ...ids, ...namesOf(gathered.sessions)],
      agents: ids,
      ...timeOf(gathered.sessions),
    })
    const evidence = await ledgerEvidence(exporter, places.slice(0, factsMax), signedBy())
    const report: IncidentReport = {
      type: 'sallyport.incident.1',
      incident,
      madeAt: new Date().toISOString(),
      proof: proofOf(verification, gathered, { recordings: request.sessions.length, evidence }),
      started: {
        roots: agents.filter(({ parent }) => parent === undefined),
        agents,
        births: factsOf(evidence.facts, ids, births),
      },
      ran: { sessions: gathered.sessions, commands: gathered.commands },
      returned: [...gathered.returned.values()],
      changed: gathered.changed,
      stopped: { commands: gathered.stopped, agents: factsOf(evidence.facts, ids, stops) },
      unknown: await unknownOf(store.db, {
        incident,
        readable: request.sessions,
        gathered,
        indexProblem: indexProblem(),
        hasMoreFacts: places.length > factsMax,
      }),
    }
    return { report, evidence }
  }

  async #verify(request: ExportRequest): Promise<Verification> {
    const { recordings, recordingKey } = request.sources
    return await verifyRecordings({
      source: await exportSource(request),
      keyOf: async (session) => await sessionKeyOf(recordings, recordingKey, session),
      only: new Set(request.sessions),
      signedBy: this.#options.signedBy(),
    })
  }

  /** Reads what was verified, and nothing else: what still stands in journals alone was not. */
  async #gather(incident: IncidentView, request: ExportRequest): Promise<Gathered> {
    const gathered = new Gathered()
    const fromMs = incident.from === undefined ? -Infinity : Date.parse(incident.from)
    const untilMs = incident.until === undefined ? Infinity : Date.parse(incident.until)
    const open = await this.#open(request.sessions)
    for (const session of request.sessions) {
      for await (const part of storedEntries(request.sources, session))
        await readSession(
          { session, fromMs, untilMs, isOpen: open.has(session) },
          part.entries,
          gathered,
        )
    }
    return gathered
  }

  async #open(ids: readonly string[]): Promise<ReadonlySet<string>> {
    const rows = await this.#options.store.db
      .selectFrom('session')
      .select('id')
      .where('id', 'in', [...ids])
      .where('closed_at', 'is', null)
      .execute()
    return new Set(rows.map(({ id }) => id))
  }
}

function namesOf(sessions: readonly SessionFact[]): string[] {
  return [...new Set(sessions.map(({ connection }) => connection))]
}

/** From the beginning of the first session to the end of the last. */
function timeOf(sessions: readonly SessionFact[]): { readonly from: Date; readonly until: Date } {
  const now = new Date().toISOString()
  const from = sessions.map(({ openedAt }) => openedAt).toSorted()[0] ?? now
  const until =
    sessions
      .map(({ closedAt }) => closedAt ?? now)
      .toSorted()
      .at(-1) ?? now
  return { from: new Date(from), until: new Date(until) }
}

function proofOf(
  verification: Verification,
  { entries, unverified }: Gathered,
  of: { readonly recordings: number; readonly evidence: LedgerEvidence },
): ReportProof {
  const { findings, notes, anchors, anchoredAt, signedBy } = verification
  const { recordings, evidence } = of
  const found = findings.map(({ where, what }) => visibleText(`${where}: ${what}`))
  const all = [...found, ...evidence.findings]
  return {
    isVerified: all.length === 0 && unverified === 0 && verification.entries === entries,
    recordings,
    entries,
    unverifiedEntries: unverified,
    anchors,
    ...(anchoredAt === undefined ? {} : { anchoredAt }),
    signedBy,
    findings: all,
    notes: notes.map(visibleText),
    ledgers: evidence.ledgers,
    facts: evidence.facts.length,
  }
}

async function* pieces(text: string): AsyncGenerator<string> {
  yield await Promise.resolve(text)
}

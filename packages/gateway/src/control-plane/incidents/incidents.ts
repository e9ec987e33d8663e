import { randomBytes } from 'node:crypto'
import {
  isLedgerId,
  makeId,
  SallyportError,
  verifyRecordings,
  visibleJson,
  visibleText,
  type Verification,
} from '@sallyport/core'
import { sql, type Selectable } from 'kysely'
import type { FactBy, Ledger } from '../ledger/ledger.ts'
import type { IncidentTable, Store } from '../ports/store.ts'
import type { Exporter } from '../recordings/export/exporter.ts'
import { exportSource, exportZip, type ExportRequest } from '../recordings/export/export-zip.ts'
import { sessionKeyOf, storedEntries } from '../recordings/recordings.ts'
import type { SessionIndex } from '../session-index.ts'
import type { IncidentScope, IncidentView, NewIncident } from './incident.ts'
import { agentsOf, factsOf } from './incident-agents.ts'
import type { IncidentReport, ReportProof, UnknownFact } from './incident-report.ts'
import { sessionsOf, topOf } from './incident-sessions.ts'
import { printReport } from './print-report.ts'
import type { ReportForm } from './report-forms.ts'
import { noneGathered, readSession, valuesMax, type Gathered } from './read-session.ts'

/** What incidents need of the gateway. */
export interface IncidentsOptions {
  readonly store: Store
  readonly sessions: SessionIndex
  readonly exporter: Exporter
  readonly ledger: Ledger
  /** The owner, who alone opens and reads them. */
  readonly actor: FactBy
  /** Keeps a session, or the tree of an agent, from being erased. */
  readonly hold: (kind: 'session' | 'tree', subject: string, reason: string) => Promise<unknown>
  /** Thumbprints of keys that are this node's: what another has signed is no proof here. */
  readonly signedBy: () => readonly string[]
  /** Why the index of searches may lack something; undefined where it doesn't. */
  readonly indexProblem: () => string | undefined
}

const listMax = 1000
const births = ['agent.born', 'agent.ticket', 'agent.narrowed', 'agent.renewed']
const stops = [
  'agent.revoked',
  'agent.frozen',
  'agent.unfrozen',
  'agent.ended',
  'agent.expired',
  'agent.finding',
]

/** Incidents: what happened in some sessions, put together from recordings that were verified first. */
export class Incidents {
  readonly #options: IncidentsOptions

  constructor(options: IncidentsOptions) {
    this.#options = options
  }

  async open({ title, scope, fromMs, untilMs }: NewIncident): Promise<IncidentView> {
    const { store, sessions, ledger, actor } = this.#options
    const ids = await sessionsOf(store.db, sessions, scope, { fromMs, untilMs })
    if (ids.length === 0) {
      const detail = `no session fits ${scope.text}`
      throw new SallyportError('SP_NOT_FOUND', detail, { detail })
    }
    const row: Selectable<IncidentTable> = {
      id: makeId<string>('in', randomBytes),
      title: visibleText(title),
      opened_by: actor.name,
      opened_at: new Date(),
      scope_kind: scope.kind,
      scope: scope.text,
      from_at: fromMs === undefined ? null : new Date(fromMs),
      until_at: untilMs === undefined ? null : new Date(untilMs),
      sessions: ids,
    }
    await this.#hold(row, scope, ids)
    const detail = { title, scope: scope.text, sessions: ids.length }
    await ledger.write({ what: 'incident.opened', actor, subject: row.id, detail })
    await store.durable(async (tx) => await tx.insertInto('incident').values(row).execute())
    return viewOf(row)
  }

  /** Newest first. */
  async list(): Promise<IncidentView[]> {
    const { db } = this.#options.store
    const rows = db.selectFrom('incident').selectAll().orderBy('opened_at', 'desc').limit(listMax)
    return (await rows.execute()).map(viewOf)
  }

  /** By its id or the beginning of it, with the sessions that have come since. */
  async get(prefix: string): Promise<IncidentView> {
    const { store, sessions } = this.#options
    const rows = await store.db
      .selectFrom('incident')
      .selectAll()
      .where(sql<boolean>`starts_with(id, ${prefix.toLowerCase()})`)
      .limit(2)
      .execute()
    const [row, second] = rows
    if (row === undefined || second !== undefined) {
      const detail = `${row === undefined ? 'there is no incident' : 'several incidents begin with'} "${prefix.slice(0, 64)}"`
      throw new SallyportError('SP_NOT_FOUND', detail, { detail })
    }
    const known = viewOf(row)
    const time = { fromMs: row.from_at?.getTime(), untilMs: row.until_at?.getTime() }
    const now = await sessionsOf(store.db, sessions, known.scope, time)
    const added = now.filter((id) => !row.sessions.includes(id))
    if (added.length === 0) return known
    if (!holdsTree(row)) await this.#hold(row, known.scope, added)
    const all = [...row.sessions, ...added]
    await store.durable(
      async (tx) =>
        await tx.updateTable('incident').set({ sessions: all }).where('id', '=', row.id).execute(),
    )
    return viewOf({ ...row, sessions: all })
  }

  /** Nothing of an incident is erased, until somebody takes these holds away. */
  async #hold(
    incident: Selectable<IncidentTable>,
    scope: IncidentScope,
    ids: readonly string[],
  ): Promise<void> {
    const { store, sessions, hold } = this.#options
    const reason = `incident ${incident.id}: ${incident.title}`
    if (scope.kind !== 'query' && holdsTree(incident))
      await hold('tree', await topOf(store.db, sessions, scope), reason)
    else for (const id of ids) await hold('session', id, reason)
  }

  /** The answers to the six questions; as an archive with the evidence that they were found in. */
  async report(prefix: string, form: ReportForm): Promise<AsyncIterable<string | Uint8Array>> {
    const { exporter, ledger, actor } = this.#options
    const incident = await this.get(prefix)
    const there = await exporter.exportable(incident.sessions)
    if (there.length === 0) {
      const detail = `nothing is recorded, or readable, of the sessions of ${incident.id}`
      throw new SallyportError('SP_NOT_FOUND', detail, { detail })
    }
    const request = await exporter.prepare(there)
    const report = await this.#build(incident, request)
    await ledger.write({
      what: 'incident.reported',
      actor,
      subject: incident.id,
      detail: { form },
    })
    // Line by line: what stands between two lines is ours.
    const lines = JSON.stringify(report, undefined, 2).split('\n')
    const json = `${lines.map(visibleJson).join('\n')}\n`
    if (form === 'json') return pieces(json)
    if (form === 'markdown') return pieces(printReport(report))
    const reports = [
      {
        name: 'report.md',
        text: printReport(report),
        about: 'the incident: six questions and their answers',
      },
      { name: 'report.json', text: json, about: 'the same for programs' },
    ]
    return exportZip({ ...request, reports })
  }

  async #build(incident: IncidentView, request: ExportRequest): Promise<IncidentReport> {
    const { db } = this.#options.store
    const verification = await this.#verify(request)
    const gathered = await this.#gather(incident, request)
    const agents = await agentsOf(db, incident.sessions)
    const ids = agents.map(({ id }) => id)
    const bornFacts = await factsOf(db, ids, births)
    const stopFacts = await factsOf(db, ids, stops)
    const ledgers = [...new Set([...bornFacts, ...stopFacts].map(({ ledger }) => ledger))]
    return {
      type: 'sallyport.incident.1',
      incident,
      madeAt: new Date().toISOString(),
      proof: proofOf(verification, gathered, request.sessions.length),
      started: {
        roots: agents.filter(({ parent }) => parent === undefined),
        agents,
        births: bornFacts,
      },
      ran: { sessions: gathered.sessions, commands: gathered.commands },
      returned: [...gathered.returned.values()],
      changed: gathered.changed,
      stopped: { commands: gathered.stopped, agents: stopFacts },
      unknown: [
        ...this.#generalUnknown(incident, request, gathered, ledgers),
        ...(await this.#guarded(gathered)),
        ...gathered.unknown,
      ],
    }
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
    const gathered = noneGathered()
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

  async #guarded({ sessions }: Gathered): Promise<UnknownFact[]> {
    const names = [...new Set(sessions.map(({ connection }) => connection))]
    if (names.length === 0) return []
    const rows = await this.#options.store.db
      .selectFrom('connection')
      .select('name')
      .where('name', 'in', names)
      .where('masking', '=', 'guard')
      .execute()
    return rows.map(({ name }) => ({
      what: `${name} masks at the target: how many values were masked there is not recorded`,
    }))
  }

  #generalUnknown(
    incident: IncidentView,
    request: ExportRequest,
    gathered: Gathered,
    ledgers: readonly string[],
  ): UnknownFact[] {
    const unknown: UnknownFact[] = incident.sessions
      .filter((session) => !request.sessions.includes(session))
      .map((session) => ({
        what: 'nothing of this session can be read: it is not recorded, or its key was erased',
        session,
      }))
    const say = (what: string): void => void unknown.push({ what })
    const problem = this.#options.indexProblem()
    if (problem !== undefined)
      say(
        `the index of searches is behind (${problem}): sessions may be missing from this incident`,
      )
    if (incident.scope.kind === 'query')
      say(
        'the sessions were found in the index: it holds the first 8 KiB of each text, and no data of answers',
      )
    if (gathered.leftOut > 0)
      say(`${gathered.leftOut} lines had no room in this report; the transcripts hold them`)
    if (gathered.values >= valuesMax)
      say(`detectors looked at the first ${valuesMax} values that came back, and at no more`)
    say(
      'clear values are those that detectors know by their form, in the first 1000 characters of a value and in rows up to 1 MiB; others may be sensitive all the same',
    )
    say(
      'who was refused before a session began, at a login or when it asked for a credential, is in no recording',
    )
    const where = ledgers.filter(isLedgerId).join(', ')
    say(
      `births, ends and who brought them about are from the index of the ledger${where === '' ? '' : ` (${where})`}; the ledger itself is not among the recordings that were verified here`,
    )
    return unknown
  }
}

function proofOf(
  verification: Verification,
  { entries, unverified }: Gathered,
  recordings: number,
): ReportProof {
  const { findings, notes, anchors, anchoredAt, signedBy } = verification
  return {
    isVerified: findings.length === 0 && unverified === 0 && verification.entries === entries,
    recordings,
    entries,
    unverifiedEntries: unverified,
    anchors,
    ...(anchoredAt === undefined ? {} : { anchoredAt }),
    signedBy,
    findings: findings.map(({ where, what }) => visibleText(`${where}: ${what}`)),
    notes: notes.map(visibleText),
  }
}

/** One hold keeps a tree, with what comes later; in a limited time the sessions are held one by one. */
function holdsTree({ scope_kind, from_at, until_at }: Selectable<IncidentTable>): boolean {
  return scope_kind !== 'query' && from_at === null && until_at === null
}

async function* pieces(text: string): AsyncGenerator<string> {
  yield await Promise.resolve(text)
}

function viewOf(row: Selectable<IncidentTable>): IncidentView {
  return {
    id: row.id,
    title: row.title,
    openedBy: row.opened_by,
    openedAt: row.opened_at.toISOString(),
    scope: { kind: row.scope_kind, text: row.scope },
    ...(row.from_at === null ? {} : { from: row.from_at.toISOString() }),
    ...(row.until_at === null ? {} : { until: row.until_at.toISOString() }),
    sessions: row.sessions,
  }
}

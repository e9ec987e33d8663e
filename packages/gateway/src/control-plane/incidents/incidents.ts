import { randomBytes } from 'node:crypto'
import { isNamedIn, makeId, SallyportError, visibleText, type Approver } from '@sallyport/core'
import { sql, type Selectable } from 'kysely'
import { answerRefused } from '../approvals/approval.ts'
import { factBy } from '../approvals/waiting.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { Store } from '../ports/store.ts'
import type { IncidentGlass, IncidentTable } from '../ports/tables/recording-tables.ts'
import type { SessionIndex } from '../session-index.ts'
import { invalid, type NewIncident } from './incident.ts'
import { sessionsOf, topOf } from './incident-sessions.ts'
import type { ReportForm } from './report-forms.ts'
import type { Hold } from '../contract/retention.ts'
import type { HeldIncident, IncidentScope, IncidentView } from '../contract/incident-views.ts'

/** What incidents need of the gateway. */
export interface IncidentsOptions {
  readonly store: Store
  readonly sessions: SessionIndex
  readonly ledger: Ledger
  /** The owner, who opens and reads them. */
  readonly owner: Approver
  /** Keeps a session, or the tree of an agent, from being erased. */
  readonly hold: (kind: 'session' | 'tree', subject: string, reason: string) => Promise<unknown>
  readonly holds: () => Promise<readonly Hold[]>
  /** Whether a glass is broken still. */
  readonly glassIsOpen: (id: string) => boolean
  /** The answers to the six questions, in one of the forms. */
  readonly report: (
    incident: IncidentView,
    form: ReportForm,
  ) => Promise<AsyncIterable<string | Uint8Array>>
}

type Row = Selectable<IncidentTable>

const listMax = 1000

/** Incidents: which sessions belong to one, what is held for it, and when it is over. */
export class Incidents {
  readonly #options: IncidentsOptions

  constructor(options: IncidentsOptions) {
    this.#options = options
  }

  /** `glass`: it was broken, by `by`, and the incident may come before its first session. */
  async open(
    { title, scope, fromMs, untilMs }: NewIncident,
    by: Approver = this.#options.owner,
    glass?: IncidentGlass,
  ): Promise<IncidentView> {
    const { store, sessions, ledger } = this.#options
    const ids = await sessionsOf(store.db, sessions, scope, { fromMs, untilMs })
    if (ids.length === 0 && glass === undefined) throw notFound(`no session fits ${scope.text}`)
    const row: Row = {
      id: makeId<string>('in', randomBytes),
      title: visibleText(title),
      opened_by: by.name,
      opened_at: new Date(),
      scope_kind: scope.kind,
      scope: scope.text,
      from_at: fromMs === undefined ? null : new Date(fromMs),
      until_at: untilMs === undefined ? null : new Date(untilMs),
      sessions: ids,
      closed_at: null,
      closed_by: null,
      close_note: null,
      glass: glass ?? null,
    }
    await this.#hold(row, scope, ids)
    const detail = { title, scope: scope.text, sessions: ids.length, glass: glass?.id }
    await ledger.write({
      what: 'incident.opened',
      actor: factBy(by),
      subject: row.id,
      detail,
    })
    const values = { ...row, glass: glass === undefined ? null : JSON.stringify(glass) }
    await store.durable(async (tx) => await tx.insertInto('incident').values(values).execute())
    return viewOf(row)
  }

  /** Newest first. */
  async list(): Promise<IncidentView[]> {
    const { db } = this.#options.store
    const rows = db.selectFrom('incident').selectAll().orderBy('opened_at', 'desc').limit(listMax)
    return (await rows.execute()).map(viewOf)
  }

  /** By its id or the beginning of it, with the sessions that have come since. */
  async get(prefix: string): Promise<HeldIncident> {
    return await this.#held(await this.#current(prefix))
  }

  /** Says that it is over. It keeps what it covers by now, and the holds stay until somebody removes each by its name. */
  async close(
    prefix: string,
    note: string,
    by: Approver = this.#options.owner,
  ): Promise<HeldIncident> {
    const { store, ledger } = this.#options
    this.#mustClose(await this.#find(prefix), by)
    const incident = await this.#held(await this.#current(prefix))
    const { id, holds, sessions } = incident
    const closed = { at: new Date(), by: by.name, note: visibleText(note) }
    const stored = await store.durable(async (tx) => {
      const row = await tx
        .updateTable('incident')
        .set({ closed_at: closed.at, closed_by: closed.by, close_note: closed.note })
        .where('id', '=', id)
        .where('closed_at', 'is', null)
        .returning('id')
        .executeTakeFirst()
      if (row === undefined) throw invalid(`${id} is closed already`)
      const detail = { note, sessions: sessions.length, holds: holds.length }
      return [ledger.write({ what: 'incident.closed', actor: factBy(by), subject: id, detail })]
    })
    await Promise.all(stored)
    return { ...incident, closed: { ...closed, at: closed.at.toISOString() } }
  }

  /** An incident of a glass that was broken, for who may close it now. Throws SP_APPROVAL_REFUSED for anybody else. */
  async forReviewer(prefix: string, by: Approver): Promise<HeldIncident> {
    const row = await this.#find(prefix)
    if (row.glass === null) throw notFound(`no incident of a broken glass is "${prefix}"`)
    this.#mustClose(row, by)
    return await this.get(row.id)
  }

  /** Whoever broke a glass has asked nobody, so that somebody else looks at what came of it. */
  #mustClose({ id, glass }: Row, by: Approver): void {
    if (glass === null) {
      if (by.kind === 'owner') return
      throw notFound(`there is no incident "${id}"`)
    }
    const refuse = (why: string): never => {
      const detail = { why }
      const actor = factBy(by)
      void this.#options.ledger.write({ what: 'breakglass.refused', actor, subject: id, detail })
      throw answerRefused(why)
    }
    if (by.principal === glass.by.principal || by.kind === 'agent')
      refuse(`${glass.by.name} broke the glass: somebody else closes ${id}`)
    if (!isNamedIn(by, glass.review)) refuse(`${id} is closed by one of ${glass.review.join(', ')}`)
    if (this.#options.glassIsOpen(glass.id)) refuse(`${glass.id} is open still`)
  }

  async report(prefix: string, form: ReportForm): Promise<AsyncIterable<string | Uint8Array>> {
    return await this.#options.report(viewOf(await this.#current(prefix)), form)
  }

  async #current(prefix: string): Promise<Row> {
    const { store, sessions } = this.#options
    const row = await this.#find(prefix)
    if (row.closed_at !== null) return row
    const { scope } = viewOf(row)
    const time = { fromMs: row.from_at?.getTime(), untilMs: row.until_at?.getTime() }
    const now = await sessionsOf(store.db, sessions, scope, time)
    const added = now.filter((id) => !row.sessions.includes(id))
    if (added.length === 0) return row
    if (!holdsTree(row)) await this.#hold(row, scope, added)
    const all = [...row.sessions, ...added]
    await store.durable(
      async (tx) =>
        await tx
          .updateTable('incident')
          .set({ sessions: all })
          .where('id', '=', row.id)
          // Somebody may have closed it meanwhile, with what it covered then.
          .where('closed_at', 'is', null)
          .execute(),
    )
    return await this.#find(row.id)
  }

  async #find(prefix: string): Promise<Row> {
    const rows = await this.#options.store.db
      .selectFrom('incident')
      .selectAll()
      .where(sql<boolean>`starts_with(id, ${prefix.toLowerCase()})`)
      .limit(2)
      .execute()
    const [row, second] = rows
    if (row !== undefined && second === undefined) return row
    const what = row === undefined ? 'there is no incident' : 'several incidents begin with'
    throw notFound(`${what} "${prefix.slice(0, 64)}"`)
  }

  async #held(row: Row): Promise<HeldIncident> {
    const all = await this.#options.holds()
    const own = all.filter(({ reason }) => reason.startsWith(holdReason(row.id)))
    return { ...viewOf(row), holds: own.map(({ id }) => id) }
  }

  /** Nothing of an incident is erased, until somebody takes these holds away. */
  async #hold(incident: Row, scope: IncidentScope, ids: readonly string[]): Promise<void> {
    const { store, sessions, hold } = this.#options
    const reason = `${holdReason(incident.id)}${incident.title}`
    if (scope.kind !== 'query' && holdsTree(incident))
      await hold('tree', await topOf(store.db, sessions, scope), reason)
    else for (const id of ids) await hold('session', id, reason)
  }
}

/** How the reason of each hold for an incident begins. */
function holdReason(incident: string): string {
  return `incident ${incident}: `
}

/** One hold keeps a tree, with what comes later; in a limited time the sessions are held one by one. */
function holdsTree({ scope_kind, from_at, until_at }: Row): boolean {
  return scope_kind !== 'query' && from_at === null && until_at === null
}

function notFound(detail: string): SallyportError {
  return new SallyportError('SP_NOT_FOUND', detail, { detail })
}

function viewOf(row: Row): IncidentView {
  const { closed_at: at, closed_by: by, close_note: note } = row
  return {
    id: row.id,
    title: row.title,
    openedBy: row.opened_by,
    openedAt: row.opened_at.toISOString(),
    scope: { kind: row.scope_kind, text: row.scope },
    ...(row.from_at === null ? {} : { from: row.from_at.toISOString() }),
    ...(row.until_at === null ? {} : { until: row.until_at.toISOString() }),
    sessions: row.sessions,
    ...(row.glass === null
      ? {}
      : { glass: { id: row.glass.id, by: row.glass.by.name, review: row.glass.review } }),
    ...(at === null ? {} : { closed: { at: at.toISOString(), by: by ?? '', note: note ?? '' } }),
  }
}

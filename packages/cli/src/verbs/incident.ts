import { stat } from 'node:fs/promises'
import { SallyportError } from '@sallyport/core'
import type { Asked, HeldIncident, IncidentView } from '@sallyport/gateway'
import type { VerbContext } from '../context.ts'
import { age } from '../durations.ts'
import { EXIT } from '../exit-codes.ts'
import { printable, printList, printOne } from '../output.ts'
import { drained } from '../replay/drained.ts'
import { writeFileWhole } from './export.ts'

export interface NewIncidentFlags {
  readonly title: string
  readonly since?: string
  readonly until?: string
}

export interface ReportFlags {
  readonly as: string
  readonly file?: string
  readonly force: boolean
}

const holdsShown = 20
const forms = ['markdown', 'json', 'zip']

type Form = NonNullable<Asked<'GET /v1/incidents/{id}/report'>['query']>['as']

export async function newIncident(
  context: VerbContext,
  of: string,
  { title, since, until }: NewIncidentFlags,
): Promise<number> {
  const api = await context.api()
  const body = {
    title,
    of,
    ...(since === undefined ? {} : { since }),
    ...(until === undefined ? {} : { until }),
  }
  const view = await api.call('POST /v1/incidents', { body })
  const next = `  Report: sallyport incident report ${view.id}\n`
  await printOne(context.output, view, textOf(view) + next, view.id)
  return EXIT.done
}

export async function listIncidents(context: VerbContext): Promise<number> {
  const api = await context.api()
  const rows = await api.call('GET /v1/incidents')
  const now = Date.now()
  const columns = {
    INCIDENT: (row: IncidentView) => row.id,
    STATE: (row: IncidentView) => (row.closed === undefined ? 'open' : 'closed'),
    AGE: (row: IncidentView) => age(now - Date.parse(row.openedAt)),
    SESSIONS: (row: IncidentView) => String(row.sessions.length),
    COVERS: (row: IncidentView) => row.scope.text,
    TITLE: (row: IncidentView) => row.title,
  }
  await printList(context.output, rows, columns, (row) => row.id)
  return EXIT.done
}

export async function showIncident(context: VerbContext, incident: string): Promise<number> {
  const api = await context.api()
  const view = await api.call('GET /v1/incidents/{id}', of(incident))
  const sessions = view.sessions.map((id) => `  ${id}\n`).join('')
  await printOne(context.output, view, textOf(view) + holdsOf(view) + sessions, view.id)
  return EXIT.done
}

/** Says that it is over. Its holds stay, and are named. */
export async function closeIncident(
  context: VerbContext,
  incident: string,
  { note }: { readonly note: string },
): Promise<number> {
  const api = await context.api()
  const view = await api.call('POST /v1/incidents/{id}/close', { ...of(incident), body: { note } })
  const next =
    view.holds.length === 0
      ? ''
      : '  Nothing of it is erased until its holds are removed, each by its name: sallyport hold remove ho_… --reason "…"\n'
  await printOne(context.output, view, textOf(view) + holdsOf(view) + next, view.id)
  return EXIT.done
}

/** The report as the gateway makes it; nothing in it can steer a terminal. */
export async function reportIncident(
  context: VerbContext,
  incident: string,
  { as, file, force }: ReportFlags,
): Promise<number> {
  if (!forms.includes(as)) throw usage(`--as takes ${forms.join(', ')}; not "${as}"`)
  const api = await context.api()
  const pieces = api.bytes('GET /v1/incidents/{id}/report', {
    ...of(incident),
    query: { as: as as Form },
  })
  const path = file ?? (as === 'zip' ? `evidence-${incident}.zip` : '-')
  if (path === '-') {
    for await (const piece of pieces) {
      context.output.data(piece)
      await drained()
    }
    return EXIT.done
  }
  if (!force && (await stat(path).catch(() => undefined)) !== undefined)
    throw usage(
      `${path} is there already. Name another file with --file, or replace it with --force.`,
    )
  const bytes = await writeFileWhole(path, pieces)
  await printOne(context.output, { file: path, bytes }, `${path}: ${bytes} bytes\n`, path)
  return EXIT.done
}

function textOf({
  id,
  title,
  openedBy,
  openedAt,
  scope,
  from,
  until,
  sessions,
  closed,
}: IncidentView): string {
  const time =
    from === undefined && until === undefined ? '' : ` · ${from ?? '…'} to ${until ?? 'now'}`
  const lines = [
    `${id}  ${title}`,
    `  ${scope.kind} ${scope.text}${time} · ${sessions.length} sessions · opened by ${openedBy} at ${openedAt}`,
    ...(closed === undefined ? [] : [`  closed by ${closed.by} at ${closed.at}: ${closed.note}`]),
  ]
  return lines.map((line) => `${printable(line)}\n`).join('')
}

function holdsOf({ holds }: HeldIncident): string {
  const shown = holds.slice(0, holdsShown).join(' ')
  const more = holds.length > holdsShown ? ` and ${holds.length - holdsShown} more` : ''
  return `  held by ${holds.length === 0 ? 'nothing' : `${shown}${more}`}\n`
}

function of(incident: string): { readonly params: { readonly id: string } } {
  return { params: { id: incident } }
}

function usage(detail: string): SallyportError {
  return new SallyportError('SP_CONFIG_INVALID', detail, { detail })
}

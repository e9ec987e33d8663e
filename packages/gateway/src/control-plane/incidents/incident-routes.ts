import type { Context, Hono } from 'hono'
import { bytesOf } from '../bytes-of.ts'
import {
  invalid,
  type HeldIncident,
  type IncidentView,
  type NewIncident,
  parseClosing,
  parseNewIncident,
} from './incident.ts'
import { reportForms, type ReportForm } from './report-forms.ts'

/** What the API can do with incidents. */
export interface IncidentOperations {
  open(incident: NewIncident): Promise<IncidentView>
  list(): Promise<readonly IncidentView[]>
  get(prefix: string): Promise<HeldIncident>
  close(prefix: string, note: string): Promise<HeldIncident>
  report(prefix: string, form: ReportForm): Promise<AsyncIterable<string | Uint8Array>>
}

/** The routes of incidents, for the owner: `jsonBody` reads what is sent. */
export function addIncidentRoutes(
  app: Hono,
  incidents: IncidentOperations,
  jsonBody: (context: Context) => Promise<unknown>,
): void {
  app.get('/v1/incidents', async (context) => context.json(await incidents.list()))
  app.post('/v1/incidents', async (context) => {
    const incident = parseNewIncident(await jsonBody(context), Date.now())
    return context.json(await incidents.open(incident), 201)
  })
  app.get('/v1/incidents/:id', async (context) =>
    context.json(await incidents.get(context.req.param('id'))),
  )
  app.post('/v1/incidents/:id/close', async (context) => {
    const note = parseClosing(await jsonBody(context))
    return context.json(await incidents.close(context.req.param('id'), note))
  })
  app.get('/v1/incidents/:id/report', async (context) => {
    const form = context.req.query('as') ?? 'json'
    if (!isForm(form))
      throw invalid(`a report has the forms ${Object.keys(reportForms).join(', ')}; not "${form}"`)
    const pieces = await incidents.report(context.req.param('id'), form)
    return context.body(bytesOf(pieces), 200, { 'content-type': reportForms[form] })
  })
}

function isForm(form: string): form is ReportForm {
  return Object.hasOwn(reportForms, form)
}

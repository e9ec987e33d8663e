import type { Hono } from 'hono'
import { serve } from '../api/serve.ts'
import { bytesOf } from '../bytes-of.ts'
import type { HeldIncident, IncidentView } from '../contract/incident-views.ts'
import { incidentEndpoints } from '../contract/incidents.ts'
import { type NewIncident, newIncidentOf } from './incident.ts'
import { reportForms, type ReportForm } from './report-forms.ts'

/** What the API can do with incidents. */
export interface IncidentOperations {
  open(incident: NewIncident): Promise<IncidentView>
  list(): Promise<readonly IncidentView[]>
  get(prefix: string): Promise<HeldIncident>
  close(prefix: string, note: string): Promise<HeldIncident>
  report(prefix: string, form: ReportForm): Promise<AsyncIterable<string | Uint8Array>>
}

/** The routes of incidents, for the owner. */
export function addIncidentRoutes(app: Hono, incidents: IncidentOperations): void {
  serve(app, incidentEndpoints, () => undefined, {
    'GET /v1/incidents': async () => await incidents.list(),
    'POST /v1/incidents': async ({ body }) => await incidents.open(newIncidentOf(body, Date.now())),
    'GET /v1/incidents/{id}': async ({ params }) => await incidents.get(params.id),
    'POST /v1/incidents/{id}/close': async ({ params, body }) =>
      await incidents.close(params.id, body.note),
    'GET /v1/incidents/{id}/report': async ({ params, query: { as: form = 'json' }, context }) => {
      const pieces = await incidents.report(params.id, form)
      return context.body(bytesOf(pieces), 200, { 'content-type': reportForms[form] })
    },
  })
}

import { SallyportError } from '@sallyport/core'
import type { Hono } from 'hono'
import { bytesOf } from '../bytes-of.ts'
import { retentionEndpoints } from '../contract/retention.ts'
import { sessionEndpoints } from '../contract/sessions.ts'
import { recordingForms } from '../recording-forms.ts'
import type { RecordingForm } from '../recorded-session.ts'
import { parseStartAt } from '../start-at.ts'
import type { RecordingOperations, RetentionOperations } from './owner-operations.ts'
import { serve } from './serve.ts'

const pageLimitDefault = 20
const widthDefault = 100
const widthMax = 1000

/** What is recorded, and for how long it is kept, for the owner. */
export function addRecordingRoutes(
  app: Hono,
  operations: RecordingOperations & RetentionOperations,
): void {
  serve(app, sessionEndpoints, () => undefined, {
    'GET /v1/sessions': async ({ query: { q: query, limit = pageLimitDefault, after } }) => {
      if (query === undefined) return await operations.listSessions()
      const request = { query, limit, ...(after === undefined ? {} : { after }) }
      return await operations.searchSessions(request)
    },
    'GET /v1/sessions/{session}': async ({ params, query, context }) => {
      const form = recordingForm(query)
      const pieces = await operations.readSession(params.session.toLowerCase(), form)
      return context.body(bytesOf(pieces), 200, { 'content-type': recordingForms[form.kind] })
    },
    'GET /v1/watch': async ({ query, context }) => {
      const { of = '', as: kind = 'ndjson' } = query
      const { width, onlyDecisions = false } = recordingForm({ ...query, as: kind })
      const lines = await operations.watch(of, { kind, width, onlyDecisions })
      return context.body(bytesOf(lines), 200, { 'content-type': 'application/x-ndjson' })
    },
    'GET /v1/exports': async ({ query: { session }, context }) => {
      const pieces = await operations.exportSessions(session.map((each) => each.toLowerCase()))
      return context.body(bytesOf(pieces), 200, {
        'content-type': 'application/zip',
        'content-disposition': 'attachment; filename="sallyport-export.zip"',
      })
    },
    'POST /v1/reindex': async () => {
      await operations.reindex()
      return { ok: true as const }
    },
  })
  serve(app, retentionEndpoints, () => undefined, {
    'GET /v1/retention': async () => await operations.planRetention(),
    'POST /v1/retention': async () => await operations.applyRetention(),
    'GET /v1/holds': async () => await operations.listHolds(),
    'POST /v1/holds': async ({ body: { subject, reason } }) =>
      await operations.addHold(subject.toLowerCase(), reason),
    'DELETE /v1/holds/{id}': async ({ params, query: { reason = 'no reason was given' } }) => {
      await operations.removeHold(params.id, reason)
    },
  })
}

interface AskedForm {
  readonly as?: RecordingForm['kind'] | undefined
  readonly width?: number | undefined
  readonly only?: 'decisions' | undefined
  readonly at?: string | undefined
  readonly skip?: number | undefined
}

function recordingForm({ as: kind = 'ndjson', width, only, at, skip }: AskedForm): RecordingForm {
  if (only !== undefined && kind !== 'text' && kind !== 'steps') {
    const detail = 'only=decisions is for as=text and as=steps; there is no other "only"'
    throw new SallyportError('SP_CONFIG_INVALID', detail, { detail })
  }
  return {
    kind,
    // A terminal may say that it has no columns.
    width: Math.min(width === undefined || width === 0 ? widthDefault : width, widthMax),
    onlyDecisions: only !== undefined,
    skip: skip ?? 0,
    ...(at === undefined ? {} : { from: parseStartAt(at, Date.now()) }),
  }
}

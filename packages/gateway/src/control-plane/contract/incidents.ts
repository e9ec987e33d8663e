import * as z from 'zod'
import { type Endpoints, media } from './endpoint.ts'
import { heldIncident, incidentReport, incidentView } from './incident-views.ts'
import { given, list, object } from './schema.ts'

const titleCharactersMax = 200
const scopeCharactersMax = 4096
/** The whole of it stands in the ledger, which keeps so much of a text. */
const noteCharactersMax = 500
const idCharactersMax = 64
const timeCharactersMax = 64

const trimmed = (charactersMax: number, field: string): z.ZodType<string, string> =>
  z
    .string({ error: `${field} is a text of 1 to ${charactersMax} characters` })
    .max(charactersMax, { error: `${field} is a text of 1 to ${charactersMax} characters` })
    .trim()
    .min(1, { error: `${field} is a text of 1 to ${charactersMax} characters` })

export const newIncident = object({
  title: trimmed(titleCharactersMax, 'title'),
  of: trimmed(scopeCharactersMax, 'of').describe('A session, an agent, or a search.'),
  since: given(timeCharactersMax)
    .optional()
    .describe('A time such as 7d, 2026-11-20 or 2026-11-20T14:00.'),
  until: given(timeCharactersMax).optional(),
})

const named = object({ id: given(idCharactersMax).describe('The id, or its beginning.') })

export const incidentEndpoints = {
  'GET /v1/incidents': {
    does: 'Lists the incidents.',
    who: 'owner',
    answer: list(incidentView),
  },
  'POST /v1/incidents': {
    does: 'Opens an incident, and keeps the recordings of what it covers.',
    who: 'owner',
    body: newIncident,
    status: 201,
    answer: incidentView,
    fails: ['SP_NOT_FOUND', 'SP_QUERY_INVALID', 'SP_RECORD_UNAVAILABLE'],
  },
  'GET /v1/incidents/{id}': {
    does: 'Shows an incident, and what keeps its recordings.',
    who: 'owner',
    params: named,
    answer: heldIncident,
    fails: ['SP_NOT_FOUND'],
  },
  'POST /v1/incidents/{id}/close': {
    does: 'Closes an incident. Its holds stay.',
    who: 'owner',
    params: named,
    body: object({ note: trimmed(noteCharactersMax, 'note') }),
    answer: heldIncident,
    fails: ['SP_NOT_FOUND', 'SP_APPROVAL_REFUSED', 'SP_RECORD_UNAVAILABLE'],
  },
  'GET /v1/incidents/{id}/report': {
    does: 'Makes the report of an incident from recordings that are verified.',
    who: 'owner',
    params: named,
    query: object({
      as: z
        .enum(['json', 'markdown', 'zip'], {
          error: ({ input }) =>
            `a report has the forms json, markdown, zip; not "${String(input).slice(0, 32)}"`,
        })
        .optional()
        .describe('json where absent.'),
    }),
    answer: media({
      'application/json': incidentReport,
      'text/markdown': undefined,
      'application/zip': undefined,
    }),
    fails: ['SP_NOT_FOUND', 'SP_RECORD_UNAVAILABLE', 'SP_RECORDINGS_AWAY'],
  },
} as const satisfies Endpoints

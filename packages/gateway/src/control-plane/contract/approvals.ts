import * as z from 'zod'
import {
  approvalDecision,
  approvalState,
  approvalView,
  bundleView,
  shapeView,
} from './approval-views.ts'
import { approvalStats } from './approval-stats.ts'
import { glassEvent } from './break-glass.ts'
import { type Endpoints, media } from './endpoint.ts'
import { given, list, object, upTo } from './schema.ts'

const idCharactersMax = 64
const timeCharactersMax = 64
/** The reader of an answer has the better words for one that is too long. */
const noteCharactersMax = 16_384
const shapeCharactersMax = 16
/** Nobody is offered more at once. */
const bundledMax = 100

const one = object({ id: given(idCharactersMax).describe('The id, or its beginning.') })

const said = {
  decision: approvalDecision,
  note: z.string().max(noteCharactersMax).optional(),
}

const states = `all, ${approvalState.options.join(', ')}`

export const approvalEndpoints = {
  'GET /v1/approvals': {
    does: 'Lists requests for approval: those of the caller and below, and those that name it.',
    who: 'agents',
    query: object({
      state: z
        .enum(['all', ...approvalState.options], {
          error: ({ input }) => `"${String(input).slice(0, 32)}" is no state. There are ${states}.`,
        })
        .optional()
        .describe('pending where absent.'),
    }),
    answer: list(approvalView),
  },
  'GET /v1/approvals/events': {
    does: 'Tells of each request as it begins, is answered and ends, and of broken glasses: server-sent events.',
    who: 'agents',
    answer: media({ 'text/event-stream': z.union([approvalView, glassEvent]) }),
  },
  'GET /v1/approvals/stats': {
    does: 'Tells how often people are asked, and whether they look.',
    who: 'owner',
    query: object({
      since: given(timeCharactersMax)
        .optional()
        .describe('A time such as 7d or 2026-11-20; 30d where absent.'),
    }),
    answer: approvalStats,
  },
  'GET /v1/approvals/shapes': {
    does: 'Lists what approved shapes let through.',
    who: 'agents',
    answer: list(shapeView),
  },
  'POST /v1/approvals/shapes/{id}/withdraw': {
    does: 'Takes an approved shape back: commands of it are asked for again.',
    who: 'agents',
    acts: true,
    params: one,
    answer: shapeView,
    fails: ['SP_NOT_FOUND', 'SP_APPROVAL_REFUSED', 'SP_RECORD_UNAVAILABLE'],
  },
  'GET /v1/approvals/bundles': {
    does: 'Lists requests that differ in values alone, and may be answered together.',
    who: 'agents',
    answer: list(bundleView),
  },
  'POST /v1/approvals/bundles/{id}/answer': {
    does: 'Answers all requests of a bundle, each of which the answer has to name.',
    who: 'agents',
    acts: true,
    params: one,
    body: object({ ...said, ids: upTo(bundledMax, given(idCharactersMax)) }),
    answer: list(approvalView),
    fails: ['SP_NOT_FOUND', 'SP_APPROVAL_REFUSED', 'SP_RECORD_UNAVAILABLE'],
  },
  'GET /v1/approvals/{id}': {
    does: 'Shows a request, what it would do, and what was said to it.',
    who: 'agents',
    params: one,
    answer: approvalView,
    fails: ['SP_NOT_FOUND'],
  },
  'POST /v1/approvals/{id}/answer': {
    does: 'Approves or denies a request.',
    who: 'agents',
    acts: true,
    params: one,
    body: object({
      ...said,
      shape: given(shapeCharactersMax)
        .optional()
        .describe('With approve: for how long others of its shape need nobody, 30m.'),
    })
      .refine(({ decision, shape }) => decision === 'approve' || shape === undefined, {
        error: 'shape goes with approve',
      })
      .meta({ id: 'Answer' }),
    answer: approvalView,
    fails: ['SP_NOT_FOUND', 'SP_APPROVAL_REFUSED', 'SP_RECORD_UNAVAILABLE'],
  },
  'POST /v1/approvals/{id}/count': {
    does: 'Has the target count the rows that a command would meet.',
    who: 'agents',
    acts: true,
    params: one,
    answer: approvalView,
    fails: [
      'SP_NOT_FOUND',
      'SP_APPROVAL_REFUSED',
      'SP_PREVIEW_UNKNOWN',
      'SP_LIMIT',
      'SP_RECORD_UNAVAILABLE',
    ],
  },
} as const satisfies Endpoints

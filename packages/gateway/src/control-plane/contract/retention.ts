import * as z from 'zod'
import type { Endpoints } from './endpoint.ts'
import { count, flag, given, list, moment, object, opt, text } from './schema.ts'

const subjectCharactersMax = 64
const reasonCharactersMax = 500

const dueSession = object({
  session: text,
  connection: text,
  chain: list(text),
  closedAt: moment,
  entries: count,
  bytes: count,
  why: text.describe('Which rule says so: `connection shop-db keeps 30d`.'),
  action: z.enum(['erase', 'keep']).describe('keep: it is held, or not wholly in the store.'),
  because: opt(text).describe('Why it is kept all the same.'),
})

const retentionPlan = object({
  job: flag.describe('Whether retention runs by itself.'),
  sessions: list(dueSession),
  hasMore: flag.describe('True where there are more than a plan lists.'),
  approvals: count.describe('Requests for approval that are due.'),
}).meta({ id: 'RetentionPlan' })

/** What retention would erase now. */
export type RetentionPlan = z.output<typeof retentionPlan>

const retentionReport = object({
  erased: list(text),
  failed: list(object({ session: text, why: text })).describe(
    'Sessions that could not be; they are gone on with at the next run.',
  ),
  approvals: count.describe('Requests for approval that were erased.'),
}).meta({ id: 'RetentionReport' })

/** What was erased. */
export type RetentionReport = z.output<typeof retentionReport>

const hold = object({
  id: text,
  kind: z.enum(['session', 'tree']),
  subject: text,
  reason: text,
  by: text,
  at: moment,
}).meta({ id: 'Hold' })

/** Something that keeps a session, or all sessions of an agent and of those below it. */
export type Hold = z.output<typeof hold>

export const retentionEndpoints = {
  'GET /v1/retention': {
    does: 'Tells which recordings retention would erase now, and why.',
    who: 'owner',
    answer: retentionPlan,
  },
  'POST /v1/retention': {
    does: 'Erases what is due.',
    who: 'owner',
    answer: retentionReport,
    fails: ['SP_RECORD_UNAVAILABLE', 'SP_RECORDINGS_AWAY', 'SP_RECORDINGS_REFUSED'],
  },
  'GET /v1/holds': { does: 'Lists the holds.', who: 'owner', answer: list(hold) },
  'POST /v1/holds': {
    does: 'Keeps a session, or all sessions of an agent and of those below it, whatever retention says.',
    who: 'owner',
    body: object({
      subject: given(subjectCharactersMax).describe('Id of a session or an agent.'),
      reason: given(reasonCharactersMax),
    }),
    status: 201,
    answer: hold,
    fails: ['SP_NOT_FOUND', 'SP_RECORD_UNAVAILABLE'],
  },
  'DELETE /v1/holds/{id}': {
    does: 'Takes a hold away.',
    who: 'owner',
    params: object({ id: given(subjectCharactersMax) }),
    query: object({ reason: given(reasonCharactersMax).optional() }),
    status: 204,
    fails: ['SP_NOT_FOUND', 'SP_RECORD_UNAVAILABLE'],
  },
} as const satisfies Endpoints

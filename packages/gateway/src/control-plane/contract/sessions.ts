import type { Entry } from '@sallyport/core'
import * as z from 'zod'
import { recordingForms } from '../recording-forms.ts'
import { type Endpoints, media } from './endpoint.ts'
import { count, countIn, flag, given, list, moment, object, opaque, opt, text } from './schema.ts'

const idCharactersMax = 64
const queryCharactersMax = 4096
const pageLimitMax = 100
/** A terminal may say that it has no columns; what is more than a line can be is cut later. */
const widthMax = 1_000_000
const exportSessionsMax = 1000

const sessionView = object({
  id: text,
  connection: text,
  database: text,
  chain: list(text),
  application: text,
  source: text,
  openedAt: moment,
  closedAt: opt(moment),
  reason: opt(text),
  commands: count,
  blocked: count,
  maskedValues: count,
}).meta({ id: 'Session' })

/** One row of `sallyport sessions`. */
export type SessionView = z.output<typeof sessionView>

const maskedBy = list(object({ rule: text, values: count })).describe(
  'How many values which rule masked.',
)

const match = object({
  at: moment,
  seq: count,
  id: text,
  verdict: z.enum(['allowed', 'held', 'blocked']),
  rules: list(text),
  class: text,
  verb: text,
  text: text.describe('The beginning; textBytes is the length of the whole.'),
  textBytes: count,
  status: opt(text),
  code: opt(text),
  rows: count,
  bytes: count,
  columns: list(text),
  masked: maskedBy,
}).meta({ id: 'FoundCommand' })

/** A command that matches. */
export type Match = z.output<typeof match>

const foundSession = object({
  id: text,
  chain: list(text),
  connection: text,
  database: text,
  level: count.nullable(),
  openedAt: moment,
  closedAt: opt(moment),
  reason: opt(text),
  commands: object({ allowed: count, held: count, blocked: count }).describe(
    'All commands of the session that are in the index, by verdict.',
  ),
  masked: maskedBy,
  matches: list(match).describe('The newest matches, newest first.'),
  hasMore: flag.describe('True where there are more.'),
}).meta({ id: 'FoundSession' })

/** A session that has matches. */
export type FoundSession = z.output<typeof foundSession>

const searchPage = object({
  sessions: list(foundSession),
  next: opt(text).describe('Give it as after for the next page; absent on the last.'),
}).meta({ id: 'SearchPage' })

/** Sessions with matches, by their newest match. */
export type SearchPage = z.output<typeof searchPage>

export const step = object({
  kind: text.describe('The kind of the entry, or problem.') as unknown as z.ZodType<
    Entry['kind'] | 'problem',
    Entry['kind'] | 'problem'
  >,
  session: opt(text),
  atMs: opt(z.number()).describe(
    'Milliseconds since the epoch; absent of what is wrong with a recording.',
  ),
  seq: opt(count).describe('Number of the command that it belongs to.'),
  decision: opt(z.enum(['blocked', 'held', 'refused', 'masked'])),
  goesOn: opt(z.literal(true)).describe(
    'An answer that is not over: its portal was suspended, and more rows of it may come.',
  ),
  text: text.describe('Lines, each ended, without anything that could steer a terminal.'),
}).meta({ id: 'Step' })

/** Lines of a transcript that appear together: what a player plays, and what who watches gets. */
export type Step = z.output<typeof step>

const note = z
  .discriminatedUnion('kind', [
    object({
      kind: z.literal('session'),
      id: text,
      chain: list(object({ id: text, name: text })),
      connection: text,
      database: text,
      level: count,
    }).describe('A session that is open, or that opens.'),
    object({
      kind: z.literal('gap'),
      entries: count,
      sessions: list(object({ session: text, seq: count })),
    }).describe(
      'So many entries were not shown, because they came faster than they were read; each session, with the first command of it that has a part missing.',
    ),
    object({ kind: z.literal('alive') }).describe('Nothing happens, and the gateway is there.'),
    object({ kind: z.literal('end'), reason: text }),
  ])
  .meta({ id: 'LiveNote' })

const liveLine = z.union([note, step]).meta({ id: 'LiveLine' })

/** What stands in a live view beside what is recorded: one JSON object a line, told apart by `kind`. */
export type Note = z.output<typeof note>

/** A line of a live view in the form `steps`. */
export type LiveLine = z.output<typeof liveLine>

const printed = {
  width: countIn(0, widthMax)
    .optional()
    .describe('Columns, for the forms that are laid out; 100 where absent.'),
  only: z.enum(['decisions']).optional().describe('Blocked, held, refused and masked alone.'),
}

const paged = {
  after: given(idCharactersMax * 4)
    .optional()
    .describe('The `next` of the page before.'),
}

const sessionQuery = object({
  q: z.string().max(queryCharactersMax).optional().describe('A search; docs/recording.md.'),
  limit: countIn(1, pageLimitMax).optional().describe('20 where absent.'),
  ...paged,
})

export const sessionEndpoints = {
  'GET /v1/sessions': {
    does: 'Lists the newest sessions; with q, searches the commands of all.',
    who: 'owner',
    query: sessionQuery,
    answer: z.union([list(sessionView), searchPage]),
    fails: ['SP_QUERY_INVALID'],
  },
  'GET /v1/sessions/{session}': {
    does: 'Reads the recording of a session.',
    who: 'owner',
    params: object({ session: given(idCharactersMax).describe('The id, or its beginning.') }),
    query: object({
      as: z
        .enum(Object.keys(recordingForms) as [keyof typeof recordingForms])
        .optional()
        .describe('ndjson where absent.'),
      at: given(idCharactersMax)
        .optional()
        .describe('Where to begin: #12, 14:10:03 or 2026-11-20T14:10.'),
      skip: countIn(0, 1e12)
        .optional()
        .describe('For steps: this many are left out, which the reader has.'),
      ...printed,
    }),
    answer: media({
      'application/x-ndjson': z.union([
        step,
        opaque<object>('An entry of the recording; docs/recording.md.'),
      ]),
      'text/plain': undefined,
      'text/csv': undefined,
      'application/x-asciicast': undefined,
      'text/html': undefined,
    }),
    fails: ['SP_NOT_FOUND', 'SP_QUERY_INVALID', 'SP_RECORD_UNAVAILABLE', 'SP_RECORDINGS_AWAY'],
  },
  'GET /v1/watch': {
    does: 'Shows what is recorded from now on, until the caller leaves.',
    who: 'owner',
    query: object({
      of: z
        .string()
        .max(queryCharactersMax)
        .optional()
        .describe('A session, an agent with all below it, or a search; all where absent.'),
      as: z.enum(['steps', 'ndjson']).optional().describe('ndjson where absent.'),
      ...printed,
    }),
    answer: media({
      'application/x-ndjson': z.union([
        liveLine,
        opaque<object>('An entry of the recording; docs/recording.md.'),
      ]),
    }),
    fails: ['SP_NOT_FOUND', 'SP_QUERY_INVALID', 'SP_LIMIT', 'SP_RECORD_UNAVAILABLE'],
  },
  'GET /v1/exports': {
    does: 'Hands recordings out as an archive that can be verified without the gateway.',
    who: 'owner',
    query: object({
      session: z
        .preprocess(
          (value) => (typeof value === 'string' ? [value] : value),
          z.array(given(idCharactersMax), { error: exportProblem }).min(1).max(exportSessionsMax, {
            error: exportProblem,
          }),
        )
        .describe('Ids of sessions, or their beginnings; once for each.'),
    }),
    answer: media({ 'application/zip': undefined }),
    fails: ['SP_NOT_FOUND', 'SP_RECORD_UNAVAILABLE', 'SP_RECORDINGS_AWAY'],
  },
  'POST /v1/reindex': {
    does: 'Makes the index of searches anew from the recordings; the status tells when it is done.',
    who: 'owner',
    status: 202,
    answer: object({ ok: z.literal(true) }),
    fails: ['SP_RECORD_UNAVAILABLE'],
  },
} as const satisfies Endpoints

function exportProblem(): string {
  return `Name 1 to ${exportSessionsMax} sessions, as ?session=s_…&session=s_…`
}

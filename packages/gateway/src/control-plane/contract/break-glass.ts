import * as z from 'zod'
import type { Endpoints } from './endpoint.ts'
import { count, given, list, moment, object, opt, text } from './schema.ts'

const reasonCharactersMax = 500
const idCharactersMax = 64
const durationCharactersMax = 32
const connectionsMax = 20

const glassView = object({
  id: text,
  state: z.enum(['open', 'ended']),
  grant: text.describe('The BreakGlass object that allows it.'),
  by: text,
  agent: text.describe('The one agent whose commands it lets through.'),
  connections: list(text),
  reason: text,
  incident: text,
  openedAt: moment,
  until: moment,
  uses: count.describe('Commands that went on by it.'),
  skipped: list(text).describe('Whom rules named that were not asked.'),
  endedAt: opt(moment),
  why: opt(text).describe('Why it ended.'),
}).meta({ id: 'BrokenGlass' })

/** A glass that was broken, as the API shows it. */
export type GlassView = z.output<typeof glassView>

export const glassEvent = object({
  kind: z.enum(['breakglass.opened', 'breakglass.used', 'breakglass.ended']),
  glass: glassView,
  used: opt(
    object({ session: text, command: count, rules: list(text), skipped: list(text) }),
  ).describe('The command that went on, and whom its rules named.'),
}).meta({ id: 'GlassEvent' })

/** Told to those who watch. */
export type GlassEvent = z.output<typeof glassEvent>

const glassBegun = object({
  glass: opt(glassView),
  url: opt(text).describe('For a fresh tree: how psql opens its session. Shown once.'),
  confirmAt: opt(text).describe(
    'Where the person at the root of the tree logs in and says yes. Nothing is let through before.',
  ),
}).meta({ id: 'GlassBegun' })

/** What came of asking to break the glass. */
export type GlassBegun = z.output<typeof glassBegun>

export const breakGlassEndpoints = {
  'GET /v1/break-glass': {
    does: 'Lists the glasses that were broken, newest first: for an agent those of itself and of those below.',
    who: 'agents',
    answer: list(glassView),
  },
  'POST /v1/break-glass': {
    does: 'Lets commands of one agent run that rules would have approved, without asking. An agent can only ask its person to.',
    who: 'agents',
    acts: true,
    body: object({
      reason: z
        .string({ error: 'give a reason' })
        .trim()
        .min(1, { error: 'give a reason' })
        .max(reasonCharactersMax),
      connections: list(given(idCharactersMax)).unwrap().min(1).max(connectionsMax),
      agent: given(idCharactersMax)
        .optional()
        .describe('Absent: a fresh tree of the owner, or the agent that asks.'),
      for: given(durationCharactersMax).optional().describe('Such as 10m; 15m where absent.'),
    }),
    status: 201,
    answer: glassBegun,
    fails: ['SP_NOT_FOUND', 'SP_APPROVAL_REFUSED', 'SP_RECORD_UNAVAILABLE'],
  },
  'POST /v1/break-glass/{id}/end': {
    does: 'Ends one before its time.',
    who: 'agents',
    params: object({ id: given(idCharactersMax).describe('The id, or its beginning.') }),
    answer: glassView,
    fails: ['SP_NOT_FOUND'],
  },
} as const satisfies Endpoints

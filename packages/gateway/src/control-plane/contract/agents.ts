import * as z from 'zod'
import {
  agentTree,
  agentView,
  budgetKind,
  budgetLine,
  closureReport,
  grantable,
  issuedTicket,
  lineage,
  mintedCredential,
  revocation,
  spawned,
} from './agent-views.ts'
import { type Endpoints, media } from './endpoint.ts'
import { flag, given, list, object, opaque, upTo } from './schema.ts'

const idCharactersMax = 64
/** Names are shorter; who asks for a longer one reads what a name has to be. */
const nameCharactersMax = 255
const ttlCharactersMax = 32
const allowMax = 1000
const allowCharactersMax = 4096
const purposeCharactersMax = 500
const reasonCharactersMax = 500
const ticketCharactersMax = 256
const keyCharactersMax = 128
/** Enough for a run, a model and a host; each is kept with the agent for good. */
const declaredMax = 16
const declaredCharactersMax = 200

const ttl = given(ttlCharactersMax).describe('Such as 90s, 20m, 8h or 2d.')

const words = (what: string): z.ZodType<Record<string, string>, Record<string, string>> =>
  z
    .record(given(declaredCharactersMax), z.string().max(declaredCharactersMax))
    .refine((pairs) => Object.keys(pairs).length <= declaredMax, {
      error: `${what} must be an object of at most ${declaredMax} texts`,
    })

const granted = {
  allow: upTo(allowMax, given(allowCharactersMax))
    .optional()
    .describe('Such as shop:read; all that the parent holds where absent or empty.'),
  grant: z.unknown().optional().describe('A grant document in the place of allow; docs/agents.md.'),
}

const budget = z
  .partialRecord(budgetKind, z.int().min(0))
  .optional()
  .describe('Caps of the agent and all below it.')

const root = { ...granted, ttl: ttl.optional(), budget }

const child = {
  name: given(nameCharactersMax),
  ...root,
  purpose: z.string().max(purposeCharactersMax).optional(),
  cut: flag
    .optional()
    .describe('Asking for too much is cut down to what the parent has, and not refused.'),
  detach: flag.optional().describe('It may outlive the process of its parent.'),
  declared: words('declared').optional().describe('What the agent says of itself.'),
  reserve: flag
    .optional()
    .describe('The budget is taken from those above at birth, and what is left comes back.'),
}

export const newRoot = object({ name: given(nameCharactersMax).optional(), ...root })
export const newChild = object(child).meta({ id: 'NewChild' })
export const newTicket = object({
  ...child,
  expect: words('expect').optional().describe('Claims that who redeems it must show.'),
  ticketTtl: ttl.optional().describe('Of the ticket; ttl is that of the child.'),
}).meta({ id: 'NewTicket' })
export const redemption = object({
  ticket: given(ticketCharactersMax),
  name: given(nameCharactersMax).optional(),
  declared: words('declared').optional(),
})
export const mint = object({
  connection: given(nameCharactersMax),
  protocol: z.literal('postgres').optional(),
  maxUses: z.number().optional().describe('1 where absent.'),
  ttl: ttl.optional(),
  level: z
    .number()
    .optional()
    .describe('Attribution level of its sessions: 2 for one use, 1 for more, where absent.'),
})
export const narrowing = object(granted)
export const renewal = object({ ttl })
const reason = object({ reason: z.string().max(reasonCharactersMax).optional() })

const wait = object({
  wait: z
    .enum(['closed', 'none'], { error: 'wait is closed or none' })
    .optional()
    .describe('Until each worker has closed or is fenced, or not at all; a second where absent.'),
})

const idempotency = object({
  'idempotency-key': z
    .string()
    .min(1, { error: `an Idempotency-Key has 1 to ${keyCharactersMax} characters` })
    .max(keyCharactersMax, { error: `an Idempotency-Key has 1 to ${keyCharactersMax} characters` })
    .optional()
    .describe('A create that is sent again with the same key gives the same agent.'),
})

const one = object({
  id: given(idCharactersMax).describe('The id, its beginning, or self for the agent that asks.'),
})

const agentEvent = opaque<object>('kind, agent, chain, at, by, and what belongs to the kind.')

const births = [
  'SP_GRANT_EXCEEDS_PARENT',
  'SP_GRANT_UNRESOLVED',
  'SP_SPAWN_DEPTH',
  'SP_SPAWN_LIMIT',
  'SP_LIMIT',
  'SP_BUDGET_SPENT',
  'SP_RECORD_UNAVAILABLE',
] as const

/** What is asked of all agents, or of none yet. */
export const treeEndpoints = {
  'GET /v1/agents': {
    does: 'Lists the agents that the caller reaches, those that ended a short while ago too.',
    who: 'agents',
    answer: list(agentView),
  },
  'POST /v1/agents': {
    does: 'Makes a root agent of the owner. With a DPoP proof its handle is bound to that key.',
    who: 'owner',
    headers: idempotency,
    body: newRoot,
    status: 201,
    answer: spawned,
    fails: births,
  },
  'GET /v1/events': {
    does: 'Tells as it happens what becomes of the caller and all below it: server-sent events.',
    who: 'agents',
    answer: media({ 'text/event-stream': agentEvent }),
    fails: ['SP_RATE_LIMIT'],
  },
  'GET /v1/revocations/{epoch}': {
    does: 'Shows an end or a freeze, and what became of it at the workers.',
    who: 'agents',
    params: object({ epoch: given(idCharactersMax) }),
    answer: revocation,
    fails: ['SP_NOT_FOUND'],
  },
} as const satisfies Endpoints

/** The ticket is the proof. */
export const ticketEndpoints = {
  'POST /v1/tickets/redeem': {
    does: 'Makes the child that a ticket is for. With a DPoP proof its handle is bound to that key.',
    who: 'anybody',
    body: redemption,
    status: 201,
    answer: spawned,
    fails: ['SP_TICKET_SPENT', 'SP_RATE_LIMIT', 'SP_PROOF_REFUSED', ...births],
  },
} as const satisfies Endpoints

/** What is asked of one agent. */
export const agentEndpoints = {
  'GET /v1/agents/{id}': {
    does: 'Shows an agent.',
    who: 'agents',
    params: one,
    answer: agentView,
    fails: ['SP_NOT_FOUND'],
  },
  'GET /v1/agents/{id}/tree': {
    does: 'Shows an agent and all below it that live.',
    who: 'agents',
    params: one,
    answer: agentTree,
    fails: ['SP_NOT_FOUND'],
  },
  'GET /v1/agents/{id}/budget': {
    does: 'Shows every cap that binds an agent: its own and those above it.',
    who: 'agents',
    params: one,
    answer: list(budgetLine),
    fails: ['SP_NOT_FOUND'],
  },
  'GET /v1/agents/{id}/connections': {
    does: 'Lists the connections that an agent may open.',
    who: 'agents',
    params: one,
    answer: list(grantable),
    fails: ['SP_NOT_FOUND'],
  },
  'GET /v1/agents/{id}/lineage': {
    does: 'Tells where an agent comes from, signed.',
    who: 'agents',
    params: one,
    answer: lineage,
    fails: ['SP_NOT_FOUND'],
  },
  'POST /v1/agents/{id}/children': {
    does: 'Makes a child. With a DPoP proof its handle is bound to that key.',
    who: 'agents',
    acts: true,
    params: one,
    headers: idempotency,
    body: newChild,
    status: 201,
    answer: spawned,
    fails: ['SP_NOT_FOUND', 'SP_NOT_GRANTED', 'SP_RATE_LIMIT', ...births],
  },
  'POST /v1/agents/{id}/tickets': {
    does: 'Makes a ticket, with which a child begins elsewhere.',
    who: 'agents',
    acts: true,
    params: one,
    body: newTicket,
    status: 201,
    answer: issuedTicket,
    fails: ['SP_NOT_FOUND', 'SP_NOT_GRANTED', ...births],
  },
  'POST /v1/agents/{id}/credentials': {
    does: 'Makes a credential with which the agent opens a connection.',
    who: 'agents',
    acts: true,
    params: one,
    body: mint,
    status: 201,
    answer: mintedCredential,
    fails: [
      'SP_NOT_FOUND',
      'SP_NOT_GRANTED',
      'SP_LEVEL_TOO_LOW',
      'SP_BUDGET_SPENT',
      'SP_LIMIT',
      'SP_RATE_LIMIT',
      'SP_RECORD_UNAVAILABLE',
    ],
  },
  'POST /v1/agents/{id}/narrow': {
    does: 'Takes from what an agent may do, for good.',
    who: 'agents',
    acts: true,
    params: one,
    body: narrowing,
    answer: agentView,
    fails: ['SP_NOT_FOUND', 'SP_LIMIT', 'SP_GRANT_UNRESOLVED'],
  },
  'POST /v1/agents/{id}/renew': {
    does: "Moves an agent's end.",
    who: 'agents',
    acts: true,
    params: one,
    body: renewal,
    answer: agentView,
    fails: ['SP_NOT_FOUND', 'SP_NOT_GRANTED', 'SP_RECORD_UNAVAILABLE'],
  },
  'POST /v1/agents/{id}/beat': {
    does: 'Says that an agent lives.',
    who: 'agents',
    params: one,
    answer: agentView,
    fails: ['SP_NOT_FOUND'],
  },
  'POST /v1/agents/{id}/end': {
    does: 'Ends an agent and all below it: it is done.',
    who: 'agents',
    params: one,
    query: wait,
    body: reason,
    answer: closureReport,
    fails: ['SP_NOT_FOUND'],
  },
  'POST /v1/agents/{id}/revoke': {
    does: 'Takes an agent and all below it away.',
    who: 'agents',
    params: one,
    query: wait,
    body: reason,
    answer: closureReport,
    fails: ['SP_NOT_FOUND'],
  },
  'POST /v1/agents/{id}/freeze': {
    does: 'Stops an agent and all below it, for the time being.',
    who: 'agents',
    params: one,
    query: wait,
    body: reason,
    answer: closureReport,
    fails: ['SP_NOT_FOUND', 'SP_RATE_LIMIT'],
  },
  'POST /v1/agents/{id}/unfreeze': {
    does: 'Lets a frozen agent go on.',
    who: 'owner',
    params: one,
    body: reason,
    answer: closureReport,
    fails: ['SP_NOT_FOUND', 'SP_RECORD_UNAVAILABLE'],
  },
} as const satisfies Endpoints

import {
  idempotency,
  mint,
  narrowing,
  newChild,
  newRoot,
  newTicket,
  one,
  reason,
  redemption,
  renewal,
  wait,
} from './agent-requests.ts'
import {
  agentTree,
  agentView,
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
import { given, list, object, opaque } from './schema.ts'

const epochCharactersMax = 20

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
    params: object({ epoch: given(epochCharactersMax) }),
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

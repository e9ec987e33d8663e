import type { AgentId, BudgetKind } from '@sallyport/core'
import * as z from 'zod'
import { count, flag, id, list, moment, object, opaque, opt, text } from './schema.ts'

export const budgetKind = z.enum([
  'commands',
  'rows',
  'bytes',
  'writes',
  'sessions',
  'approvals',
]) satisfies z.ZodType<BudgetKind>

const agentId = id<AgentId>()

const budgetView = object({ kind: budgetKind, cap: count, used: count }).meta({ id: 'Budget' })

export type BudgetView = z.output<typeof budgetView>

export const budgetLine = object({
  ...budgetView.unwrap().shape,
  agent: agentId,
  name: text,
}).meta({ id: 'BudgetLine' })

/** Every cap that binds an agent: its own and those above it. */
export type BudgetLine = z.output<typeof budgetLine>

export const agentView = object({
  id: agentId,
  name: text,
  chain: list(text).describe('Names, root first.'),
  path: list(agentId),
  depth: count,
  parent: opt(agentId),
  principal: object({ id: text, kind: z.enum(['human', 'workload', 'service']), name: text }),
  owner: text,
  born: z.enum(['login', 'jwt', 'service', 'mint', 'ticket', 'attach', 'inferred']),
  state: z.enum(['active', 'frozen', 'ended', 'expired', 'revoked']),
  ended: opt(object({ by: text, reason: text, atMs: z.number() })).describe(
    'Who took it away or stopped it, when and why.',
  ),
  grant: list(text).describe(
    "The agent's own layers; those of the nearest agent above that has some, where it has none.",
  ),
  budget: list(budgetView),
  limits: object({
    depth: count.describe('Levels of agents below this one.'),
    children: count.describe('Children that live at once.'),
    agents: count.describe('Agents that live at once in the subtree, this one included.'),
    ttlMs: z.number().describe('The longest life of a child.'),
    detach: flag.describe('Whether a child may outlive the process of its parent.'),
  }),
  createdAt: moment,
  expiresAt: moment,
  purpose: opt(text),
  declared: opt(z.record(text, text)),
  live: object({ sessions: count, children: count, agents: count }),
}).meta({ id: 'Agent' })

/** An agent as the API shows it. */
export type AgentView = z.output<typeof agentView>

/** An agent and all below it. */
export interface AgentTreeView {
  readonly agent: AgentView
  readonly children: readonly AgentTreeView[]
}

export const agentTree: z.ZodType<AgentTreeView, unknown> = object({
  agent: agentView,
  get children() {
    return z.array(agentTree)
  },
}).meta({ id: 'AgentTree' })

const closedByAgent = object({
  session: text,
  agent: agentId,
  connection: text,
  outcome: z
    .enum(['idle', 'withdrawn', 'terminated', 'completed-before', 'cancel-sent', 'unknown'])
    .describe(
      'withdrawn: its command waited for an approval, and never left. cancel-sent: its worker was gone or silent, so the target was asked to end what ran. unknown: nobody could ask it.',
    ),
})

export const closureReport = object({
  epoch: opt(count).describe('By which it is found later; absent where nothing was changed.'),
  agent: agentId,
  state: z
    .enum(['closed', 'partial', 'unknown', 'pending'])
    .describe(
      'partial: a statement may live on. unknown: a worker did not answer. pending: nobody waited.',
    ),
  agents: count,
  sessions: list(closedByAgent),
  workers: object({
    all: count,
    acknowledged: count,
    fenced: opt(count).describe(
      'Silent for so long that they serve no command before they have heard of it.',
    ),
  }),
  ms: z.number(),
}).meta({ id: 'ClosureReport' })

/** What became of everything below an agent that was revoked, frozen or ended. */
export type ClosureReport = z.output<typeof closureReport>

export const revocation = object({
  epoch: count,
  agent: agentId,
  mode: text,
  by: text,
  reason: text,
  at: moment,
  agents: count,
  report: opt(closureReport).describe('Absent while the workers are still asked.'),
}).meta({ id: 'Revocation' })

export const spawned = object({
  agent: agentView,
  handle: text.describe('spa_…; this is the only time that it is shown.'),
  cut: list(text).describe('What was asked for and not given.'),
  cnf: opt(object({ jkt: text })).describe(
    'RFC 7800, section 3.1: the key that the handle is bound to.',
  ),
}).meta({ id: 'NewAgent' })

export type NewAgent = z.output<typeof spawned>

export const issuedTicket = object({
  id: text,
  ticket: text.describe('spt_…; this is the only time that it is shown.'),
  expiresAt: moment,
}).meta({ id: 'Ticket' })

export const mintedCredential = object({
  id: text,
  user: text,
  secret: text.describe('spc_…; this is the only time that it is shown.'),
  expiresAt: moment,
  url: text,
}).meta({ id: 'AgentCredential' })

export type NewCredential = z.output<typeof mintedCredential>

export const grantable = object({ name: text, database: text })

export const lineage = object({
  lineage: opaque<object>('Where the agent comes from, root first; docs/agents.md.'),
  jws: text.describe('The same, signed: JWS in its compact form. The key is at /oauth/jwks.'),
}).meta({ id: 'Lineage' })

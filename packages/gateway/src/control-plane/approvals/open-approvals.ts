import type { AgentId } from '@sallyport/core'
import type { AgentService } from '../agents/agent-service.ts'
import type { Parts } from '../parts.ts'
import { openQuestioner } from './preview/target-questioner.ts'
import { Previews } from './preview/previews.ts'
import { recentChanges } from './recent-changes.ts'
import { APPROVAL_LIMITS, ApprovalRates } from './approval-rates.ts'
import { ApprovalShapes } from './shapes.ts'
import { ruleKeyOf } from './shapes-rules.ts'
import { Approvals, type ApprovalsOptions } from './approvals.ts'
import type { ApprovalAgents } from './waiting.ts'

/** Budgets are leased to workers by number; what approvals take goes to none, and is never given back. */
const noWorker = -1

/** Opens what is known of requests for approval, on the agents of this gateway. */
export async function openApprovals(
  { store, ledger, agents, connections, snapshots, owner, counts, options, fault }: Parts,
  { send, tell }: Pick<ApprovalsOptions, 'send' | 'tell'>,
): Promise<Approvals> {
  const now = (): number => Date.now()
  const previews = new Previews({
    store,
    ledger,
    now,
    onFault: fault,
    open: openQuestioner,
    config: async (name) => await connections.config(name),
  })
  const shapes = await ApprovalShapes.open({
    store,
    ledger,
    now,
    onFault: fault,
    estimate: async (asked, questions) => await previews.estimate(asked, questions),
    ruleKey: (demands) => ruleKeyOf(snapshots.policies, demands),
  })
  return await Approvals.open({
    store,
    ledger,
    now,
    send,
    tell,
    rates: new ApprovalRates({ ...APPROVAL_LIMITS, ...options.approvalLimits }, now),
    onFault: fault,
    counts: counts.approvals,
    previews,
    shapes,
    changes: async (asked) => await recentChanges(store, asked, { owner, nowMs: now() }),
    agents: approvalAgents(agents),
  })
}

function approvalAgents(agents: AgentService): ApprovalAgents {
  return {
    rootOf(agent) {
      const principal = agents.get(agent)?.principal
      if (principal === undefined) return undefined
      return { id: principal.id, isHuman: principal.kind === 'human' }
    },
    treeOf: (agent) => agents.get(agent)?.path[0],
    refusal(agent: AgentId) {
      if (agents.get(agent) === undefined) return 'its agent is not known'
      const standing = agents.authorizeAgent(agent)
      return standing.ok ? undefined : standing.detail
    },
    async spend(agent) {
      const { granted, spent } = await agents.lease({ agent, amounts: { approvals: 1 } }, noWorker)
      if ((granted.approvals ?? 0) > 0) return undefined
      return `the budget of ${spent?.cap ?? 0} approvals of ${spent?.agent ?? 'its tree'} is used up`
    },
  }
}

import { agentWords, type AgentId, type Approver } from '@sallyport/core'
import type { ApiCaller, CallerOptions } from '../agents/api-caller.ts'
import type { Seer } from './approval-rows.ts'
import type { ApprovalView } from './approval.ts'

/** Whether a caller is an agent, or stands above it. */
export function reaches(who: ApiCaller, { agents }: CallerOptions, agent: string): boolean {
  return who.agent === undefined || who.reaches(agents.get(agent)?.path ?? [])
}

/** What a command would do is for those who decide: an agent could ask its target by it what it may not read. */
export function shownTo(who: ApiCaller, options: CallerOptions, view: ApprovalView): ApprovalView {
  const { preview, ...rest } = view
  return preview === undefined || isOfTree(who, options, view) ? rest : { ...rest, preview }
}

/** Whether a caller is an agent of the tree that asks. */
export function isOfTree(who: ApiCaller, { agents }: CallerOptions, view: ApprovalView): boolean {
  if (who.agent === undefined) return false
  const root = agents.get(who.agent)?.path[0]
  return root === undefined || root === (agents.get(view.agent)?.path[0] ?? root)
}

/** By what the store finds what `sees` lets a caller see; undefined for the owner, who sees all. */
export function seerOf(who: ApiCaller, { agents }: CallerOptions): Seer | undefined {
  if (who.agent === undefined) return undefined
  return { agent: who.agent, words: agentWords(agentApprover(who.agent, agents)) }
}

/** An agent that no rule names sees what it could see of the tree; what it does not reach reads like what does not exist. */
export function sees(who: ApiCaller, { agents }: CallerOptions, view: ApprovalView): boolean {
  if (who.agent === undefined) return true
  const path = agents.get(view.agent)?.path ?? []
  if (who.reaches(path)) return true
  const words = agentWords(agentApprover(who.agent, agents))
  return view.demands.some(({ from }) => words.some((word) => from.includes(word)))
}

/** Who answers, where it is not a person in a browser. */
export function approverOf(who: ApiCaller, { owner, agents }: CallerOptions): Approver {
  if (who.agent === undefined) return ownerApprover(owner)
  return agentApprover(who.agent, agents)
}

/** Whoever holds the owner's token. */
export function ownerApprover(owner: string): Approver {
  const id = `user:${owner}`
  return { id, kind: 'owner', principal: id, name: owner, groups: [] }
}

function agentApprover(id: AgentId, agents: CallerOptions['agents']): Approver {
  const { name = '', principal } = agents.get(id) ?? {}
  return { id, kind: 'agent', principal: principal?.id ?? '', name, groups: [] }
}

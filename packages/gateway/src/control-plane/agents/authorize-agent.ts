import { SallyportError } from '@sallyport/core'
import { type AgentNode, describe, isLive } from './agent-node.ts'
import { frozenBy } from './change-log.ts'

/** Why an agent may not act. */
export interface AgentRefusal {
  readonly code: 'SP_AGENT_REVOKED' | 'SP_AGENT_ENDED' | 'SP_AGENT_FROZEN'
  readonly detail: string
}

/**
 * The one door: whoever acts for an agent is let through here or not at all. Looks at the agent and all above it. The end
 * of a parent does not count: its children have their grace, or were detached, and end by themselves.
 */
export function refusalOf(agent: AgentNode, nowMs: number): AgentRefusal | undefined {
  if (!isLive(agent)) return ended(agent)
  for (const each of agent.path) {
    if (each.state === 'revoked' || each.state === 'expired') return ended(each)
    if (each.state === 'frozen') return frozen(each)
    if (each.expiresAtMs <= nowMs) return outOfTime(each)
  }
  return undefined
}

/** Throws where `refusalOf` finds a reason. */
export function authorize(agent: AgentNode, nowMs: number): AgentNode {
  const refusal = refusalOf(agent, nowMs)
  if (refusal === undefined) return agent
  throw new SallyportError(refusal.code, refusal.detail, { detail: refusal.detail })
}

function ended(agent: AgentNode): AgentRefusal {
  const { by = 'the gateway', reason = '', atMs = 0 } = agent.end ?? {}
  const at = `${new Date(atMs).toISOString().slice(11, 19)}Z`
  if (agent.state === 'revoked') {
    const detail = `${describe(agent)} was revoked by ${by} at ${at}: ${JSON.stringify(reason)}`
    return { code: 'SP_AGENT_REVOKED', detail }
  }
  const ask = agent.parent === undefined ? '' : `. Ask ${agent.parent.name} for a new child`
  const detail = `${describe(agent)} ended at ${at} (${agent.state === 'expired' ? 'expired: ' : ''}${reason})${ask}`
  return { code: 'SP_AGENT_ENDED', detail }
}

function frozen(agent: AgentNode): AgentRefusal {
  const { by = 'the gateway', reason = '' } = frozenBy(agent) ?? {}
  return { code: 'SP_AGENT_FROZEN', detail: `${describe(agent)} was frozen by ${by}: ${reason}` }
}

function outOfTime(agent: AgentNode): AgentRefusal {
  const at = `${new Date(agent.expiresAtMs).toISOString().slice(11, 19)}Z`
  return { code: 'SP_AGENT_ENDED', detail: `${describe(agent)} ended at ${at} (expired)` }
}

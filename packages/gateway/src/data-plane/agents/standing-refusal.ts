import { ERRORS, printChain, type Chain, type ErrorCode, type Refusal } from '@sallyport/core'
import type { AgentRecord } from '../../boundary/agents.ts'
import type { Standing } from './agent-index.ts'

/** Why an agent may not act, in words for the one who acted; undefined where it may. */
export function standingRefusal(standing: Standing, chain: Chain | undefined): Refusal | undefined {
  if (standing.kind === 'active') return undefined
  if (standing.kind === 'unknown')
    return refusal('SP_AGENT_ENDED', 'The agent is not known any more.')
  const { agent } = standing
  const who = `agent ${agent.id}${chain === undefined ? '' : ` (${upTo(chain, agent)})`}`
  const at = agent.ended === undefined ? '' : ` at ${clock(agent.ended.atMs)}`
  const why = agent.ended?.reason ? `: "${agent.ended.reason}"` : ''
  const by = agent.ended === undefined ? '' : ` by ${agent.ended.by}`
  if (standing.kind === 'frozen') {
    return refusal('SP_AGENT_FROZEN', `${who} was frozen${by}${at}${why}.`)
  }
  if (agent.state === 'revoked') {
    return refusal(
      'SP_AGENT_REVOKED',
      `${who} was revoked${by}${at}${why}. Everything under it is closed.`,
    )
  }
  const how = agent.state === 'active' ? 'expired' : agent.state
  return refusal('SP_AGENT_ENDED', `${who} ended${at} (${how}).`)
}

/** The names of an agent's chain down to the one that stands in the way: a caller reads of its ancestors and nobody else. */
function upTo(chain: Chain, agent: AgentRecord): string {
  const last = chain.agents.findIndex(({ id }) => id === agent.id)
  return printChain({ ...chain, agents: chain.agents.slice(0, last + 1) })
}

function clock(atMs: number): string {
  return `${new Date(atMs).toISOString().slice(11, 19)}Z`
}

function refusal(code: ErrorCode, detail: string): Refusal {
  return {
    code,
    message: `Sallyport: ${ERRORS[code].say}`,
    detail: `${detail} Nothing was sent to the target.`,
    hint: `(${code})`,
  }
}

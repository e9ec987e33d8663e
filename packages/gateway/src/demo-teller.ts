import type { ControlPlane } from './control-plane/control-plane.ts'
import { parseAllows } from './control-plane/agents/grant-asks.ts'
import type { StoryAgent, StoryTeller } from './demo/demo-story.ts'
import type { AgentView } from './control-plane/contract/agent-views.ts'

const connection = 'shop-db'
const ttlMs = 10 * 60 * 1000

/** Lets the demo's story use a running gateway as a launcher would: spawn, log in, kill. */
export function storyTeller(gateway: ControlPlane, owner: string): StoryTeller {
  const { agents } = gateway
  return {
    async root() {
      const { agent } = await agents.createRoot({
        principal: { id: `user:${owner}`, kind: 'human', name: owner, groups: [] },
        name: owner,
        born: 'login',
        owner: `user:${owner}`,
        layers: [{ permits: parseAllows([`${connection}:*`]) }],
        budget: {},
        delegate: {},
        ttlMs,
        handle: false,
      })
      return storyAgent(agent, [])
    },
    async spawn(parent, name, allow, purpose) {
      const layers = [{ permits: parseAllows([allow]) }]
      const request = { name, layers, purpose, born: 'mint', cut: true, handle: false } as const
      const { agent, cut } = await agents.spawn(parent.id, request)
      return storyAgent(agent, cut)
    },
    async login(agent) {
      const minted = await agents.mintCredential(agent.id, {
        connection,
        protocol: 'postgres',
        level: 2,
      })
      return {
        host: '127.0.0.1',
        port: gateway.ports.postgres,
        user: minted.user,
        password: minted.secret,
        database: 'postgres',
        // The listener's certificate is the gateway's own; this is one process talking to itself.
        ssl: { rejectUnauthorized: false },
      }
    },
    async kill(agent, reason) {
      const report = await agents.revoke(agent.id, { by: 'owner', name: owner, chain: [] }, reason)
      return { agents: report.agents, sessions: report.sessions.length, ms: report.ms }
    },
  }
}

function storyAgent(agent: AgentView, cut: readonly string[]): StoryAgent {
  return { id: agent.id, name: agent.name, chain: agent.chain.join(' › '), grant: agent.grant, cut }
}

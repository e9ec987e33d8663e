import {
  buildSessionFacts,
  buildSqlFacts,
  type AgentId,
  type Chain,
  type Facts,
  type InferenceMode,
} from '@sallyport/core'
import { type Given, type PolicyTest, withFacts } from './policy-test.ts'
import type { StandInDatabase } from './stand-in-database.ts'

/** The chain that a test states: agents without names of their own between the root and the one that asks. */
export function chainOf({ root, agent }: Given): Chain {
  const agents = Array.from({ length: agent.depth + 1 }, (_, depth) => ({
    id: `a_test${depth}` as AgentId,
    name: depth === agent.depth ? agent.name : depth === 0 ? root.name : `agent-${depth}`,
    depth,
    layers: [],
    createdAtMs: 0,
    expiresAtMs: 0,
  }))
  return { root, agents, level: agent.level }
}

/** What stands for rules that do not say. A person who looks for a row is noted; what acts by itself could guess value by value. */
export function inferenceOf({ root, agents }: Chain): InferenceMode {
  return root.kind === 'human' && agents.length === 1 ? 'observe' : 'block'
}

/** The facts of a test. What it does not state and its text does not tell is unknown. */
export function factsOf(test: PolicyTest, chain: Chain, database: StandInDatabase): Facts {
  const { given } = test
  const source = {
    chain,
    connection: given.connection,
    client: given.client ?? {},
    now: given.now ?? new Date(0),
  }
  const made =
    test.subject === 'session'
      ? buildSessionFacts({
          ...source,
          session: { protocol: 'postgres', login: '', database: '' },
        })
      : buildSqlFacts({ ...source, command: database.command(test.run ?? '', given.inTransaction) })
  const unsaid: Record<string, null> = { 'agent.ageSeconds': null, 'agent.ttlSeconds': null }
  if (given.now === undefined) unsaid['now'] = null
  if (test.run === undefined) Object.assign(unsaid, { op: null, sql: null })
  return withFacts(withFacts(made, unsaid), test.facts)
}

import type { AgentId, CredentialId } from '@sallyport/core'
import type { AgentChanges, AgentCredential, AgentRecord } from '../../boundary/agents.ts'
import { type AgentNode, type CredentialNode, layersOf } from './agent-node.ts'

/** Whoever asks for changes older than this many departures gets everything anew. */
const goneMax = 10_000

interface Gone {
  readonly version: number
  readonly agent?: AgentId
  readonly credential?: CredentialId
}

/** What one change touched. */
export interface Touched {
  readonly agents?: Iterable<AgentNode>
  readonly credentials?: Iterable<CredentialNode>
  readonly goneAgents?: readonly AgentId[]
  readonly goneCredentials?: readonly CredentialId[]
}

/** Numbers the changes of agents and credentials, tells listeners of each, and gives late-comers all since a version. */
export class ChangeLog {
  readonly #listeners: ((changes: AgentChanges) => void)[] = []
  readonly #agents: () => Iterable<AgentNode>
  readonly #credentials: () => Iterable<CredentialNode>
  #gone: Gone[] = []
  #forgotten = 0
  #version = 1

  constructor(agents: () => Iterable<AgentNode>, credentials: () => Iterable<CredentialNode>) {
    this.#agents = agents
    this.#credentials = credentials
  }

  get version(): number {
    return this.#version
  }

  onChange(listener: (changes: AgentChanges) => void): void {
    this.#listeners.push(listener)
  }

  /** Memory already holds the change. */
  commit(touched: Touched): number {
    const from = this.#version
    const version = from + 1
    this.#version = version
    const { goneAgents = [], goneCredentials = [] } = touched
    const agents = [...(touched.agents ?? [])]
    const credentials = [...(touched.credentials ?? [])]
    for (const node of agents) node.version = version
    for (const node of credentials) node.version = version
    for (const agent of goneAgents) this.#gone.push({ version, agent })
    for (const credential of goneCredentials) this.#gone.push({ version, credential })
    this.#trim()
    const changes: AgentChanges = {
      from,
      version,
      agents: agents.map(recordOf),
      credentials: credentials.map(credentialRecordOf),
      goneAgents,
      goneCredentials,
    }
    for (const listener of this.#listeners) listener(changes)
    return version
  }

  since(version: number): AgentChanges {
    const from = version < this.#forgotten || version > this.#version ? 0 : version
    const gone = from === 0 ? [] : this.#gone.filter((each) => each.version > from)
    const newer = (node: { version: number }): boolean => from === 0 || node.version > from
    return {
      from,
      version: this.#version,
      agents: [...this.#agents()].filter(newer).map(recordOf),
      credentials: [...this.#credentials()].filter(newer).map(credentialRecordOf),
      goneAgents: gone.flatMap(({ agent }) => agent ?? []),
      goneCredentials: gone.flatMap(({ credential }) => credential ?? []),
    }
  }

  #trim(): void {
    if (this.#gone.length <= 2 * goneMax) return
    const cut = this.#gone.length - goneMax
    this.#forgotten = this.#gone[cut - 1]?.version ?? 0
    this.#gone = this.#gone.slice(cut)
  }
}

function recordOf(node: AgentNode): AgentRecord {
  const end = node.state === 'frozen' ? frozenBy(node) : node.end
  return {
    id: node.id,
    path: node.path.map((each) => each.id),
    name: node.name,
    principal: node.principal.current,
    state: node.state,
    ...(end === undefined ? {} : { ended: end }),
    layers: layersOf(node),
    budget: Object.fromEntries([...node.budgets].map(([kind, { cap }]) => [kind, cap])),
    createdAtMs: node.createdAtMs,
    expiresAtMs: node.expiresAtMs,
  }
}

/** The first of the freezes that hold an agent. */
export function frozenBy(
  node: AgentNode,
): { by: string; reason: string; atMs: number } | undefined {
  const first = node.freezes[0]
  return first && { by: first.by, reason: first.reason, atMs: first.atMs }
}

function credentialRecordOf(node: CredentialNode): AgentCredential {
  return {
    id: node.id,
    connection: node.connection,
    agent: node.agent.id,
    level: node.level,
    scram: node.scram,
    expiresAtMs: node.expiresAtMs,
  }
}

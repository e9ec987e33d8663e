import type { AgentId, Chain, CredentialId, SessionId } from '@sallyport/core'
import type {
  AgentChanges,
  AgentCredential,
  AgentRecord,
  ClosedByAgent,
} from '../../boundary/agents.ts'

/** A session as the index knows it: it stands below every agent of its path. */
export interface LiveSession {
  readonly id: SessionId
  readonly agent: AgentId
  readonly connection: string
  /** Something about an agent of its path is new. */
  agentsChanged(): void
  /** From this call on nothing of the session reaches its target. Resolves when it is known what became of what ran. */
  takeAway(): Promise<ClosedByAgent['outcome']>
}

/** Whether an agent may act now: it and all above it are active, or the first that is not. */
export type Standing =
  | { readonly kind: 'active' }
  | { readonly kind: 'frozen' | 'over'; readonly agent: AgentRecord }
  | { readonly kind: 'unknown' }

const active: Standing = { kind: 'active' }
const unknown: Standing = { kind: 'unknown' }

/** The agents and credentials that the control plane has told of, and the sessions that live below each. */
export class AgentIndex {
  readonly #now: () => number
  readonly #agents = new Map<AgentId, AgentRecord>()
  readonly #credentials = new Map<CredentialId, AgentCredential>()
  readonly #below = new Map<AgentId, Set<LiveSession>>()
  readonly #chains = new Map<
    string,
    { readonly records: readonly AgentRecord[]; readonly chain: Chain }
  >()
  #version = 0
  #waiting: { readonly version: number; readonly resolve: () => void }[] = []

  constructor(now: () => number) {
    this.#now = now
  }

  /** Grows with every change. */
  get version(): number {
    return this.#version
  }

  agent(id: AgentId): AgentRecord | undefined {
    return this.#agents.get(id)
  }

  credential(id: CredentialId): AgentCredential | undefined {
    return this.#credentials.get(id)
  }

  /**
   * Takes changes in, and takes away the sessions of agents that are over. `gap` where changes between were lost: nothing
   * was taken in, and everything must be asked for anew.
   */
  apply(changes: AgentChanges): Promise<readonly ClosedByAgent[]> | 'gap' {
    if (changes.from !== 0 && changes.from > this.#version) return 'gap'
    if (changes.from !== 0 && changes.version <= this.#version) return Promise.resolve([])
    const touched = new Set<AgentId>(changes.goneAgents)
    if (changes.from === 0) {
      for (const id of this.#agents.keys()) touched.add(id)
      this.#agents.clear()
      this.#credentials.clear()
    }
    for (const agent of changes.agents) {
      this.#agents.set(agent.id, agent)
      touched.add(agent.id)
    }
    for (const credential of changes.credentials) this.#credentials.set(credential.id, credential)
    for (const id of changes.goneAgents) this.#agents.delete(id)
    for (const id of changes.goneCredentials) this.#credentials.delete(id)
    this.#version = changes.version
    for (const id of touched) this.#forgetChains(id)
    this.#release()
    return this.#tell(touched)
  }

  /** Resolves once this version, or a newer one, is taken in. */
  async reached(version: number): Promise<void> {
    if (this.#version >= version) return
    await new Promise<void>((resolve) => {
      this.#waiting.push({ version, resolve })
    })
  }

  /** Puts a session below its agent and all above it. Register first, look at the standing afterwards: the other order leaks. */
  register(session: LiveSession, path: readonly AgentId[]): () => void {
    for (const id of path) {
      const sessions = this.#below.get(id) ?? new Set()
      sessions.add(session)
      this.#below.set(id, sessions)
    }
    return () => {
      for (const id of path) {
        const sessions = this.#below.get(id)
        sessions?.delete(session)
        if (sessions?.size === 0) this.#below.delete(id)
      }
    }
  }

  /**
   * Looks at the whole path, root first. That an agent above has ended does not count: those below it have their grace, or
   * were detached, and end by themselves. Below a frozen agent one that is over is over all the same.
   */
  standing(id: AgentId): Standing {
    const record = this.#agents.get(id)
    if (record === undefined) return unknown
    let frozen: AgentRecord | undefined
    for (const each of record.path) {
      const agent = this.#agents.get(each)
      if (agent === undefined) return unknown
      if (agent.state === 'ended' && each !== id) continue
      const isLive = agent.state === 'active' || agent.state === 'frozen'
      if (!isLive || agent.expiresAtMs <= this.#now()) return { kind: 'over', agent }
      if (agent.state === 'frozen') frozen ??= agent
    }
    return frozen === undefined ? active : { kind: 'frozen', agent: frozen }
  }

  /** The chain of an agent: the same object as long as no agent of its path changes, so that what is derived from it can be kept. */
  chainOf(id: AgentId, level: number): Chain | undefined {
    const path = this.#agents.get(id)?.path ?? []
    const records = path.flatMap((each) => this.#agents.get(each) ?? [])
    const leaf = records.at(-1)
    if (leaf === undefined || records.length !== path.length) return undefined
    const key = `${level} ${id}`
    const known = this.#chains.get(key)
    if (known?.records.every((record, depth) => record === records[depth]) === true) {
      return known.chain
    }
    const agents = records.map(
      ({ id: agentId, name, layers, createdAtMs, expiresAtMs }, depth) => ({
        id: agentId,
        name,
        depth,
        layers,
        createdAtMs,
        expiresAtMs,
      }),
    )
    const chain = { root: leaf.principal, agents, level }
    this.#chains.set(key, { records, chain })
    return chain
  }

  /** Chains of agents that are gone must not pile up. */
  #forgetChains(id: AgentId): void {
    if (this.#agents.has(id)) return
    for (let level = 0; level <= 4; level += 1) this.#chains.delete(`${level} ${id}`)
  }

  #release(): void {
    const due = this.#waiting.filter(({ version }) => version <= this.#version)
    this.#waiting = this.#waiting.filter(({ version }) => version > this.#version)
    for (const { resolve } of due) resolve()
  }

  async #tell(touched: ReadonlySet<AgentId>): Promise<readonly ClosedByAgent[]> {
    const sessions = new Set<LiveSession>()
    for (const id of touched) for (const session of this.#below.get(id) ?? []) sessions.add(session)
    const closing: Promise<ClosedByAgent>[] = []
    for (const session of sessions) {
      const standing = this.standing(session.agent)
      if (standing.kind === 'over' || standing.kind === 'unknown') closing.push(close(session))
      else session.agentsChanged()
    }
    return await Promise.all(closing)
  }
}

async function close(session: LiveSession): Promise<ClosedByAgent> {
  const { id, agent, connection } = session
  const outcome = await session.takeAway().catch(() => 'unknown' as const)
  return { session: id, agent, connection, outcome }
}

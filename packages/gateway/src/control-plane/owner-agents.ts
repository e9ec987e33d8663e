import type { Admission, AgentChanges, Lease, LeaseRequest } from '../boundary/agents.ts'
import type { AgentSource } from './agent-relay.ts'
import type { Credentials } from './credentials.ts'

/** The agents of the local owner: one for each credential, without budgets. */
export class OwnerAgents implements AgentSource {
  readonly #credentials: Credentials
  #all: AgentChanges = {
    from: 0,
    version: 1,
    agents: [],
    credentials: [],
    goneAgents: [],
    goneCredentials: [],
  }

  constructor(credentials: Credentials) {
    this.#credentials = credentials
  }

  /** Reads them anew. */
  async refresh(): Promise<AgentChanges> {
    const records = await this.#credentials.records()
    this.#all = { ...this.#all, ...records, version: this.#all.version + 1 }
    return this.#all
  }

  changesSince(): AgentChanges {
    return this.#all
  }

  async admit(): Promise<Admission> {
    return await Promise.resolve({ kind: 'admitted', version: this.#all.version })
  }

  async lease({ amounts }: LeaseRequest): Promise<Lease> {
    return await Promise.resolve({ granted: amounts })
  }

  async returnLease(): Promise<void> {
    await Promise.resolve()
  }

  workerLost(): void {
    // Nothing was counted.
  }
}

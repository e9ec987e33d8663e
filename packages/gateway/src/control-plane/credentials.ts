import { SallyportError } from '@sallyport/core'
import { ownerActor } from './agents/agent-events.ts'
import type { RootRequest } from './agents/agent-requests.ts'
import type { AgentService } from './agents/agent-service.ts'
import { parseAllows } from './agents/grant-asks.ts'
import { rootName } from './agents/spawn-rules.ts'
import type { Store } from './ports/store.ts'
import type { IssuedCredential } from './contract/connections.ts'

const ttlMsDefault = 8 * 3600 * 1000
const ttlMsMax = 90 * 24 * 3600 * 1000

/** What a caller asks for. */
export interface CredentialRequest {
  readonly connection: string
  /** Texts such as `orders-db:read`; everything on the connection where absent. */
  readonly allow?: readonly string[]
  readonly ttlMs?: number
}

/** Credentials of the local owner. Each belongs to a root agent of its own, so that each can be narrowed and ended alone. */
export class Credentials {
  readonly #store: Store
  readonly #agents: AgentService
  readonly #owner: string

  /** `owner` is the operating system's user name. */
  constructor(store: Store, agents: AgentService, owner: string) {
    this.#store = store
    this.#agents = agents
    this.#owner = owner
  }

  async issue(request: CredentialRequest): Promise<IssuedCredential> {
    const { connection } = request
    const permits = parseAllows(request.allow ?? [`${connection}:*`])
    const ttlMs = checkedTtl(request.ttlMs ?? ttlMsDefault)
    await this.#checkConnection(connection)
    const root: RootRequest = {
      principal: { id: `user:${this.#owner}`, kind: 'human', name: this.#owner, groups: [] },
      name: rootName(this.#owner),
      born: 'login',
      owner: `user:${this.#owner}`,
      layers: [{ permits }],
      budget: {},
      delegate: {},
      ttlMs,
      handle: false,
    }
    const { agent } = await this.#agents.createRoot(root, ownerActor(this.#owner))
    const minted = await this.#agents.issueOwnerCredential(agent.id, connection)
    return { ...minted, connection, agent: agent.id }
  }

  async #checkConnection(name: string): Promise<void> {
    const known = await this.#store.db
      .selectFrom('connection')
      .select('name')
      .where('name', '=', name)
      .executeTakeFirst()
    if (known !== undefined) return
    throw new SallyportError('SP_NOT_FOUND', `there is no connection "${name}"`, {
      detail: `connection "${name}"`,
    })
  }
}

function checkedTtl(ttlMs: number): number {
  if (Number.isSafeInteger(ttlMs) && ttlMs > 0 && ttlMs <= ttlMsMax) return ttlMs
  const detail = 'a credential lives at least 1 ms and at most 90 days'
  throw new SallyportError('SP_CONFIG_INVALID', detail, { detail })
}

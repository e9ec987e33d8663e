import { randomBytes } from 'node:crypto'
import {
  makeId,
  type AgentId,
  type AgentState,
  type GrantLayer,
  type Principal,
} from '@sallyport/core'
import type { BirthAgents, Born, BornAgent, ChildBirth, RootBirth } from './ports.ts'

interface FakeAgent {
  readonly view: BornAgent & { state: AgentState }
  readonly request: RootBirth | ChildBirth
  readonly parent: AgentId | undefined
  handle: string | undefined
  entitlement: readonly GrantLayer[]
}

/** Agents in memory that do what `ports.ts` asks for, and show what they were asked. */
export class FakeAgents implements BirthAgents {
  readonly all = new Map<AgentId, FakeAgent>()
  readonly groups = new Map<string, readonly string[]>()
  readonly #principals = new Map<AgentId, Principal>()
  readonly #now: () => number

  constructor(now: () => number = Date.now) {
    this.#now = now
  }

  async createRoot(request: RootBirth): Promise<Born> {
    const born = this.#bear(undefined, request, request.ttlMs)
    this.#principals.set(born.agent.id, request.principal)
    const agent = this.all.get(born.agent.id)
    if (agent !== undefined) agent.entitlement = request.entitlement
    return born
  }

  async spawn(parent: AgentId, request: ChildBirth): Promise<Born> {
    return this.#bear(parent, request, request.ttlMs ?? 3_600_000)
  }

  authenticateHandle(text: string): BornAgent | undefined {
    return [...this.all.values()].find(({ handle }) => handle === text)?.view
  }

  get(id: AgentId): BornAgent | undefined {
    return this.all.get(id)?.view
  }

  async setGroups(principal: string, groups: readonly string[]): Promise<void> {
    this.groups.set(principal, groups)
  }

  async revoke(agent: AgentId): Promise<void> {
    const found = this.all.get(agent)
    if (found !== undefined) found.view.state = 'revoked'
  }

  *liveRoots(): Iterable<{ readonly id: AgentId; readonly principal: Principal }> {
    for (const [id, principal] of this.#principals) {
      if (this.get(id)?.state !== 'active') continue
      yield {
        id,
        principal: { ...principal, groups: this.groups.get(principal.id) ?? principal.groups },
      }
    }
  }

  async setEntitlement(root: AgentId, layers: readonly GrantLayer[]): Promise<void> {
    const agent = this.all.get(root)
    if (agent !== undefined) agent.entitlement = layers
  }

  #bear(parent: AgentId | undefined, request: RootBirth | ChildBirth, ttlMs: number): Born {
    for (const known of this.all.values()) {
      const isSame =
        request.key !== undefined && known.request.key === request.key && known.parent === parent
      if (!isSame || known.view.state !== 'active') continue
      known.handle = request.handle ? newHandle() : undefined
      return bornOf(known)
    }
    const above = parent === undefined ? undefined : this.get(parent)
    const id = makeId<AgentId>('a', randomBytes)
    const agent: FakeAgent = {
      view: {
        id,
        name: request.name,
        chain: [...(above?.chain ?? []), request.name],
        path: [...(above?.path ?? []), id],
        state: 'active',
        expiresAt: new Date(this.#now() + ttlMs).toISOString(),
        grant: [],
      },
      request,
      parent,
      handle: request.handle ? newHandle() : undefined,
      entitlement: [],
    }
    this.all.set(id, agent)
    return bornOf(agent)
  }
}

function newHandle(): string {
  return `spa_${randomBytes(16).toString('hex')}`
}

function bornOf({ view, handle }: FakeAgent): Born {
  return handle === undefined ? { agent: view } : { agent: view, handle }
}

import type { AgentId } from '@sallyport/core'
import type { WatchedLogin, WatchedLogins } from './oidc/rechecks.ts'

/** Logins that are watched, for as long as the test keeps it. */
export class MemoryLogins implements WatchedLogins {
  readonly known = new Map<AgentId, WatchedLogin>()

  async save(root: AgentId, login: WatchedLogin): Promise<void> {
    this.known.set(root, login)
    await Promise.resolve()
  }

  async forget(root: AgentId): Promise<void> {
    this.known.delete(root)
    await Promise.resolve()
  }

  async all(): Promise<ReadonlyMap<AgentId, WatchedLogin>> {
    return await Promise.resolve(new Map(this.known))
  }
}

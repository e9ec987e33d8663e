import { type AgentId, Secret } from '@sallyport/core'
import type { WatchedLogin, WatchedLogins } from './births/oidc/rechecks.ts'
import { seal, unseal } from './keys/seal.ts'
import type { Store } from './ports/store.ts'

const prefix = 'login/'

interface Written extends Omit<WatchedLogin, 'refreshToken'> {
  readonly refreshToken: string
}

/** What renews the logins of people, sealed: a copy of the store alone renews none. */
export class StoredLogins implements WatchedLogins {
  readonly #store: Store
  readonly #key: Secret<Buffer>
  readonly #onFault: (error: unknown) => void

  constructor(store: Store, key: Secret<Buffer>, onFault: (error: unknown) => void) {
    this.#store = store
    this.#key = key
    this.#onFault = onFault
  }

  /** Durable before it returns: a provider that changes the token with each use takes the one of before no more. */
  async save(root: AgentId, login: WatchedLogin): Promise<void> {
    const name = prefix + root
    const written: Written = { ...login, refreshToken: login.refreshToken.expose() }
    const sealed = seal(this.#key, name, JSON.stringify(written))
    await this.#store.durable((tx) =>
      tx
        .insertInto('sealed_secret')
        .values({ name, sealed })
        .onConflict((conflict) => conflict.column('name').doUpdateSet({ sealed }))
        .execute(),
    )
  }

  async forget(root: AgentId): Promise<void> {
    await this.#store.durable((tx) =>
      tx
        .deleteFrom('sealed_secret')
        .where('name', '=', prefix + root)
        .execute(),
    )
  }

  async all(): Promise<ReadonlyMap<AgentId, WatchedLogin>> {
    const rows = await this.#store.db
      .selectFrom('sealed_secret')
      .selectAll()
      .where('name', 'like', `${prefix}%`)
      .execute()
    const known = new Map<AgentId, WatchedLogin>()
    for (const { name, sealed } of rows) {
      try {
        const written = JSON.parse(unseal(this.#key, name, sealed)) as Written
        const refreshToken = new Secret(written.refreshToken)
        known.set(name.slice(prefix.length) as AgentId, { ...written, refreshToken })
      } catch (error) {
        // One that does not open must not keep the others, or the gateway, from starting.
        this.#onFault(error)
      }
    }
    return known
  }
}

import type { AgentId, Secret } from '@sallyport/core'
import type { IdentityConfig } from '../config/identity-config.ts'
import type { Entitlements } from '../entitlements.ts'
import type { BirthAgents } from '../ports.ts'
import type { LoggedIn } from './human-births.ts'
import { LoginRefused, readIdentity } from './identity.ts'
import { isProvidersRefusal, type ProviderClient } from './provider-client.ts'

/** The longest time for which somebody who left, or left a group, goes unnoticed. */
const everyMs = 10 * 60_000

export interface RecheckOptions {
  readonly config: () => IdentityConfig
  readonly client: Pick<ProviderClient, 'renew'>
  readonly agents: Pick<BirthAgents, 'get' | 'revoke'>
  readonly entitlements: Pick<Entitlements, 'setGroups'>
  readonly onFault: (error: unknown) => void
}

interface Watched {
  readonly person: Pick<LoggedIn, 'provider' | 'principal'>
  readonly subject: string
  /** In memory only: after a restart a login is not renewed and lives to its end. */
  refreshToken: Secret<string>
}

/** Asks the provider of every person who is logged in, again and again, whether it still knows the person, and in which groups. */
export class Rechecks {
  readonly #options: RecheckOptions
  readonly #watched = new Map<AgentId, Watched>()
  readonly #timer: NodeJS.Timeout

  constructor(options: RecheckOptions) {
    this.#options = options
    this.#timer = setInterval(() => void this.run().catch(options.onFault), everyMs)
    this.#timer.unref()
  }

  watch(root: AgentId, { provider, principal }: LoggedIn, refreshToken: Secret<string>): void {
    const subject = principal.id.slice(principal.id.indexOf('|') + 1)
    this.#watched.set(root, { person: { provider, principal }, subject, refreshToken })
  }

  /** Looks at everybody once. */
  async run(): Promise<void> {
    for (const [root, watched] of this.#watched) {
      const state = this.#options.agents.get(root)?.state
      if (state !== 'active' && state !== 'frozen') this.#watched.delete(root)
      // Who could not be looked at is looked at again, and does not keep others from it.
      else await this.#look(root, watched).catch(this.#options.onFault)
    }
  }

  close(): void {
    clearInterval(this.#timer)
  }

  async #look(root: AgentId, watched: Watched): Promise<void> {
    const { client, config, entitlements, onFault } = this.#options
    const provider = config().providers.get(watched.person.provider)
    if (provider === undefined) return this.#end(root, watched, 'the provider was removed')
    try {
      const answer = await client.renew(provider, watched.refreshToken, watched.subject)
      watched.refreshToken = answer.refreshToken ?? watched.refreshToken
      const principal = readIdentity(provider, answer.claims)
      await entitlements.setGroups(principal, principal.groups)
    } catch (error) {
      if (isProvidersRefusal(error)) return this.#end(root, watched, 'the provider ended the login')
      if (error instanceof LoginRefused) return this.#end(root, watched, error.message)
      // A provider that can't be reached says nothing; the next look follows.
      onFault(error)
    }
  }

  async #end(root: AgentId, { person }: Watched, why: string): Promise<void> {
    await this.#options.agents.revoke(root, person.provider, why)
    this.#watched.delete(root)
  }
}

import type { AgentId, Principal, Secret } from '@sallyport/core'
import type { IdentityConfig } from '../config/identity-config.ts'
import type { Entitlements } from '../entitlements.ts'
import type { BirthAgents, LoginGate } from '../ports.ts'
import type { LoggedIn } from './human-births.ts'
import { LoginRefused, readIdentity } from './identity.ts'
import { isProvidersRefusal, type ProviderClient } from './provider-client.ts'

/** The longest time for which somebody who left, or left a group, goes unnoticed. */
const everyMs = 10 * 60_000

/** A login that its provider can be asked about. */
export interface WatchedLogin {
  readonly provider: string
  readonly principal: Principal
  readonly subject: string
  readonly refreshToken: Secret<string>
}

/** Keeps logins over a restart. */
export interface WatchedLogins {
  save(root: AgentId, login: WatchedLogin): Promise<void>
  forget(root: AgentId): Promise<void>
  all(): Promise<ReadonlyMap<AgentId, WatchedLogin>>
}

export interface RecheckOptions {
  readonly config: () => IdentityConfig
  readonly client: Pick<ProviderClient, 'renew'>
  readonly agents: Pick<BirthAgents, 'get' | 'revoke'>
  readonly entitlements: Pick<Entitlements, 'setGroups'>
  readonly logins: WatchedLogins
  readonly gate: Pick<LoginGate, 'askedAgain'>
  readonly onFault: (error: unknown) => void
}

/** Asks the provider of every person who is logged in, again and again, whether it still knows the person, and in which groups. */
export class Rechecks {
  readonly #options: RecheckOptions
  readonly #watched: Map<AgentId, WatchedLogin>
  readonly #timer: NodeJS.Timeout
  #running: Promise<void> | undefined

  /** With the logins of before a restart. The first look at them is at once: nobody looked while the gateway was down. */
  static async open(options: RecheckOptions): Promise<Rechecks> {
    const rechecks = new Rechecks(options, await options.logins.all())
    if (rechecks.#watched.size > 0) void rechecks.run().catch(options.onFault)
    return rechecks
  }

  private constructor(options: RecheckOptions, known: ReadonlyMap<AgentId, WatchedLogin>) {
    this.#options = options
    this.#watched = new Map(known)
    this.#timer = setInterval(() => void this.run().catch(options.onFault), everyMs)
    this.#timer.unref()
  }

  async watch(
    root: AgentId,
    { provider, principal }: LoggedIn,
    refreshToken: Secret<string>,
  ): Promise<void> {
    const subject = principal.id.slice(principal.id.indexOf('|') + 1)
    await this.#keep(root, { provider, principal, subject, refreshToken })
  }

  /** Looks at everybody once. One look at a time: of two that renew with one token, the provider would refuse the second. */
  run(): Promise<void> {
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined
    })
    return this.#running
  }

  close(): void {
    clearInterval(this.#timer)
  }

  async #run(): Promise<void> {
    for (const [root, watched] of this.#watched) {
      const state = this.#options.agents.get(root)?.state
      const isOver = state !== 'active' && state !== 'frozen'
      // Who could not be looked at is looked at again, and does not keep others from it.
      await (isOver ? this.#forget(root) : this.#look(root, watched)).catch(this.#options.onFault)
    }
  }

  async #look(root: AgentId, watched: WatchedLogin): Promise<void> {
    const { client, config, entitlements, gate, onFault } = this.#options
    const provider = config().providers.get(watched.provider)
    if (provider === undefined) return this.#end(root, watched, 'the provider was removed')
    try {
      const answer = await client.renew(provider, watched.refreshToken, watched.subject)
      const { refreshToken } = answer
      if (refreshToken !== undefined && refreshToken.expose() !== watched.refreshToken.expose())
        await this.#keep(root, { ...watched, refreshToken })
      const principal = readIdentity(provider, answer.claims)
      await gate.askedAgain(principal.id, principal.groups)
      await entitlements.setGroups(principal, principal.groups)
    } catch (error) {
      if (isProvidersRefusal(error)) return this.#end(root, watched, 'the provider ended the login')
      if (error instanceof LoginRefused) return this.#end(root, watched, error.message)
      // A provider that can't be reached says nothing; the next look follows.
      onFault(error)
    }
  }

  async #end(root: AgentId, { provider, principal }: WatchedLogin, why: string): Promise<void> {
    // First: with the agent goes what else says that the person has lost something.
    await this.#options.gate.askedAgain(principal.id, undefined)
    await this.#options.agents.revoke(root, provider, why)
    await this.#forget(root)
  }

  /** In memory first: where it can't be written, it is at least used until a restart. */
  async #keep(root: AgentId, login: WatchedLogin): Promise<void> {
    this.#watched.set(root, login)
    await this.#options.logins.save(root, login)
  }

  async #forget(root: AgentId): Promise<void> {
    this.#watched.delete(root)
    await this.#options.logins.forget(root)
  }
}

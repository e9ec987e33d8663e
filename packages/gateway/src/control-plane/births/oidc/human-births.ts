import type { AgentId, Principal, Secret } from '@sallyport/core'
import {
  type IdentityConfig,
  type LoginProvider,
  loginProviders,
} from '../config/identity-config.ts'
import { askedOf, type Entitlements, smallerBudget } from '../entitlements.ts'
import type { GrantAsk } from '../oauth/grant-request.ts'
import { OAuthError } from '../oauth/oauth-error.ts'
import type { BirthAgents, BirthEvent, Born, ConfirmedLogin, LoginGate } from '../ports.ts'
import { agentName } from '../workload/claims.ts'
import type { Rechecks } from './rechecks.ts'

/** Somebody whom a provider knows, and who pressed the button. */
export interface LoggedIn extends ConfirmedLogin {
  readonly refreshToken?: Secret<string>
}

export interface HumanOptions {
  readonly config: () => IdentityConfig
  readonly agents: BirthAgents
  readonly entitlements: Entitlements
  readonly rechecks: Rechecks
  readonly gate: LoginGate
  readonly onEvent: (event: BirthEvent) => void
}

/** Makes the root agent of a person. */
export class HumanBirths {
  readonly #options: HumanOptions

  constructor(options: HumanOptions) {
    this.#options = options
  }

  async bear(person: LoggedIn, ask: GrantAsk, boundTo?: string): Promise<Born> {
    const { agents, config, entitlements, rechecks, gate, onEvent } = this.#options
    const provider = loginProviders(config()).find(({ name }) => name === person.provider)
    if (provider === undefined)
      throw new OAuthError('invalid_grant', 'the provider of this login is gone')
    await this.#refuseTakenBack(person)
    await gate.seen(person)
    const groups = await gate.groupsOf(person.principal, person.principal.groups)
    const principal = { ...person.principal, groups }
    const held = await entitlements.of(principal)
    const born = await agents.createRoot({
      principal,
      name: nameOf(principal),
      born: 'login',
      owner: `user:${principal.name}`,
      layers: ask.layers,
      entitlement: held.layers,
      budget: smallerBudget(held.budget, ask.budget),
      delegate: askedOf(held.delegate, ask.delegate),
      ttlMs: ttlOf(provider, ask),
      handle: true,
      ...(boundTo === undefined ? {} : { boundTo }),
    })
    await gate.remember(born.agent.id, person)
    // A signal that arrived meanwhile found no agent to end, so it is looked for once more.
    await this.#refuseTakenBack(person, born.agent.id)
    // Other roots of the person were born with the groups of then.
    await entitlements.setGroups(principal, person.principal.groups)
    if (person.refreshToken !== undefined)
      await rechecks.watch(born.agent.id, person, person.refreshToken)
    onEvent({
      kind: 'login',
      agent: born.agent.id,
      principal: principal.id,
      provider: person.provider,
    })
    return born
  }

  async #refuseTakenBack(person: LoggedIn, born?: AgentId): Promise<void> {
    const why = await this.#options.gate.refusal(person)
    if (why === undefined) return
    if (born !== undefined) await this.#options.agents.revoke(born, person.provider, why)
    this.#options.onEvent({ kind: 'login.refused', provider: person.provider, why })
    throw new OAuthError('invalid_grant', why, { code: 'SP_LOGIN_WITHDRAWN' })
  }
}

/** `dana` for dana@example.com. */
function nameOf({ name }: Principal): string {
  return agentName(name.includes('@') ? name.slice(0, name.indexOf('@')) : name)
}

function ttlOf(provider: LoginProvider, ask: GrantAsk): number {
  return Math.min(provider.ttlMs, ask.ttlMs ?? provider.ttlMs)
}

import type { Approver, Principal } from '@sallyport/core'
import { partsOfPerson } from '../../../births/entitlements.ts'
import type { LoginProvider } from '../../../births/config/identity-config.ts'
import type { LoginGate } from '../../../births/ports.ts'
import type { Store } from '../../../ports/store.ts'

export interface KnownPeopleOptions {
  readonly store: Store
  readonly gate: Pick<LoginGate, 'refusal' | 'groupsOf'>
  readonly providers: () => readonly LoginProvider[]
  /** Roots that live, with the groups that their provider reported last. */
  readonly liveRoots: () => Iterable<{ readonly principal: Principal }>
  readonly now: () => number
}

/** A person whom somebody else speaks for, or why nobody may. */
export type KnownPerson = { readonly approver: Approver } | { readonly why: string }

/** People as the gateway knows them by logins that it has seen itself, less what was taken back since. */
export class KnownPeople {
  readonly #options: KnownPeopleOptions

  constructor(options: KnownPeopleOptions) {
    this.#options = options
  }

  /** Somebody by the id of their principal, who has logged in here within this time, in milliseconds. */
  async approver(id: string, withinMs: number): Promise<KnownPerson> {
    const { store, gate, providers, now } = this.#options
    const row = await store.db
      .selectFrom('known_person')
      .selectAll()
      .where('id', '=', id)
      .executeTakeFirst()
    if (row === undefined) return { why: 'nobody with this id has logged in at the gateway' }
    const { issuer } = partsOfPerson(id)
    if (!providers().some((each) => each.name === row.provider && each.issuer === issuer))
      return { why: 'the provider of this person is not configured any more' }
    const confirmedAtMs = row.confirmed_at.getTime()
    if (now() - confirmedAtMs > withinMs)
      return { why: `${row.name} has not logged in at the gateway for too long` }
    const principal = { id, kind: 'human', name: row.name, groups: row.groups } as const
    const session = row.session === null ? {} : { session: row.session }
    const login = { provider: row.provider, principal, confirmedAtMs, ...session }
    const takenBack = await gate.refusal(login)
    if (takenBack !== undefined) return { why: takenBack }
    const groups = this.#stillIn(id, await gate.groupsOf(principal, row.groups))
    return { approver: { id, kind: 'person', principal: id, name: row.name, groups } }
  }

  /** Providers are asked again about those who have agents: what they lost there is lost here. */
  #stillIn(id: string, groups: readonly string[]): readonly string[] {
    const live = [...this.#options.liveRoots()].filter(({ principal }) => principal.id === id)
    return groups.filter((group) => live.every(({ principal }) => principal.groups.includes(group)))
  }
}

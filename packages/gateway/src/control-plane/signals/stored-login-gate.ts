import type { AgentId, Principal } from '@sallyport/core'
import type { Transaction } from 'kysely'
import { partsOfPerson } from '../births/entitlements.ts'
import type { ConfirmedLogin, LoginGate } from '../births/ports.ts'
import type { Store } from '../ports/store.ts'
import type { Tables } from '../ports/tables/tables.ts'
import { membershipsOf, peopleOf } from './scim/directory.ts'
import { keysOfLogin, sessionKey } from './subjects.ts'

/** Holds a login against what its provider has taken back, and against the directory that it keeps here. */
export class StoredLoginGate implements LoginGate {
  readonly #store: Store
  readonly #isProvisioned: (issuer: string) => boolean

  /** What was provisioned once counts for as long as the provider is configured to keep it up to date. */
  constructor(store: Store, isProvisioned: (issuer: string) => boolean) {
    this.#store = store
    this.#isProvisioned = isProvisioned
  }

  async refusal({
    principal,
    session,
    confirmedAtMs,
  }: ConfirmedLogin): Promise<string | undefined> {
    const floor = await this.#store.db
      .selectFrom('login_floor')
      .select('why')
      .where('subject', 'in', keysOfLogin(principal, session))
      .where('at', '>=', new Date(confirmedAtMs))
      .orderBy('at', 'desc')
      .executeTakeFirst()
    if (floor !== undefined) return floor.why
    const { issuer } = partsOfPerson(principal.id)
    if (!this.#isProvisioned(issuer)) return undefined
    const people = await peopleOf(this.#store.db, issuer, principal)
    return people.some(({ active }) => !active) ? 'your account is deactivated' : undefined
  }

  async seen({ provider, principal, session, confirmedAtMs }: ConfirmedLogin): Promise<void> {
    const values = {
      name: principal.name,
      groups: JSON.stringify(principal.groups),
      provider,
      session: session ?? null,
      confirmed_at: new Date(confirmedAtMs),
    }
    await this.#store.durable(
      async (tx) =>
        await tx
          .insertInto('known_person')
          .values({ id: principal.id, ...values })
          .onConflict((conflict) =>
            conflict
              .column('id')
              .doUpdateSet(values)
              .whereRef('known_person.confirmed_at', '<=', 'excluded.confirmed_at'),
          )
          .execute(),
    )
  }

  async askedAgain(person: string, groups: readonly string[] | undefined): Promise<void> {
    await this.#store.durable(async (tx) => {
      if (groups === undefined) {
        await tx.deleteFrom('known_person').where('id', '=', person).execute()
        return
      }
      const known = await tx
        .selectFrom('known_person')
        .select('groups')
        .where('id', '=', person)
        .executeTakeFirst()
      const left = known?.groups.filter((group) => groups.includes(group)) ?? []
      if (known === undefined || left.length === known.groups.length) return
      await tx
        .updateTable('known_person')
        .set({ groups: JSON.stringify(left) })
        .where('id', '=', person)
        .execute()
    })
  }

  async remember(root: AgentId, { principal, session }: ConfirmedLogin): Promise<void> {
    if (session === undefined) return
    const key = sessionKey(partsOfPerson(principal.id).issuer, session)
    await this.#store.durable((tx) =>
      tx.insertInto('login_session').values({ agent_id: root, session: key }).execute(),
    )
  }

  async groupsOf(
    person: Pick<Principal, 'id' | 'name'>,
    stated: readonly string[],
  ): Promise<readonly string[]> {
    const { issuer } = partsOfPerson(person.id)
    if (stated.length === 0 || !this.#isProvisioned(issuer)) return stated
    const { db } = this.#store
    const ids = (await peopleOf(db, issuer, person)).map(({ id }) => id)
    const { known, held } = await membershipsOf(db, issuer, ids, stated)
    return stated.filter((group) => !known.has(group) || held.has(group))
  }
}

/** Refuses logins under these keys that were confirmed up to now. */
export async function raiseFloors(
  tx: Transaction<Tables>,
  keys: readonly string[],
  at: Date,
  why: string,
): Promise<void> {
  if (keys.length === 0) return
  await tx
    .insertInto('login_floor')
    .values([...new Set(keys)].map((subject) => ({ subject, at, why })))
    .onConflict((conflict) =>
      conflict
        .column('subject')
        .doUpdateSet((with_) => ({ at: with_.ref('excluded.at'), why: with_.ref('excluded.why') }))
        .whereRef('login_floor.at', '<=', 'excluded.at'),
    )
    .execute()
}

import { randomUUID } from 'node:crypto'
import type { Transaction } from 'kysely'
import type { Tables } from '../../ports/tables/tables.ts'
import type { Effect, Signal, Whom } from '../signal.ts'
import type { SignalParts } from '../signal-parts.ts'
import { notFound } from './scim-error.ts'
import { type GroupChange, groupView, patchGroup } from './scim-group.ts'
import {
  changeMembers,
  type GroupRow,
  insertGroup,
  insertUser,
  listRows,
  lockRow,
  membersOf,
  type Page,
  updateGroup,
  updateUser,
  type UserRow,
  usersById,
  usersOfGroup,
} from './scim-rows.ts'
import { namesOf, type Operation, patchUser, type ScimUser, userOf, userView } from './scim-user.ts'

/** The provider whose token a request showed. */
export interface ScimCaller {
  readonly provider: string
  readonly issuer: string
  /** Of this service, for locations. */
  readonly baseUrl: string
}

type View = Readonly<Record<string, unknown>>

export interface Listing {
  readonly total: number
  readonly views: readonly View[]
}

/** Users and groups as a provider keeps them here. Whatever takes something away is a signal, stored with the change itself. */
export class ScimDirectory {
  readonly #parts: Pick<SignalParts, 'store' | 'inbox' | 'now'>

  constructor(parts: Pick<SignalParts, 'store' | 'inbox' | 'now'>) {
    this.#parts = parts
  }

  async createUser(caller: ScimCaller, user: ScimUser): Promise<View> {
    return this.#change(caller, async (tx, at) => {
      const row = await insertUser(tx, caller.issuer, user, at)
      const signal = user.active
        ? signalOf(caller, 'scim.user.created', [row], { kind: 'none' }, 'was provisioned')
        : deactivation(caller, [row])
      return { value: userView(row, caller.baseUrl), signals: [signal] }
    })
  }

  async replaceUser(caller: ScimCaller, id: string, user: ScimUser): Promise<View> {
    return this.#changeUser(caller, id, () => user)
  }

  async patchUser(caller: ScimCaller, id: string, operations: readonly Operation[]): Promise<View> {
    return this.#changeUser(caller, id, (before) => operations.reduce(patchUser, before))
  }

  async deleteUser(caller: ScimCaller, id: string): Promise<void> {
    await this.#change(caller, async (tx) => {
      const row = await this.#user(tx, caller, id)
      await tx
        .deleteFrom('scim_user')
        .where('issuer', '=', row.issuer)
        .where('id', '=', row.id)
        .execute()
      const why = `${caller.provider} deleted the account`
      const signal = signalOf(caller, 'scim.user.deleted', [row], { kind: 'end' }, why)
      return { value: undefined, signals: [signal] }
    })
  }

  async readUser(caller: ScimCaller, id: string): Promise<View> {
    const page = { filter: [{ attribute: 'id', value: id }], offset: 0, count: 1 }
    const [view] = (await this.listUsers(caller, page)).views
    if (view === undefined) throw notFound('User', id)
    return view
  }

  async listUsers({ issuer, baseUrl }: ScimCaller, page: Page): Promise<Listing> {
    const { rows, total } = await listRows(this.#parts.store.db, 'scim_user', issuer, page)
    return { total, views: rows.map((row) => userView(row, baseUrl)) }
  }

  async createGroup(caller: ScimCaller, { group, members }: GroupChange): Promise<View> {
    return this.#change(caller, async (tx, at) => {
      const row = await insertGroup(tx, caller.issuer, group, at)
      await changeMembers(tx, row, members)
      const signal = signalOf(caller, 'scim.group.created', [], { kind: 'none' }, group.displayName)
      const value = groupView(row, await membersOf(tx, row.issuer, row.id), caller.baseUrl)
      return { value, signals: [signal] }
    })
  }

  async replaceGroup(caller: ScimCaller, id: string, change: GroupChange): Promise<View> {
    return this.#changeGroup(caller, id, () => change)
  }

  async patchGroup(
    caller: ScimCaller,
    id: string,
    operations: readonly Operation[],
  ): Promise<View> {
    return this.#changeGroup(caller, id, (before) => operations.reduce(patchGroup, before))
  }

  async deleteGroup(caller: ScimCaller, id: string): Promise<void> {
    await this.#change(caller, async (tx) => {
      const row = await this.#group(tx, caller, id)
      const users = await usersById(tx, row.issuer, await usersOfGroup(tx, row))
      await tx
        .deleteFrom('scim_group')
        .where('issuer', '=', row.issuer)
        .where('id', '=', row.id)
        .execute()
      return { value: undefined, signals: [loss(caller, row, users, 'scim.group.deleted')] }
    })
  }

  async readGroup(caller: ScimCaller, id: string, withMembers: boolean): Promise<View> {
    const page = { filter: [{ attribute: 'id', value: id }], offset: 0, count: 1 }
    const [view] = (await this.listGroups(caller, page, withMembers)).views
    if (view === undefined) throw notFound('Group', id)
    return view
  }

  async listGroups(caller: ScimCaller, page: Page, withMembers: boolean): Promise<Listing> {
    const { db } = this.#parts.store
    const { rows, total } = await listRows(db, 'scim_group', caller.issuer, page)
    const views: View[] = []
    for (const row of rows) {
      const members = withMembers ? await membersOf(db, row.issuer, row.id) : undefined
      views.push(groupView(row, members, caller.baseUrl))
    }
    return { total, views }
  }

  #changeUser(caller: ScimCaller, id: string, next: (before: ScimUser) => ScimUser): Promise<View> {
    return this.#change(caller, async (tx, at) => {
      const before = await this.#user(tx, caller, id)
      const after = await updateUser(tx, before, next(userOf(before)), at)
      // Said again for one who is inactive already: a repeated request must not leave anything standing.
      const signal = after.active
        ? signalOf(caller, 'scim.user.changed', [after], { kind: 'none' }, 'was changed')
        : deactivation(caller, [before, after])
      return { value: userView(after, caller.baseUrl), signals: [signal] }
    })
  }

  #changeGroup(
    caller: ScimCaller,
    id: string,
    next: (before: GroupChange) => GroupChange,
  ): Promise<View> {
    return this.#change(caller, async (tx, at) => {
      const before = await this.#group(tx, caller, id)
      const change = next({
        group: {
          displayName: before.display_name,
          ...(before.external_id === null ? {} : { externalId: before.external_id }),
        },
        members: [],
      })
      const earlier = isRenamed(before, change) ? await usersOfGroup(tx, before) : []
      const after = await updateGroup(tx, before, change.group, at)
      const gone = await changeMembers(tx, before, change.members)
      // Under its former name the group has no members any more.
      const losers = await usersById(tx, before.issuer, [...new Set([...earlier, ...gone])])
      const signal = loss(caller, before, losers, 'scim.group.changed')
      const value = groupView(after, await membersOf(tx, after.issuer, after.id), caller.baseUrl)
      return { value, signals: [signal] }
    })
  }

  /** Commits a change with its signals, then acts upon these; the directory is answered after both. */
  async #change<T>(
    caller: ScimCaller,
    change: (
      tx: Transaction<Tables>,
      at: Date,
    ) => Promise<{ readonly value: T; readonly signals: readonly Signal[] }>,
  ): Promise<T> {
    const { store, inbox, now } = this.#parts
    const { value, signals } = await store.durable(async (tx) => {
      const made = await change(tx, new Date(now()))
      for (const signal of made.signals) await inbox.record(tx, signal)
      return made
    })
    for (const signal of signals) await inbox.settle(signal, true)
    return value
  }

  async #user(tx: Transaction<Tables>, { issuer }: ScimCaller, id: string): Promise<UserRow> {
    const row = await lockRow(tx, 'scim_user', issuer, id)
    if (row === undefined) throw notFound('User', id)
    return row
  }

  async #group(tx: Transaction<Tables>, { issuer }: ScimCaller, id: string): Promise<GroupRow> {
    const row = await lockRow(tx, 'scim_group', issuer, id)
    if (row === undefined) throw notFound('Group', id)
    return row
  }
}

function isRenamed(before: GroupRow, { group }: GroupChange): boolean {
  return (
    before.display_name !== group.displayName || before.external_id !== (group.externalId ?? null)
  )
}

function deactivation(caller: ScimCaller, rows: readonly UserRow[]): Signal {
  const why = `${caller.provider} deactivated the account`
  return signalOf(caller, 'scim.user.deactivated', rows, { kind: 'end' }, why)
}

function loss(
  caller: ScimCaller,
  group: GroupRow,
  users: readonly UserRow[],
  kind: string,
): Signal {
  const names = [group.display_name, group.external_id ?? group.display_name]
  const effect: Effect = users.length === 0 ? { kind: 'none' } : { kind: 'lose', groups: names }
  return signalOf(caller, kind, users, effect, `lost the group ${group.display_name}`)
}

function signalOf(
  { provider, issuer }: ScimCaller,
  kind: string,
  users: readonly UserRow[],
  effect: Effect,
  why: string,
): Signal {
  return {
    source: `scim ${issuer}`,
    id: randomUUID(),
    digest: '',
    provider,
    kind,
    whom: users.map((row) => whomOf(row)),
    effect,
    why,
  }
}

function whomOf(row: UserRow): Whom {
  return {
    kind: 'named',
    issuer: row.issuer,
    subjects: row.external_id === null ? [] : [row.external_id],
    names: namesOf(userOf(row)),
  }
}

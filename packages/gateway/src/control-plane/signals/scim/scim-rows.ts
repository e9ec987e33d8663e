import { randomUUID } from 'node:crypto'
import { type Kysely, type Selectable, sql, type Transaction } from 'kysely'
import type { ScimGroupTable, ScimUserTable } from '../../ports/tables/login-tables.ts'
import type { Tables } from '../../ports/tables/tables.ts'
import { ScimError } from './scim-error.ts'
import type { Equality } from './scim-filter.ts'
import type { MemberChange, ScimGroup } from './scim-group.ts'
import { keptAttributes, namesOf, type ScimUser } from './scim-user.ts'

/** A larger directory is narrowed to those who may log in here. */
const usersMax = 200_000
const groupsMax = 10_000
const uniqueViolation = '23505'

export type UserRow = Selectable<ScimUserTable>
export type GroupRow = Selectable<ScimGroupTable>

/** Where a listing begins, and how many it shows. */
export interface Page {
  readonly filter: readonly Equality[]
  readonly offset: number
  readonly count: number
}

export async function insertUser(
  tx: Transaction<Tables>,
  issuer: string,
  user: ScimUser,
  at: Date,
): Promise<UserRow> {
  await refuseFull(tx, 'scim_user', issuer, usersMax)
  return unique(() =>
    tx
      .insertInto('scim_user')
      .values({ issuer, id: randomUUID(), ...columnsOf(user, at), created_at: at })
      .returningAll()
      .executeTakeFirstOrThrow(),
  )
}

export async function updateUser(
  tx: Transaction<Tables>,
  { issuer, id }: UserRow,
  user: ScimUser,
  at: Date,
): Promise<UserRow> {
  return unique(() =>
    tx
      .updateTable('scim_user')
      .set(columnsOf(user, at))
      .where('issuer', '=', issuer)
      .where('id', '=', id)
      .returningAll()
      .executeTakeFirstOrThrow(),
  )
}

function columnsOf(
  user: ScimUser,
  at: Date,
): Omit<UserRow, 'issuer' | 'id' | 'created_at' | 'attributes'> & { attributes: string } {
  return {
    user_name: user.userName,
    external_id: user.externalId ?? null,
    names: namesOf(user),
    active: user.active,
    attributes: keptAttributes(user),
    changed_at: at,
  }
}

export async function insertGroup(
  tx: Transaction<Tables>,
  issuer: string,
  { displayName, externalId }: ScimGroup,
  at: Date,
): Promise<GroupRow> {
  await refuseFull(tx, 'scim_group', issuer, groupsMax)
  return tx
    .insertInto('scim_group')
    .values({
      issuer,
      id: randomUUID(),
      display_name: displayName,
      external_id: externalId ?? null,
      created_at: at,
      changed_at: at,
    })
    .returningAll()
    .executeTakeFirstOrThrow()
}

export async function updateGroup(
  tx: Transaction<Tables>,
  { issuer, id }: GroupRow,
  { displayName, externalId }: ScimGroup,
  at: Date,
): Promise<GroupRow> {
  return tx
    .updateTable('scim_group')
    .set({ display_name: displayName, external_id: externalId ?? null, changed_at: at })
    .where('issuer', '=', issuer)
    .where('id', '=', id)
    .returningAll()
    .executeTakeFirstOrThrow()
}

/** Changes the members in order, and returns those who are no longer in the group at the end. Unknown users are left out. */
export async function changeMembers(
  tx: Transaction<Tables>,
  { issuer, id }: GroupRow,
  changes: readonly MemberChange[],
): Promise<string[]> {
  const gone = new Set<string>()
  for (const { op, ids } of changes) {
    if (op !== 'add')
      for (const user of await removeMembers(tx, issuer, id, op, ids)) gone.add(user)
    if (op === 'add' || op === 'replace') {
      await sql`
        insert into scim_member (issuer, group_id, user_id)
        select issuer, ${id}, id from scim_user
        where issuer = ${issuer} and id = any(${[...ids]}::text[])
        on conflict do nothing`.execute(tx)
    }
  }
  if (gone.size === 0) return []
  const still = await sql<{ user_id: string }>`
    select user_id from scim_member
    where issuer = ${issuer} and group_id = ${id} and user_id = any(${[...gone]}::text[])`.execute(
    tx,
  )
  for (const { user_id: user } of still.rows) gone.delete(user)
  return [...gone]
}

async function removeMembers(
  tx: Transaction<Tables>,
  issuer: string,
  group: string,
  op: 'remove' | 'replace' | 'clear',
  ids: readonly string[],
): Promise<string[]> {
  const which =
    op === 'remove'
      ? sql`user_id = any(${[...ids]}::text[])`
      : sql`not user_id = any(${op === 'clear' ? [] : [...ids]}::text[])`
  const removed = await sql<{ user_id: string }>`
    delete from scim_member
    where issuer = ${issuer} and group_id = ${group} and ${which}
    returning user_id`.execute(tx)
  return removed.rows.map(({ user_id: user }) => user)
}

/** One user or group, which nobody else changes until the transaction ends. */
export async function lockRow<T extends 'scim_user' | 'scim_group'>(
  tx: Transaction<Tables>,
  table: T,
  issuer: string,
  id: string,
): Promise<Selectable<Tables[T]> | undefined> {
  const { rows } = await sql<Selectable<Tables[T]>>`
    select * from ${sql.table(table)} where issuer = ${issuer} and id = ${id} for update`.execute(
    tx,
  )
  return rows[0]
}

export async function membersOf(
  db: Kysely<Tables>,
  issuer: string,
  group: string,
): Promise<{ readonly id: string; readonly userName: string }[]> {
  return db
    .selectFrom('scim_member')
    .innerJoin('scim_user', (join) =>
      join
        .onRef('scim_user.issuer', '=', 'scim_member.issuer')
        .onRef('scim_user.id', '=', 'scim_member.user_id'),
    )
    .select(['scim_user.id as id', 'scim_user.user_name as userName'])
    .where('scim_member.issuer', '=', issuer)
    .where('scim_member.group_id', '=', group)
    .orderBy('scim_user.id')
    .execute()
}

export async function usersOfGroup(
  tx: Transaction<Tables>,
  { issuer, id }: GroupRow,
): Promise<string[]> {
  return (await membersOf(tx, issuer, id)).map((each) => each.id)
}

export async function usersById(
  tx: Transaction<Tables>,
  issuer: string,
  ids: readonly string[],
): Promise<UserRow[]> {
  const { rows } = await sql<UserRow>`
    select * from scim_user where issuer = ${issuer} and id = any(${[...ids]}::text[])`.execute(tx)
  return rows
}

/** A page of users or groups, in the order in which they came, and how many there are. */
export async function listRows<T extends 'scim_user' | 'scim_group'>(
  db: Kysely<Tables>,
  table: T,
  issuer: string,
  { filter, offset, count }: Page,
): Promise<{ readonly rows: Selectable<Tables[T]>[]; readonly total: number }> {
  const conditions = filter.map((equality) => conditionOf(table, equality))
  const where = sql.join([sql`issuer = ${issuer}`, ...conditions], sql` and `)
  const all = await sql<{ total: string }>`
    select count(*) as total from ${sql.table(table)} as r where ${where}`.execute(db)
  const page = await sql<Selectable<Tables[T]>>`
    select * from ${sql.table(table)} as r where ${where}
    order by created_at, id offset ${offset} limit ${count}`.execute(db)
  return { rows: page.rows, total: Number(all.rows[0]?.total ?? 0) }
}

function conditionOf(
  table: 'scim_user' | 'scim_group',
  { attribute, value }: Equality,
): ReturnType<typeof sql> {
  if (typeof value === 'boolean') {
    if (table === 'scim_user' && attribute === 'active') return sql`active = ${value}`
    throw new ScimError(400, `${attribute} is not true or false`, 'invalidFilter')
  }
  if (attribute === 'id') return sql`id = ${value}`
  if (attribute === 'externalid') return sql`external_id = ${value}`
  if (table === 'scim_user' && attribute === 'username')
    return sql`lower(user_name) = lower(${value})`
  if (table === 'scim_group' && attribute === 'displayname') return sql`display_name = ${value}`
  if (table === 'scim_group' && (attribute === 'members' || attribute === 'members.value'))
    return sql`exists (select from scim_member m
      where m.issuer = r.issuer and m.group_id = r.id and m.user_id = ${value})`
  throw new ScimError(400, `nothing is found by ${attribute}`, 'invalidFilter')
}

async function refuseFull(
  tx: Transaction<Tables>,
  table: 'scim_user' | 'scim_group',
  issuer: string,
  max: number,
): Promise<void> {
  const { rows } = await sql<{ total: string }>`
    select count(*) as total from ${sql.table(table)} where issuer = ${issuer}`.execute(tx)
  if (Number(rows[0]?.total ?? 0) >= max)
    throw new ScimError(400, `at most ${max} are kept: let fewer be provisioned`, 'tooMany')
}

async function unique<T>(write: () => Promise<T>): Promise<T> {
  try {
    return await write()
  } catch (error) {
    if (
      typeof error === 'object' &&
      error !== null &&
      'code' in error &&
      error.code === uniqueViolation
    )
      throw new ScimError(409, 'there is another user with this userName', 'uniqueness')
    throw error
  }
}

import type { Principal } from '@sallyport/core'
import type { Kysely, Selectable } from 'kysely'
import { sql } from 'kysely'
import { partsOfPerson } from '../../births/entitlements.ts'
import type { ScimUserTable } from '../../ports/tables/login-tables.ts'
import type { Tables } from '../../ports/tables/tables.ts'

/** The users of a provider's directory whom a login names: by the provider's own id, or by a name. */
export async function peopleOf(
  db: Kysely<Tables>,
  issuer: string,
  { id, name }: Pick<Principal, 'id' | 'name'>,
): Promise<Pick<Selectable<ScimUserTable>, 'id' | 'active'>[]> {
  const { subject } = partsOfPerson(id)
  return db
    .selectFrom('scim_user')
    .select(['id', 'active'])
    .where('issuer', '=', issuer)
    .where((eb) =>
      eb.or([
        eb('external_id', '=', subject),
        sql<boolean>`names @> array[${name.toLowerCase()}]::text[]`,
      ]),
    )
    .execute()
}

/** Which of the groups the directory knows, by name or by the provider's id, and in which of these the users are. */
export async function membershipsOf(
  db: Kysely<Tables>,
  issuer: string,
  users: readonly string[],
  stated: readonly string[],
): Promise<{ readonly known: ReadonlySet<string>; readonly held: ReadonlySet<string> }> {
  const groups = await db
    .selectFrom('scim_group')
    .select(['id', 'display_name', 'external_id'])
    .where('issuer', '=', issuer)
    .where((eb) =>
      eb.or([eb('display_name', 'in', [...stated]), eb('external_id', 'in', [...stated])]),
    )
    .execute()
  const members =
    groups.length === 0 || users.length === 0
      ? []
      : await db
          .selectFrom('scim_member')
          .select('group_id')
          .where('issuer', '=', issuer)
          .where('user_id', 'in', [...users])
          .execute()
  const ids = new Set(members.map(({ group_id: id }) => id))
  const namesOf = (some: typeof groups): Set<string> =>
    new Set(some.flatMap((each) => [each.display_name, each.external_id ?? each.display_name]))
  return { known: namesOf(groups), held: namesOf(groups.filter(({ id }) => ids.has(id))) }
}

import { sql } from 'kysely'
import type { Store } from '../ports/store.ts'
import type { KnownGroup } from '../contract/policies.ts'

/** More people of one group are not told: who lints asks whether there are enough. */
const peopleMax = 100

/** Groups by name: whole where a provider keeps them here (SCIM), else those people that logins have shown. */
export async function knownGroups(store: Store): Promise<Record<string, KnownGroup>> {
  const seen = await sql<{ name: string; people: string[] }>`
    select g.name, (array_agg(distinct p.name order by p.name))[1:${sql.lit(peopleMax)}] as people
    from principal p, jsonb_array_elements_text(p.groups) as g (name)
    where p.kind = 'human' group by g.name`.execute(store.db)
  const kept = await sql<{ name: string; people: string[] }>`
    select g.display_name as name,
      (coalesce(array_agg(distinct u.user_name) filter (where u.active), '{}'))[1:${sql.lit(peopleMax)}] as people
    from scim_group g
      left join scim_member m on m.issuer = g.issuer and m.group_id = g.id
      left join scim_user u on u.issuer = m.issuer and u.id = m.user_id
    group by g.display_name`.execute(store.db)
  const groups = new Map<string, KnownGroup>()
  for (const { name, people } of seen.rows) groups.set(name, { from: 'logins', people })
  for (const { name, people } of kept.rows) groups.set(name, { from: 'directory', people })
  return Object.fromEntries(groups)
}

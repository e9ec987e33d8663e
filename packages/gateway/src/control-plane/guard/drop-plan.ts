import { ident, literal } from '@sallyport/core'
import { reopenPublic } from './close-public.ts'
import type { Ask } from './guard-catalog.ts'
import type { GuardNames } from './guard-names.ts'
import { memberships } from './guard-plan.ts'
import type { Statement } from './plan-types.ts'

/** The rights to take the roles of a guard away. */
export async function planDropRights(ask: Ask, names: GuardNames): Promise<Statement[]> {
  return memberships(await rolesOf(ask, names), 'grant')
}

/** What takes a guard away, with its roles and secrets. Tokens of before are not made again. */
export async function planDrop(ask: Ask, names: GuardNames): Promise<Statement[]> {
  const like = likeOf(names)
  const roles = await rolesOf(ask, names)
  const schemas = (
    await ask(`select nspname from pg_namespace where nspname like ${like} order by 1`)
  ).flatMap(([name]) => name ?? [])
  return [
    ...(await reopenPublic(ask, names)),
    ...schemas.map((schema) => ({ step: 'schemas', sql: `drop schema ${ident(schema)} cascade` })),
    ...roles.map((role) => ({ step: 'roles', sql: `drop owned by ${ident(role)}` })),
    ...roles.map((role) => ({ step: 'roles', sql: `drop role ${ident(role)}` })),
  ]
}

async function rolesOf(ask: Ask, names: GuardNames): Promise<string[]> {
  const rows = await ask(
    `select rolname from pg_roles where rolname like ${likeOf(names)} order by 1`,
  )
  return rows.flatMap(([name]) => name ?? [])
}

function likeOf({ prefix }: GuardNames): string {
  return literal(`${prefix}%`.replaceAll('_', '\\_'))
}

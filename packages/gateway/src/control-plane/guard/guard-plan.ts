import { createHash } from 'node:crypto'
import { ident, idents, literal, type MaskSet } from '@sallyport/core'
import { closePublic, type Opening, openings } from './close-public.ts'
import type { Ask } from './guard-catalog.ts'
import type { GuardNames } from './guard-names.ts'
import { planLookupBudget } from './lookups.ts'
import type { PlanInput, PlannedSet, Statement } from './plan-types.ts'
import { planSet } from './set-plan.ts'

export interface GuardPlan {
  readonly statements: readonly Statement[]
  readonly sets: readonly PlannedSet[]
  /** Ways to masked data that are open to everybody, so to guarded roles too. */
  readonly openings: readonly Opening[]
  /** What callers will not find, and why. */
  readonly notes: readonly string[]
}

/** What has to be run at the target, in one transaction, so that it enforces the masks. Changes nothing. */
export async function planGuard(input: PlanInput): Promise<GuardPlan> {
  const { ask, names, sets, options } = input
  const before = await leftovers(ask, names)
  const statements: Statement[] = [...wipe(before, names, sets), ...(await roles(input))]
  statements.push(...privateSchema(names), ...planLookupBudget(names, sets, options.lookup))
  const planned: PlannedSet[] = []
  for (const set of sets) planned.push(await planSet(input, set))
  statements.push(...planned.flatMap((set) => set.statements))
  const open = await openings(ask, planned, input.trustedFunctions)
  if (options.closePublic) statements.push(...closePublic(open, names))
  const notes = [...new Set(planned.flatMap((set) => set.notes))].toSorted()
  return { statements, sets: planned, openings: open, notes }
}

/** A digest of what each relation's statements are, to be compared after the target has moved on. */
export function digestsOf(plan: GuardPlan): Record<string, string> {
  const texts = new Map<string, string[]>()
  for (const { about, sql } of plan.statements) {
    if (about === undefined) continue
    texts.set(about, [...(texts.get(about) ?? []), sql])
  }
  return Object.fromEntries(
    [...texts].map(([about, all]) => [
      about,
      createHash('sha256').update(all.join('\n')).digest('hex').slice(0, 16),
    ]),
  )
}

interface Leftovers {
  readonly schemas: readonly string[]
  readonly roles: readonly string[]
}

async function leftovers(ask: Ask, names: GuardNames): Promise<Leftovers> {
  const like = literal(`${names.prefix}_%`.replaceAll('_', '\\_'))
  const column = (rows: readonly (readonly (string | null)[])[]): string[] =>
    rows.flatMap(([name]) => name ?? [])
  return {
    schemas: column(
      await ask(`select nspname from pg_namespace where nspname like ${like} order by 1`),
    ),
    roles: column(await ask(`select rolname from pg_roles where rolname like ${like} order by 1`)),
  }
}

/** All but the private schema, with the secrets that keep tokens the same, is made anew each time. */
function wipe(before: Leftovers, names: GuardNames, sets: readonly MaskSet[]): Statement[] {
  const step = 'remove what an earlier run made'
  const kept = new Set([
    names.owner,
    ...sets.flatMap(({ id }) => [names.reader(id), names.login(id)]),
  ])
  const cleared = before.roles.filter((role) => role !== names.owner)
  const gone = before.roles.filter((role) => !kept.has(role))
  return [
    ...memberships(before.roles, 'grant'),
    ...before.schemas.map((schema) => ({ step, sql: `drop schema ${ident(schema)} cascade` })),
    ...cleared.map((role) => ({ step, sql: `drop owned by ${ident(role)}` })),
    ...gone.map((role) => ({ step, sql: `drop role ${ident(role)}` })),
  ]
}

/** Whoever is no superuser has to be a member of a role to give it anything. It ends with the transaction's last statement. */
export function memberships(roleNames: readonly string[], verb: 'grant' | 'revoke'): Statement[] {
  const word = verb === 'grant' ? 'to' : 'from'
  return roleNames.map((role) => ({
    step: 'roles',
    sql: `do $guard$ begin if not (select rolsuper from pg_roles where rolname = current_user) then ${verb} ${ident(role)} ${word} current_user; end if; end $guard$`,
  }))
}

/** Ends the memberships that the run gave itself. */
export function endMemberships(names: GuardNames, sets: readonly MaskSet[]): Statement[] {
  return memberships(roleNamesOf(names, sets), 'revoke')
}

function roleNamesOf(names: GuardNames, sets: readonly MaskSet[]): string[] {
  return [names.owner, ...sets.flatMap(({ id }) => [names.reader(id), names.login(id)])]
}

async function roles({ names, sets, connection, database }: PlanInput): Promise<Statement[]> {
  const step = 'roles'
  const all = roleNamesOf(names, sets)
  const statements: Statement[] = all.map((role) => ({
    step,
    sql: `do $guard$ begin if not exists (select from pg_roles where rolname = ${literal(role)}) then create role ${ident(role)} nologin noinherit; end if; end $guard$`,
  }))
  statements.push(...memberships(all, 'grant'))
  for (const role of all) {
    const text = literal(`Sallyport: guard of connection ${connection}`)
    statements.push({ step, sql: `comment on role ${ident(role)} is ${text}` })
  }
  for (const { id } of sets) {
    const login = ident(names.login(id))
    const stored = literal(await names.storedPassword(id))
    statements.push(
      { step, sql: `alter role ${login} login noinherit password ${stored}` },
      { step, sql: `alter role ${login} reset all` },
      { step, sql: `grant connect on database ${ident(database)} to ${login}` },
    )
  }
  return statements
}

/** Two random keys and two shifts, made by the target itself: no plan and no log shows them, and they outlive a new apply. */
function privateSchema(names: GuardNames): Statement[] {
  const step = 'secrets of the masks'
  const schema = ident(names.privateSchema)
  const random = `sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()))`
  const shift = `30 + (get_byte(${random}, 0) * 7)`
  return [
    { step, sql: `create schema if not exists ${schema} authorization ${ident(names.owner)}` },
    {
      step,
      sql: `create table if not exists ${schema}.secret (only_row boolean primary key default true check (only_row), inner_key bytea not null, outer_key bytea not null, days integer not null, shift interval not null)`,
    },
    {
      step,
      sql: `create table if not exists ${schema}.closed (kind text not null, object text not null, roles text[] not null, primary key (kind, object))`,
    },
    {
      step,
      sql: `insert into ${schema}.secret (inner_key, outer_key, days, shift) select ${random}, ${random}, d, make_interval(secs => d * 86400 + 1 + get_byte(${random}, 1) * 331) from (select ${shift}) as s (d) on conflict do nothing`,
    },
    { step, sql: `alter table ${schema}.secret owner to ${ident(names.owner)}` },
    { step, sql: `alter table ${schema}.closed owner to ${ident(names.owner)}` },
    { step, sql: `revoke all on schema ${schema} from public` },
    { step, sql: `grant usage on schema ${schema} to ${idents([names.owner])}` },
  ]
}

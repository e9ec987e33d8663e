import {
  digestIn,
  type GuardedSet,
  literal,
  type MaskSet,
  SallyportError,
  violationsIn,
  violationsSql,
} from '@sallyport/core'
import type { ConnectionConfig } from '../../boundary/snapshot.ts'
import { planDrop, planDropRights } from './drop-plan.ts'
import { type Ask, readGuardCatalog } from './guard-catalog.ts'
import type { GuardNames } from './guard-names.ts'
import { digestsOf, endMemberships, type GuardPlan, planGuard } from './guard-plan.ts'
import type { GuardState } from './guard-state.ts'
import { type GuardTarget, openTarget, type TargetLogin } from './guard-target.ts'
import type { GuardOptions } from './plan-types.ts'

/** A guard of one connection, and what it has to enforce. */
export interface GuardSubject {
  readonly connection: ConnectionConfig
  readonly names: GuardNames
  readonly sets: readonly MaskSet[]
}

/** Who may change roles and rights at the target: given for one run and never kept. */
export interface SetupLogin {
  readonly user: string
  readonly password: string
}

export interface Progress {
  readonly step: string
  readonly done: number
  readonly of: number
}

/** What would be run at the target. Reads the catalog with the connection's own login. */
export async function plan(subject: GuardSubject, options: GuardOptions): Promise<GuardPlan> {
  await using target = await openTarget(loginOf(subject), true)
  return await planIn(target.ask, subject, options)
}

/** The plan as a script for psql. */
export function scriptOf({ names, sets }: GuardSubject, { statements, notes }: GuardPlan): string {
  const lines = [
    '\\set ON_ERROR_STOP on',
    'begin;',
    'set local search_path = pg_catalog;',
    `select pg_advisory_xact_lock(${lockOf(names)});`,
  ]
  let step = ''
  for (const statement of [...statements, ...endMemberships(names, sets)]) {
    if (statement.step !== step) lines.push('', `-- ${statement.step}`)
    step = statement.step
    lines.push(`${statement.sql};`)
  }
  lines.push('', 'commit;', ...notes.map((note) => `-- ${note.replaceAll(/\s+/gu, ' ')}`), '')
  return lines.join('\n')
}

/** Makes the target enforce the masks, in one transaction that ends only when the guarded roles were found to reach nothing in clear. */
export async function apply(
  subject: GuardSubject,
  options: GuardOptions,
  setup: SetupLogin,
  progress: (made: Progress) => void,
): Promise<{ state: GuardState; notes: readonly string[] }> {
  const { names, sets } = subject
  await using target = await openTarget(loginOf(subject, setup), false)
  progress({ step: 'reading the catalog', done: 0, of: 0 })
  await target.ask(`select pg_advisory_xact_lock(${lockOf(names)})`)
  const planned = await planIn(target.ask, subject, options)
  await runAll(target, planned.statements, progress)
  const state = await settledState(target.ask, subject, options, planned)
  for (const { step, sql } of endMemberships(names, sets)) await target.run(step, sql)
  await target.run('commit', 'commit')
  const left = target.notices.filter((text) => text.startsWith('Sallyport: '))
  return {
    state,
    notes: [...planned.notes, ...left.map((text) => text.slice('Sallyport: '.length))],
  }
}

/** Takes over what somebody has run by hand, where it is safe. */
export async function adopt(subject: GuardSubject, options: GuardOptions): Promise<GuardState> {
  await using target = await openTarget(loginOf(subject), true)
  const planned = await planIn(target.ask, subject, options)
  return await settledState(target.ask, subject, options, planned)
}

/** What is at the target now. Throws where a guarded role can reach what it must not. */
async function settledState(
  ask: Ask,
  { connection }: GuardSubject,
  options: GuardOptions,
  planned: GuardPlan,
): Promise<GuardState> {
  const sets: GuardState['sets'][number][] = []
  for (const { set, login, schemas, matviews, lookups, relations } of planned.sets) {
    const fresh = { ...set, login, schemas, matviews, digest: '' }
    const rows = await rowsOf(ask, violationsSql(fresh))
    refuseUnsafe(violationsIn(rows, fresh, connection.trustedFunctions), set.id)
    sets.push({ ...fresh, lookups, relations, digest: digestIn(rows) })
  }
  const { database } = connection
  const appliedAt = new Date().toISOString()
  return { appliedAt, database, options, sets, relations: digestsOf(planned) }
}

/** What differs between the target now, the policies now, and what was applied. */
export interface GuardFindings {
  /** A guarded role can reach what it must not. */
  readonly unsafe: readonly string[]
  /** Callers see less than they could, or another state than the policies ask for: apply it again. */
  readonly drift: readonly string[]
}

/** Looks at the live target. Changes nothing. */
export async function check(subject: GuardSubject, state: GuardState): Promise<GuardFindings> {
  const { connection, sets } = subject
  const unsafe: string[] = []
  const drift: string[] = []
  const applied = new Map(state.sets.map((set) => [set.id, set]))
  for (const set of sets) {
    if (!applied.has(set.id)) drift.push(`mask set ${set.id} of the policies is not at the target`)
  }
  await using target = await openTarget(loginOf(subject), true)
  for (const set of state.sets) {
    const rows = await rowsOf(target.ask, violationsSql(set))
    const found = violationsIn(rows, set, connection.trustedFunctions)
    unsafe.push(...found.map((problem) => `mask set ${set.id}: ${problem}`))
  }
  const current = digestsOf(await planIn(target.ask, subject, state.options))
  for (const [relation, digest] of Object.entries(current)) {
    const before = state.relations[relation]
    if (before === undefined) drift.push(`${relation} is new: callers do not see it`)
    else if (before !== digest) drift.push(`${relation} has changed, or its masks have`)
  }
  for (const relation of Object.keys(state.relations)) {
    if (current[relation] === undefined) drift.push(`${relation} is gone`)
  }
  unsafe.push(...(await probeAll(subject, state)))
  return { unsafe, drift }
}

/** Takes the guard away. */
export async function drop(
  subject: GuardSubject,
  setup: SetupLogin,
  progress: (made: Progress) => void,
): Promise<void> {
  await using target = await openTarget(loginOf(subject, setup), false)
  await target.ask(`select pg_advisory_xact_lock(${lockOf(subject.names)})`)
  await runAll(target, await planDropRights(target.ask, subject.names), () => undefined)
  await runAll(target, await planDrop(target.ask, subject.names), progress)
  await target.run('commit', 'commit')
}

async function planIn(
  ask: Ask,
  { connection, names, sets }: GuardSubject,
  options: GuardOptions,
): Promise<GuardPlan> {
  if (sets.length === 0) {
    const detail = `no policy masks a column on ${connection.name}, so there is nothing to guard`
    throw new SallyportError('SP_CONFIG_INVALID', detail, { detail })
  }
  return await planGuard({
    ask,
    catalog: await readGuardCatalog(ask, literal(connection.login.user)),
    names,
    sets,
    options,
    login: connection.login.user,
    database: connection.database,
    connection: connection.name,
    trustedFunctions: connection.trustedFunctions,
  })
}

async function runAll(
  target: GuardTarget,
  statements: readonly { readonly step: string; readonly sql: string }[],
  progress: (made: Progress) => void,
): Promise<void> {
  let told = ''
  for (const [done, { step, sql }] of statements.entries()) {
    if (step !== told) progress({ step, done, of: statements.length })
    told = step
    await target.run(step, sql)
  }
}

/** Logs in as each guarded role, and tries to read what it must not. */
async function probeAll({ connection, names }: GuardSubject, state: GuardState): Promise<string[]> {
  const found: string[] = []
  for (const set of state.sets) {
    const login = { user: names.login(set.id), password: names.password(set.id) }
    await using target = await openTarget({ ...targetOf(connection), ...login }, true)
    found.push(...(await probe(target.ask, set)))
  }
  return found
}

const statisticsViews = ['pg_stats', 'pg_stats_ext', 'pg_stats_ext_exprs']

/** The server keeps samples of each column. What these views show of a masked table must not hold a masked column. */
async function probe(ask: Ask, set: GuardedSet): Promise<string[]> {
  const masked =
    await ask(`select b.refobjid::regclass::text, n.nspname, c.relname from pg_rewrite r
    join pg_class v on v.oid = r.ev_class join pg_namespace vn on vn.oid = v.relnamespace
    join pg_depend b on b.classid = 'pg_rewrite'::regclass and b.objid = r.oid and b.refclassid = 'pg_class'::regclass
    join pg_class c on c.oid = b.refobjid join pg_namespace n on n.oid = c.relnamespace
    join pg_roles o on o.oid = v.relowner and o.rolname like '%\\_owner'
    where vn.nspname in (${Object.values(set.schemas).map(literal).join(', ')}) and c.relkind in ('r', 'p', 'f')
      and n.nspname !~ '^sallyport_' group by 1, 2, 3 order by 1`)
  const found: string[] = []
  for (const [table = '', schema, name] of masked) {
    const isReadable = await isAllowed(ask, `select * from ${table} limit 0`)
    if (isReadable) found.push(`mask set ${set.id}: ${table} can be read as it is`)
    for (const view of statisticsViews) {
      const where = `schemaname = ${literal(schema ?? '')} and tablename = ${literal(name ?? '')}`
      const rows = await ask(`select 1 from pg_catalog.${view} where ${where} limit 1`)
      if (rows.length > 0) found.push(`mask set ${set.id}: ${view} shows samples of ${table}`)
    }
  }
  return found
}

async function isAllowed(ask: Ask, sql: string): Promise<boolean> {
  await ask('savepoint probe')
  const allowed = await ask(sql).then(
    () => true,
    () => false,
  )
  await ask('rollback to savepoint probe')
  return allowed
}

async function rowsOf(ask: Ask, sql: string): Promise<string[][]> {
  return (await ask(sql)).map((row) => row.map((value) => value ?? ''))
}

function refuseUnsafe(violations: readonly string[], set: string): void {
  if (violations.length === 0) return
  const detail = `mask set ${set}: ${violations.join('; ')}`
  throw new SallyportError('SP_GUARD_UNSAFE', detail, { detail })
}

function lockOf(names: GuardNames): string {
  return `hashtextextended(${literal(names.prefix)}, 0)`
}

function targetOf({
  target,
  database,
  tls,
}: ConnectionConfig): Omit<TargetLogin, keyof SetupLogin> {
  return { ...target, database, tls }
}

function loginOf({ connection }: GuardSubject, setup?: SetupLogin): TargetLogin {
  return { ...targetOf(connection), ...(setup ?? connection.login) }
}

import { ident, idents, literal } from '@sallyport/core'
import type { GuardRelation } from './guard-catalog.ts'
import { maskExpression } from './mask-expression.ts'
import type { SetContext, Statement } from './plan-types.ts'
import { asRole, maskedPath, nameOf, pathSetting, twinOf } from './set-parts.ts'

/**
 * Views read with the rights of their owner, so none of the target's own can be let through: it could show masked
 * columns now, or after it is replaced. Each is made anew over the masked relations, and belongs to a role that can
 * read no more than callers. What can't be made that way is left out.
 */
export async function planViews(context: SetContext): Promise<Statement[]> {
  const { sorted } = context
  const statements: Statement[] = []
  const step = 'views over masks'
  const reader = context.input.names.reader(context.set.id)
  for (const view of inOrder(sorted.views)) statements.push(...(await remakeView(context, view)))
  if (statements.length === 0) return []
  return [
    ...asRole(
      reader,
      statements.map((each) => ({ ...each, step })),
    ),
    { step, sql: 'set local search_path = pg_catalog' },
  ]
}

/** Those that others read come first. */
function inOrder(views: readonly GuardRelation[]): GuardRelation[] {
  const byOid = new Map(views.map((view) => [view.oid, view]))
  const done = new Set<GuardRelation>()
  const add = (view: GuardRelation, above: ReadonlySet<number>): void => {
    if (done.has(view) || above.has(view.oid)) return
    for (const oid of [...view.readsFrom].toSorted((a, b) => a - b)) {
      const source = byOid.get(oid)
      if (source !== undefined) add(source, new Set([...above, view.oid]))
    }
    done.add(view)
  }
  for (const view of views) add(view, new Set())
  return [...done]
}

async function remakeView(context: SetContext, view: GuardRelation): Promise<Statement[]> {
  const { input, set, schemas, notes } = context
  if (view.columns.length === 0) return []
  const path = pathFor(context, view)
  // Written with the names that the path makes visible: read again under the masked path, they mean masked relations.
  await input.ask(`select set_config('search_path', ${pathSetting(path)}, true)`)
  const [row] = await input.ask(`select pg_get_viewdef(${view.oid}::oid)`)
  await input.ask(`select set_config('search_path', 'pg_catalog', true)`)
  const definition = row?.[0]?.replace(/;\s*$/u, '')
  const about = nameOf(view)
  if (definition === undefined) {
    notes.push(`${about} is left out: its definition can't be read`)
    return []
  }
  const columns = idents(view.columns.map(({ name }) => name))
  const twin = twinOf(context, view)
  const body = `create view ${twin} (${columns}) with (security_barrier) as ${masked(context, view, definition)}`
  const readable = view.columns.filter((column) => column.isReadable).map(({ name }) => name)
  const login = ident(input.names.login(set.id))
  const grant =
    readable.length === 0
      ? ''
      : `execute ${literal(`grant select (${idents(readable)}) on ${twin} to ${login}`)};`
  const says = literal(`Sallyport: ${about} is left out: %`)
  return [
    { step: '', sql: `set local search_path = ${maskedPath(schemas, path).map(ident).join(', ')}` },
    {
      step: '',
      about,
      sql: `do $guard$ begin execute ${literal(body)}; ${grant} exception when others then raise notice ${says}, sqlerrm; end $guard$`,
    },
  ]
}

/** The view's own schema first, then all others in a fixed order. */
function pathFor({ input }: SetContext, view: GuardRelation): string[] {
  const all = new Set([...input.catalog.relations.values()].map(({ schema }) => schema))
  all.delete(view.schema)
  return [view.schema, ...[...all].toSorted()]
}

/** Where a rule names columns of the view itself, their masks are laid over it. Its owner has no secret, so keyed ones hide all. */
function masked({ sorted }: SetContext, view: GuardRelation, definition: string): string {
  const masks = sorted.masked.get(view.oid)
  if (masks === undefined) return definition
  const names = idents(view.columns.map(({ name }) => name))
  const outputs = view.columns.map((column) => {
    const fn = masks.get(column.attribute)
    return fn === undefined ? `t.${ident(column.name)}` : maskExpression(column, fn, undefined)
  })
  return `select ${outputs.join(', ')} from (${definition}) as t (${names})`
}

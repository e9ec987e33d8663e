import { at, flag, list, text, words, type Tree } from '../classify/tree.ts'
import type { Context, Place } from './context.ts'
import { derived, either } from './flow.ts'
import { renamed } from './outputs.ts'
import {
  beside,
  columnOf,
  visibleItem,
  type ScopeColumn,
  type ScopeItem,
  type Visible,
} from './scope.ts'

/** Where a join stands, and how its sides are read. */
interface JoinPlace {
  readonly place: Place
  readonly context: Context
  readonly item: (node: Tree, left: Visible, place: Place, context: Context) => Visible
}

/** A join of any kind: what it shows, and what decides about its rows. */
export function joinVisible(body: Tree, before: Visible, join: JoinPlace): Visible {
  const { place, context, item } = join
  const left = item(at(body, 'larg') ?? {}, before, place, context)
  const right = item(at(body, 'rarg') ?? {}, beside(before, left), place, context)
  const both = beside(left, right)
  const quals = at(body, 'quals')
  if (quals !== undefined) {
    const scope = { ...beside(before, both), outer: place.scope }
    const flow = context.expression(quals, { ...place, scope })
    if (context.isOn('clause.join')) context.facts.influence('join', flow, 'a join condition')
  }
  const isNatural = flag(body, 'isNatural')
  const names = isNatural ? commonNames(left, right) : words(list(body, 'usingClause'))
  const merged = names.length === 0 && !isNatural ? both : merge(both, left, right, names, context)
  if (isNatural && (left.open !== undefined || right.open !== undefined)) {
    const open = derived(
      [left.open, right.open].flatMap((flow) => (flow === undefined ? [] : [flow])),
    )
    context.facts.influence('join', open, 'a natural join')
  }
  return withAlias(body, merged, names)
}

function commonNames(left: Visible, right: Visible): readonly string[] {
  const ofRight = new Set(right.columns.map(({ name }) => name))
  const common = left.columns.map(({ name }) => name).filter((name) => ofRight.has(name))
  return [...new Set(common)]
}

/** Columns of USING stand first and once: each is one side's value, or the other's. */
function merge(
  both: Visible,
  left: Visible,
  right: Visible,
  names: readonly string[],
  context: Context,
): Visible {
  const columns = names.map((name): ScopeColumn => {
    const sides = [side(left, name), side(right, name)]
    const flow = either(sides)
    if (context.isOn('clause.using')) context.facts.influence('join', flow, `USING (${name})`)
    return { name, flow: context.isOn('merge') ? flow : either([]) }
  })
  const rest = both.columns.filter(({ name }) => !names.includes(name))
  return { ...both, columns: [...columns, ...rest] }
}

function side(visible: Visible, name: string): ScopeColumn['flow'] {
  const found = visible.columns.filter((column) => column.name === name).map(({ flow }) => flow)
  if (found.length > 0) return either(found)
  const open = visible.items.flatMap((item) => columnOf(item, name)?.flow ?? [])
  return either(visible.open === undefined ? open : [...open, visible.open])
}

/** `(a JOIN b) AS j` hides a and b; `USING (x) AS j` shows the merged columns under a name. */
function withAlias(body: Tree, visible: Visible, names: readonly string[]): Visible {
  const alias = at(body, 'alias')
  if (alias !== undefined) {
    const output = renamed(
      { columns: visible.columns, open: visible.open },
      words(list(alias, 'colnames')),
    )
    return visibleItem({
      alias: text(alias, 'aliasname'),
      columns: output.columns,
      isTable: false,
      ...(output.open === undefined ? {} : { open: output.open }),
    })
  }
  const using = at(body, 'join_using_alias')
  if (using === undefined) return visible
  const item: ScopeItem = {
    alias: text(using, 'aliasname'),
    columns: visible.columns.slice(0, names.length),
    isTable: false,
  }
  return { ...visible, items: [...visible.items, item] }
}

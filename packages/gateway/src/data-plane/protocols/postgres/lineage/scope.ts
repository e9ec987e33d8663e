import type { Kind } from './expression-kind.ts'
import { clean, derived, either, type Flow } from './flow.ts'

/** A column that a query level can name. */
export interface ScopeColumn {
  readonly name: string
  readonly flow: Flow
  readonly origin?: { readonly relation: number; readonly attribute: number }
  /** The type, where it is a column of a table. */
  readonly typeOid?: number
  /** What sort of values it has, where that is known of an expression. */
  readonly kind?: Kind
  /** The server's name for it can't be told, as for most expressions without an alias. */
  readonly isNameless?: boolean
}

/** A relation, sub-query or function under the name that a query level knows it by. */
export interface ScopeItem {
  readonly alias: string
  readonly schema?: string
  readonly columns: readonly ScopeColumn[]
  /** What a column may carry that is not listed; undefined where all are listed. */
  readonly open?: Flow
  /** A table, which has the columns that every table has. */
  readonly isTable: boolean
}

/** What a FROM clause makes visible: items by their alias, and columns as `*` lists them. */
export interface Visible {
  readonly items: readonly ScopeItem[]
  readonly columns: readonly ScopeColumn[]
  /** Unlisted columns of the items. */
  readonly open: Flow | undefined
}

export interface Scope extends Visible {
  readonly outer: Scope | undefined
}

export const nothingVisible: Visible = { items: [], columns: [], open: undefined }

export function visibleItem(item: ScopeItem): Visible {
  return { items: [item], columns: item.columns, open: item.open }
}

/** Two items side by side, as a comma or a cross join puts them. */
export function beside(a: Visible, b: Visible): Visible {
  return {
    items: [...a.items, ...b.items],
    columns: [...a.columns, ...b.columns],
    open: eitherOpen(a.open, b.open),
  }
}

export function eitherOpen(a: Flow | undefined, b: Flow | undefined): Flow | undefined {
  if (a === undefined) return b
  return b === undefined ? a : either([a, b])
}

/** All of an item's columns together: what a whole row carries. */
export function rowFlow(item: ScopeItem): Flow {
  const flows = item.columns.map(({ flow }) => flow)
  return derived(item.open === undefined ? flows : [...flows, item.open])
}

/** Columns that every table has. They hold numbers of the server's own. */
const systemColumns = new Set(['ctid', 'xmin', 'cmin', 'xmax', 'cmax', 'tableoid', 'oid'])

export type Found =
  | { readonly kind: 'column'; readonly column: ScopeColumn }
  | { readonly kind: 'row'; readonly item: ScopeItem }
  | { readonly kind: 'none' }

const none: Found = { kind: 'none' }

/** What an unqualified name stands for: the nearest column, else the nearest item as a whole row. */
export function findName(scope: Scope | undefined, name: string): Found {
  for (let level = scope; level !== undefined; level = level.outer) {
    const found = level.columns.filter((column) => column.name === name)
    const [first] = found
    if (first !== undefined) return column(found.length === 1 ? first : ambiguous(name, found))
    const unlisted = unlistedFlow(level)
    if (unlisted !== undefined) {
      const outside = findName(level.outer, name)
      const flows = outside.kind === 'column' ? [unlisted, outside.column.flow] : [unlisted]
      // Also where no column bears the name, an item may.
      const item = level.items.find(({ alias }) => alias === name)
      if (item !== undefined) flows.push(rowFlow(item))
      return column({ name, flow: derived(flows) })
    }
    if (systemColumns.has(name) && level.items.some(({ isTable }) => isTable))
      return column({ name, flow: clean })
  }
  for (let level = scope; level !== undefined; level = level.outer) {
    const item = level.items.find(({ alias }) => alias === name)
    if (item !== undefined) return { kind: 'row', item }
  }
  return none
}

/** What a column may carry whose name is not among those that are known. */
function unlistedFlow({ columns, open }: Pick<Visible, 'columns' | 'open'>): Flow | undefined {
  const nameless = columns.filter(({ isNameless }) => isNameless === true).map(({ flow }) => flow)
  if (nameless.length === 0) return open
  return derived(open === undefined ? nameless : [...nameless, open])
}

/** The item that `alias.` or `schema.table.` means. */
export function findItem(
  scope: Scope | undefined,
  qualifier: readonly string[],
): ScopeItem | undefined {
  const alias = qualifier.at(-1)
  const schema = qualifier.at(-2)
  for (let level = scope; level !== undefined; level = level.outer) {
    const item = level.items.find(
      (one) => one.alias === alias && (schema === undefined || one.schema === schema),
    )
    if (item !== undefined) return item
  }
  return undefined
}

/** A column of one item; undefined where the item has none of that name. */
export function columnOf(item: ScopeItem, name: string): ScopeColumn | undefined {
  const found = item.columns.filter((one) => one.name === name)
  const [first] = found
  if (first !== undefined) return found.length === 1 ? first : ambiguous(name, found)
  const unlisted = unlistedFlow({ columns: item.columns, open: item.open })
  if (unlisted !== undefined) return { name, flow: unlisted }
  return systemColumns.has(name) && item.isTable ? { name, flow: clean } : undefined
}

function column(found: ScopeColumn): Found {
  return { kind: 'column', column: found }
}

function ambiguous(name: string, found: readonly ScopeColumn[]): ScopeColumn {
  return { name, flow: derived(found.map(({ flow }) => flow)) }
}

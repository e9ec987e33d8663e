/** One node of `EXPLAIN (FORMAT JSON)`. */
interface PlanNode {
  readonly kind: string
  readonly rows: number
  /** `Outer`, `InitPlan`, `SubPlan`: what it is to the node above. */
  readonly relationship: string
  readonly below: readonly PlanNode[]
}

/**
 * Rows that a plan expects a statement to meet: those that reach the nodes which change tables, or, where none does, those
 * that come back. Undefined where the answer is no plan.
 */
export function rowsOfPlan(json: string | null | undefined): number | undefined {
  try {
    const rows = rowsOf(readTop(json))
    return rows !== undefined && Number.isFinite(rows) ? rows : undefined
  } catch {
    // No JSON, or nested beyond what the stack takes.
    return undefined
  }
}

function rowsOf(top: PlanNode | undefined): number | undefined {
  if (top === undefined) return undefined
  const changing = nodesOf(top).filter(({ kind }) => kind === 'ModifyTable')
  if (changing.length === 0) return top.rows
  return changing
    .flatMap(({ below }) => below)
    .filter(({ relationship }) => relationship !== 'InitPlan' && relationship !== 'SubPlan')
    .reduce((sum, { rows }) => sum + rows, 0)
}

function nodesOf(node: PlanNode): PlanNode[] {
  return [node, ...node.below.flatMap(nodesOf)]
}

function readTop(json: string | null | undefined): PlanNode | undefined {
  const parsed: unknown = JSON.parse(json ?? '')
  return Array.isArray(parsed) ? readNode(fieldOf(parsed[0], 'Plan')) : undefined
}

function readNode(value: unknown): PlanNode | undefined {
  const rows = fieldOf(value, 'Plan Rows')
  const kind = fieldOf(value, 'Node Type')
  if (typeof rows !== 'number' || !(rows >= 0) || typeof kind !== 'string') return undefined
  const relation = fieldOf(value, 'Parent Relationship')
  const plans = fieldOf(value, 'Plans') ?? []
  const below = Array.isArray(plans) ? plans.map(readNode) : [undefined]
  // A plan that is understood in part tells less than it seems to.
  if (!below.every((node) => node !== undefined)) return undefined
  return { kind, rows, relationship: typeof relation === 'string' ? relation : '', below }
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null
    ? (value as Readonly<Record<string, unknown>>)[name]
    : undefined
}

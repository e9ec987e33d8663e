import { at, flag, list, text, words, type Tree } from '../classify/tree.ts'
import type { Context, Cte, Output, Place } from './context.ts'
import { clean, derived, either, type Flow } from './flow.ts'
import type { Facts } from './facts.ts'
import type { ScopeColumn } from './scope.ts'
import { flowsOf, renamed } from './outputs.ts'

/** Rounds of a recursion beyond this give up: each adds a source to some column, or is the last. */
const roundsMax = 64

/** The place inside a query with its WITH clause. What changes rows in a CTE does so whether it is read or not. */
export function withCtes(body: Tree, place: Place, context: Context): Place {
  const clause = at(body, 'withClause')
  if (clause === undefined) return place
  const nodes = list(clause, 'ctes').map((node) => at(node, 'CommonTableExpr') ?? {})
  const ctes = new Map(place.ctes)
  const made: Cte[] = []
  const isRecursive = flag(clause, 'recursive')
  for (const node of nodes) {
    // Without RECURSIVE a CTE sees those before it alone.
    const seen = isRecursive ? ctes : new Map(ctes)
    const cte = new EvaluatedCte(node, { ...place, ctes: seen }, context)
    ctes.set(cte.name, cte)
    made.push(cte)
  }
  for (const cte of made) {
    cte.output()
    context.facts.includeRest(cte.facts)
    // What changes rows does so whether it is read or not; what reads them runs where it is read.
    if (cte.changesRows) context.facts.includeInfluences(cte.facts)
  }
  return { ...place, ctes }
}

class EvaluatedCte implements Cte {
  readonly name: string
  readonly changesRows: boolean
  readonly #node: Tree
  readonly #place: Place
  readonly #context: Context
  #found: Output | undefined
  /** While it is evaluated: what it gives as far as is known. */
  #soFar: Output | undefined
  #isRead = false

  constructor(node: Tree, place: Place, context: Context) {
    this.name = text(node, 'ctename')
    this.changesRows = at(at(node, 'ctequery') ?? {}, 'SelectStmt') === undefined
    this.#node = node
    this.#place = place
    this.#context = context.apart()
  }

  get facts(): Facts {
    return this.#context.facts
  }

  output(): Output {
    if (this.#found !== undefined) return this.#found
    if (this.#soFar !== undefined) {
      this.#isRead = true
      return this.#soFar
    }
    this.#soFar = { columns: [], open: clean }
    this.#found = this.#settle()
    return this.#found
  }

  #settle(): Output {
    for (let round = 0; round < roundsMax; round += 1) {
      this.#isRead = false
      const next = this.#evaluate()
      if (!this.#isRead || areEqual(next, this.#soFar)) return next
      this.#soFar = this.#context.isOn('recursion') ? next : { columns: [], open: clean }
    }
    this.#context.facts.unresolved.add(`recursion of ${this.name}`)
    return { columns: [], open: this.#context.masks.anything }
  }

  #evaluate(): Output {
    const output = this.#context.query(at(this.#node, 'ctequery') ?? {}, this.#place)
    return this.#withMarks(renamed(output, words(list(this.#node, 'aliascolnames'))))
  }

  /** SEARCH and CYCLE add columns that are made of the others; CYCLE ends a recursion by what they hold. */
  #withMarks(output: Output): Output {
    const search = at(this.#node, 'search_clause')
    const cycle = at(this.#node, 'cycle_clause')
    if (search === undefined && cycle === undefined) return output
    const flow = derived(flowsOf(output))
    if (cycle !== undefined) this.#context.facts.influence('rows', flow, 'a CYCLE clause')
    if (search !== undefined) this.#context.facts.influence('order', flow, 'a SEARCH clause')
    const names = [
      text(search ?? {}, 'search_seq_column'),
      text(cycle ?? {}, 'cycle_mark_column'),
      text(cycle ?? {}, 'cycle_path_column'),
    ].filter((name) => name !== '')
    const columns: ScopeColumn[] = names.map((name) => ({ name, flow }))
    return { columns: [...output.columns, ...columns], open: output.open }
  }
}

function areEqual(a: Output, b: Output | undefined): boolean {
  if (b === undefined || a.columns.length !== b.columns.length) return false
  if ((a.open === undefined) !== (b.open === undefined)) return false
  if (!isSameFlow(a.open ?? clean, b.open ?? clean)) return false
  return a.columns.every((column, index) =>
    isSameFlow(column.flow, b.columns[index]?.flow ?? clean),
  )
}

function isSameFlow(a: Flow, b: Flow): boolean {
  return (
    a.sources.size === b.sources.size &&
    a.isExact === b.isExact &&
    a.fails === b.fails &&
    a.acts === b.acts &&
    either([a, b]).sources.size === a.sources.size
  )
}

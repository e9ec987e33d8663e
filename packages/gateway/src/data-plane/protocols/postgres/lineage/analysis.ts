import { at, unwrap, type Tree } from '../classify/tree.ts'
import { nowhere, type Context, type Output, type Place } from './context.ts'
import { expressionFlow } from './expression-rules.ts'
import type { Kind } from './expression-kind.ts'
import { Facts } from './facts.ts'
import { derived, isTainted, type Flow } from './flow.ts'
import type { LineageCatalog, LineageFunction, LineageRelation } from './lineage-catalog.ts'
import type { Lineage, OutputColumn } from './lineage.ts'
import type { MaskSet } from './mask-set.ts'
import { OwnFunctions } from './own-functions.ts'
import { queryOutput } from './query-rules.ts'
import { relationFlows } from './relation-rules.ts'
import { statementOutput } from './statement-rules.ts'

/** The statements of a text of the server's own; undefined where they can't be read. */
export type ParseText = (text: string) => readonly Tree[] | undefined

/** One relation as it was followed. */
interface Followed {
  readonly output: Output
  readonly facts: Facts
}

/** What is asked of the analysis: one database as a session sees it, under one list of masks. */
export interface AnalysisInput {
  readonly catalog: LineageCatalog
  readonly masks: MaskSet
  readonly parse: ParseText
  /** Rules that are switched off, by their names in the tables of rules: for tests that show what a rule is there for. */
  readonly disabledRules?: ReadonlySet<string>
}

/** Follows the values of statements from masked columns to what they return, decide and change. Keeps what views are made of. */
export class Analysis {
  readonly #input: AnalysisInput
  readonly #relations = new Map<number, Followed>()

  constructor(input: AnalysisInput) {
    this.#input = input
  }

  /** The lineage of one statement, as the parser gives it. */
  statement(node: Tree): Lineage {
    const facts = new Facts()
    const context = new StatementContext(this.#input, facts, this.#relations)
    const output = withImplicitCasts(statementOutput(node, context), context)
    const prepared = preparedIn(node)
    return {
      columns: output.open === undefined ? output.columns.map(outputColumn) : undefined,
      others: output.open === undefined ? undefined : allOf(output),
      planned: facts.planned,
      influences: facts.influences,
      launders: facts.launders,
      partials: facts.partials,
      unresolved: [...facts.unresolved],
      sideDoors: [...facts.sideDoors],
      maskedWrites: facts.maskedWrites,
      ...(prepared === undefined ? {} : { prepared: this.statement(prepared) }),
    }
  }

  /** What the columns of a relation can carry, in its order. */
  relation(relation: LineageRelation): Output {
    return this.#followed(relation).output
  }

  /** True where reading the relation can meet a masked column. */
  touches(relation: LineageRelation): boolean {
    const { output, facts } = this.#followed(relation)
    return isTainted(allOf(output)) || !facts.isEmpty
  }

  #followed(relation: LineageRelation): Followed {
    const known = this.#relations.get(relation.oid)
    if (known !== undefined) return known
    const context = new StatementContext(this.#input, new Facts(), this.#relations)
    return context.followed(relation)
  }
}

/** Casts that no statement writes run anywhere in it. */
function withImplicitCasts(output: Output, context: Context): Output {
  const behind = context.ownCall(context.catalog.castsTo(''), [], nowhere)
  const flow = allOf(behind)
  if (!isTainted(flow)) return output
  context.facts.influence('filter', flow, 'a cast of the database itself')
  return { columns: [], open: derived([flow, allOf(output)]) }
}

function allOf({ columns, open }: Output): Flow {
  const flows = columns.map(({ flow }) => flow)
  return derived(open === undefined ? flows : [...flows, open])
}

/** The query inside PREPARE or DECLARE, which EXECUTE or FETCH returns the columns of. */
function preparedIn(node: Tree): Tree | undefined {
  const { tag, body } = unwrap(node) ?? { tag: '', body: {} }
  return tag === 'PrepareStmt' || tag === 'DeclareCursorStmt' ? at(body, 'query') : undefined
}

function outputColumn({ name, flow, origin, isNameless }: Output['columns'][number]): OutputColumn {
  return {
    name: isNameless === true ? undefined : name,
    flow,
    ...(origin === undefined ? {} : { origin }),
  }
}

/** What the rules share while one statement is followed. */
class StatementContext implements Context {
  readonly masks: MaskSet
  readonly catalog: LineageCatalog
  readonly facts: Facts
  readonly #input: AnalysisInput
  readonly #relations: Map<number, Followed>
  readonly #functions: OwnFunctions
  readonly #following: Set<number>
  readonly kinds: WeakMap<Tree, Kind | undefined>

  constructor(
    input: AnalysisInput,
    facts: Facts,
    relations: Map<number, Followed>,
    functions = new OwnFunctions(),
    following = new Set<number>(),
    kinds = new WeakMap<Tree, Kind | undefined>(),
  ) {
    this.#input = input
    this.masks = input.masks
    this.catalog = input.catalog
    this.facts = facts
    this.#relations = relations
    this.#functions = functions
    this.#following = following
    this.kinds = kinds
  }

  apart(): Context {
    return new StatementContext(
      this.#input,
      new Facts(),
      this.#relations,
      this.#functions,
      this.#following,
      this.kinds,
    )
  }

  isOn(rule: string): boolean {
    return this.#input.disabledRules?.has(rule) !== true
  }

  parse(text: string): readonly Tree[] | undefined {
    return this.#input.parse(text)
  }

  expression(node: Tree | undefined, place: Place): Flow {
    return expressionFlow(node, place, this)
  }

  query(node: Tree, place: Place): Output {
    return queryOutput(node, place, this)
  }

  relation(relation: LineageRelation): Output {
    const { output, facts } = this.followed(relation)
    this.facts.include(facts)
    return output
  }

  madeFunction(create: Tree): Output | undefined {
    return this.#functions.made(create, this)
  }

  calledByName(functions: readonly LineageFunction[], given: Flow): Output {
    return this.#functions.callByName(functions, given, this)
  }

  ownCall(functions: readonly LineageFunction[], args: readonly Flow[]): Output {
    return this.#functions.call(functions, args, this)
  }

  followed(relation: LineageRelation): Followed {
    const known = this.#relations.get(relation.oid)
    if (known !== undefined) return known
    const inner = this.apart()
    const { facts } = inner
    if (this.#following.has(relation.oid)) {
      facts.unresolved.add(`view ${relation.schema}.${relation.name}`)
      return { output: { columns: [], open: this.masks.anything }, facts }
    }
    this.#following.add(relation.oid)
    const found = { output: relationFlows(relation, inner), facts }
    this.#following.delete(relation.oid)
    // What was met inside of a function that calls itself is not the whole of it.
    if (!this.#functions.isRunning) this.#relations.set(relation.oid, found)
    return found
  }
}

import { serialize, type ASTNode } from '@marcbachmann/cel-js'
import type { FactPath, FactSchema } from '@sallyport/core'
import { dottedNames } from './check-syntax.ts'

/** One thing that has to hold: a text is (not) one of some, a number is in a range, anything else is (not) true. */
type Atom =
  | {
      readonly kind: 'among'
      readonly fact: FactPath
      readonly values: ReadonlySet<string>
      readonly holds: boolean
    }
  | {
      readonly kind: 'range'
      readonly fact: FactPath
      readonly from: bigint
      readonly to: bigint
    }
  | { readonly kind: 'other'; readonly text: string; readonly holds: boolean }
  | { readonly kind: 'constant'; readonly holds: boolean }

/** All of them at once. */
type Conjunction = readonly Atom[]

/** Conditions that need more ways than this to be written out are not looked into. */
const waysMax = 512
const least = -(2n ** 63n)
const greatest = 2n ** 63n - 1n

/** True where a condition can't become `wanted`, whatever the facts are. Says false where it is not sure. */
export function isNever(node: ASTNode, schema: FactSchema, wanted: boolean): boolean {
  const ways = waysTo(node, schema, wanted)
  return ways !== undefined && ways.every((way) => isContradictory(way, schema))
}

/** The ways in which a condition becomes `wanted` (its disjunctive normal form); undefined where there are too many. */
function waysTo(node: ASTNode, schema: FactSchema, wanted: boolean): Conjunction[] | undefined {
  if (node.op === '!_') return waysTo(node.args, schema, !wanted)
  if (node.op !== '&&' && node.op !== '||')
    return atomsOf(node, schema, wanted).map((atom) => [atom])
  const [left, right] = node.args.map((each) => waysTo(each, schema, wanted))
  if (left === undefined || right === undefined) return undefined
  const needsBoth = (node.op === '&&') === wanted
  if ((needsBoth ? left.length * right.length : left.length + right.length) > waysMax) {
    return undefined
  }
  if (!needsBoth) return [...left, ...right]
  return left.flatMap((one) => right.map((other) => [...one, ...other]))
}

/** What a clause says, as atoms of which one has to hold. */
function atomsOf(node: ASTNode, schema: FactSchema, wanted: boolean): Atom[] {
  if (node.op === 'value' && typeof node.args === 'boolean') {
    return [{ kind: 'constant', holds: node.args === wanted }]
  }
  const fact = dottedNames(node)?.join('.')
  if (fact !== undefined && schema.facts[fact]?.type === 'bool') {
    return [{ kind: 'among', fact, values: new Set([String(wanted)]), holds: true }]
  }
  return comparison(node, wanted) ?? [{ kind: 'other', text: serialize(node), holds: wanted }]
}

const mirrored = { '<': '>', '<=': '>=', '>': '<', '>=': '<=', '==': '==', '!=': '!=' } as const
const negated = { '<': '>=', '<=': '>', '>': '<=', '>=': '<', '==': '!=', '!=': '==' } as const
type Comparison = keyof typeof mirrored

function comparison(node: ASTNode, wanted: boolean): Atom[] | undefined {
  if (node.op === 'in') return membership(node.args[0], node.args[1], wanted)
  if (!isComparison(node.op) || !Array.isArray(node.args)) return undefined
  const [left, right] = node.args as [ASTNode, ASTNode]
  const isMirrored = left.op === 'value'
  const [factNode, valueNode] = isMirrored ? [right, left] : [left, right]
  const fact = dottedNames(factNode)?.join('.')
  if (fact === undefined || valueNode.op !== 'value') return undefined
  const said = isMirrored ? mirrored[node.op] : node.op
  const op = wanted ? said : negated[said]
  const value = valueNode.args
  if (typeof value === 'bigint') return rangesOf(fact, op, value)
  if (typeof value !== 'string' && typeof value !== 'boolean') return undefined
  if (op !== '==' && op !== '!=') return undefined
  return [{ kind: 'among', fact, values: new Set([String(value)]), holds: op === '==' }]
}

function isComparison(op: string): op is Comparison {
  return Object.hasOwn(mirrored, op)
}

function membership(factNode: ASTNode, list: ASTNode, wanted: boolean): Atom[] | undefined {
  const fact = dottedNames(factNode)?.join('.')
  if (fact === undefined || list.op !== 'list') return undefined
  const values = new Set<string>()
  for (const each of list.args) {
    if (each.op !== 'value' || typeof each.args !== 'string') return undefined
    values.add(each.args)
  }
  return [{ kind: 'among', fact, values, holds: wanted }]
}

function rangesOf(fact: FactPath, op: Comparison, value: bigint): Atom[] {
  const range = (from: bigint, to: bigint): Atom => ({ kind: 'range', fact, from, to })
  switch (op) {
    case '<':
      return [range(least, value - 1n)]
    case '<=':
      return [range(least, value)]
    case '>':
      return [range(value + 1n, greatest)]
    case '>=':
      return [range(value, greatest)]
    case '==':
      return [range(value, value)]
    case '!=':
      return [range(least, value - 1n), range(value + 1n, greatest)]
  }
}

function isContradictory(way: Conjunction, schema: FactSchema): boolean {
  const facts = new Set<FactPath>()
  const others = new Map<string, boolean>()
  for (const atom of way) {
    if (atom.kind === 'constant') {
      if (!atom.holds) return true
    } else if (atom.kind === 'other') {
      if (others.get(atom.text) === !atom.holds) return true
      others.set(atom.text, atom.holds)
    } else facts.add(atom.fact)
  }
  return [...facts].some((fact) => hasNoValue(fact, way, schema))
}

function hasNoValue(fact: FactPath, way: Conjunction, schema: FactSchema): boolean {
  const type = schema.facts[fact]
  let left: ReadonlySet<string> | undefined =
    type?.type === 'bool' ? new Set(['true', 'false']) : closedSet(type)
  const excluded = new Set<string>()
  let [from, to] = rangeOf(fact)
  for (const atom of way) {
    if (atom.kind === 'range' && atom.fact === fact) {
      if (atom.from > from) from = atom.from
      if (atom.to < to) to = atom.to
    }
    if (atom.kind !== 'among' || atom.fact !== fact) continue
    if (atom.holds) left = left === undefined ? atom.values : both(left, atom.values)
    else for (const value of atom.values) excluded.add(value)
  }
  return from > to || (left !== undefined && [...left].every((value) => excluded.has(value)))
}

function both(left: ReadonlySet<string>, right: ReadonlySet<string>): ReadonlySet<string> {
  return new Set([...left].filter((value) => right.has(value)))
}

/** A list may hold several of its values. */
function closedSet(type: FactSchema['facts'][string] | undefined): ReadonlySet<string> | undefined {
  return type?.values === undefined || type.type !== 'string' ? undefined : new Set(type.values)
}

/** Attribution levels go from 0 to 4; all other numbers count something, but for times, which a clock may set back. */
function rangeOf(fact: FactPath): [bigint, bigint] {
  if (fact === 'agent.level') return [0n, 4n]
  return fact.endsWith('Seconds') ? [least, greatest] : [0n, greatest]
}

import type { ClauseTree, FactPath, Facts } from './condition-engine.ts'

/** `unknown`: a fact that it reads could not be determined, or it could not be evaluated. */
export type ClauseState = 'true' | 'false' | 'unknown'

/** A condition with what each part of it came to. */
export type ExplainedTree =
  | {
      readonly kind: 'all' | 'any'
      readonly state: ClauseState
      readonly needed: boolean
      readonly parts: readonly ExplainedTree[]
    }
  | {
      readonly kind: 'not'
      readonly state: ClauseState
      readonly needed: boolean
      readonly part: ExplainedTree
    }
  | ExplainedClause

export interface ExplainedClause {
  readonly kind: 'clause'
  readonly state: ClauseState
  /** False where what stands before it had decided already. */
  readonly needed: boolean
  readonly text: string
  readonly facts: readonly ReadFact[]
  /** Why it is unknown: `unknown fact op.class`, or a code. */
  readonly why?: string
}

/** A fact that a clause reads. `value` is absent where it is not known. */
export interface ReadFact {
  readonly path: FactPath
  readonly value?: unknown
}

/** Evaluates every clause by itself, and tells what `&&`, `||` and `!` make of them: false and true absorb what is unknown. */
export function explainClauses(tree: ClauseTree, facts: Facts, needed = true): ExplainedTree {
  switch (tree.kind) {
    case 'clause':
      return explainClause(tree, facts, needed)
    case 'not': {
      const part = explainClauses(tree.part, facts, needed)
      return { kind: 'not', state: opposite[part.state], needed, part }
    }
    case 'all':
    case 'any': {
      const decisive = tree.kind === 'all' ? 'false' : 'true'
      const parts: ExplainedTree[] = []
      let isOpen = needed
      for (const each of tree.parts) {
        const part = explainClauses(each, facts, isOpen)
        parts.push(part)
        if (part.state === decisive) isOpen = false
      }
      return { kind: tree.kind, state: stateOf(parts, decisive), needed, parts }
    }
  }
}

/** The clauses of a condition, from left to right. */
export function clausesIn(tree: ExplainedTree): readonly ExplainedClause[] {
  switch (tree.kind) {
    case 'clause':
      return [tree]
    case 'not':
      return clausesIn(tree.part)
    case 'all':
    case 'any':
      return tree.parts.flatMap(clausesIn)
  }
}

const opposite = { true: 'false', false: 'true', unknown: 'unknown' } as const

function stateOf(parts: readonly ExplainedTree[], decisive: 'true' | 'false'): ClauseState {
  if (parts.some(({ state }) => state === decisive)) return decisive
  return parts.some(({ state }) => state === 'unknown') ? 'unknown' : opposite[decisive]
}

function explainClause(
  { text, condition }: Extract<ClauseTree, { kind: 'clause' }>,
  facts: Facts,
  needed: boolean,
): ExplainedClause {
  const outcome = condition.evaluate(facts)
  const read = condition.reads.map((path) => {
    const value = factAt(facts, path)
    return value === undefined ? { path } : { path, value }
  })
  const shown = { kind: 'clause', needed, text, facts: read } as const
  if (outcome.kind === 'value') return { ...shown, state: outcome.value ? 'true' : 'false' }
  const why = outcome.kind === 'unknown' ? `unknown fact ${outcome.fact}` : outcome.code
  return { ...shown, state: 'unknown', why }
}

/** The value of a fact; undefined where it is not known. */
export function factAt(facts: Facts, path: FactPath): unknown {
  let value: unknown = facts
  for (const part of path.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined
    value = Reflect.get(value, part)
  }
  return value
}

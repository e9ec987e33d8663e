import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import type { ClauseTree, Condition } from './condition-engine.ts'
import { clausesIn, explainClauses } from './explain-clauses.ts'

/** A clause over one fact of three states, by its name: `t`, `f`, `u`. */
function clause(state: string): ClauseTree {
  const condition: Condition = {
    reads: [`x.${state}`],
    evaluate: () =>
      state === 'u' ? { kind: 'unknown', fact: 'x.u' } : { kind: 'value', value: state === 't' },
    clauses: () => clause(state),
  }
  return { kind: 'clause', text: state, condition }
}

const trees = fc.letrec<{ tree: ClauseTree }>((tie) => ({
  tree: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constantFrom('t', 'f', 'u').map(clause),
    fc.record({
      kind: fc.constantFrom('all' as const, 'any' as const),
      parts: fc.array(tie('tree'), { minLength: 2, maxLength: 4 }),
    }),
    fc.record({ kind: fc.constant('not' as const), part: tie('tree') }),
  ),
})).tree

/** CEL: false and true absorb errors on either side. */
function brute(tree: ClauseTree): boolean | undefined {
  if (tree.kind === 'clause') return tree.text === 'u' ? undefined : tree.text === 't'
  if (tree.kind === 'not') {
    const part = brute(tree.part)
    return part === undefined ? undefined : !part
  }
  const parts = tree.parts.map(brute)
  const decisive = tree.kind === 'any'
  if (parts.includes(decisive)) return decisive
  return parts.includes(undefined) ? undefined : !decisive
}

test('a tree of clauses comes to what its condition does, and clauses that are not needed change nothing', () => {
  fc.assert(
    fc.property(trees, (tree) => {
      const explained = explainClauses(tree, {})
      const value = brute(tree)
      assert.equal(explained.state, value === undefined ? 'unknown' : String(value))
      const states = clausesIn(explained)
      assert.ok(states.some(({ needed }) => needed))
      // Whatever a clause that was not needed came to, the whole is the same.
      const index = states.findIndex(({ needed }) => !needed)
      if (index === -1) return
      for (const other of ['t', 'f', 'u']) {
        let at = -1
        const swap = (one: ClauseTree): ClauseTree => {
          if (one.kind === 'clause') {
            at += 1
            return at === index ? clause(other) : one
          }
          if (one.kind === 'not') return { kind: 'not', part: swap(one.part) }
          return { kind: one.kind, parts: one.parts.map(swap) }
        }
        assert.equal(explainClauses(swap(tree), {}).state, explained.state)
      }
    }),
  )
})

test('a clause names the facts that it reads, and the one that is not known', () => {
  const known = explainClauses(clause('t'), { x: { t: 5n } })
  assert.ok(known.kind === 'clause')
  assert.deepEqual(known.facts, [{ path: 'x.t', value: 5n }])
  const unknown = explainClauses(clause('u'), {})
  assert.ok(unknown.kind === 'clause')
  assert.deepEqual([unknown.facts, unknown.why], [[{ path: 'x.u' }], 'unknown fact x.u'])
})

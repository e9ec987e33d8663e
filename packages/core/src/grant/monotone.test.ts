import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import type { GrantLayer } from '../chain.ts'
import { decideGrant, decideOpening, type GrantRequest } from './decide-grant.ts'
import { chainOfLayers, layers, requests, runs } from './grant.fixture.ts'

interface Node {
  readonly parent: number | undefined
  layers: readonly GrantLayer[]
}

const chainRuns = runs(5_000, 100_000)
const agentLayers = fc.array(layers, { minLength: 1, maxLength: 2 })
const births = fc.record({ kind: fc.constant('birth' as const), at: fc.nat(), layers: agentLayers })
const narrowings = fc.record({
  kind: fc.constant('narrow' as const),
  at: fc.nat(),
  layers: fc.tuple(layers),
})
/** A root loses groups and an operator edits a grant: layers of an ancestor are replaced. */
const edits = fc.record({ kind: fc.constant('edit' as const), at: fc.nat(), layers: agentLayers })
const steps = fc.array(
  fc.oneof(
    { weight: 3, arbitrary: births },
    { weight: 1, arbitrary: narrowings },
    { weight: 1, arbitrary: edits },
  ),
  { minLength: 1, maxLength: 5 },
)

test('a child is never allowed what an ancestor is refused, whatever happens to the tree', () => {
  let asked = 0
  let allowed = 0
  fc.assert(
    fc.property(
      agentLayers,
      steps,
      fc.array(requests, { minLength: 1, maxLength: 4 }),
      (root, happened, all) => {
        const tree: Node[] = [{ parent: undefined, layers: root }]
        for (const step of happened) {
          apply(tree, step)
          const node = step.at % tree.length
          for (const request of all) {
            asked += 1
            if (checkPath(tree, node, request)) allowed += 1
          }
        }
      },
    ),
    { numRuns: chainRuns },
  )
  assert.ok(allowed / asked >= 0.05, `only ${allowed} of ${asked} requests were allowed`)
})

function apply(
  tree: Node[],
  step: { kind: string; at: number; layers: readonly GrantLayer[] },
): void {
  const at = step.at % tree.length
  const node = tree[at]
  if (step.kind === 'birth' || node === undefined) tree.push({ parent: at, layers: step.layers })
  else if (step.kind === 'narrow') node.layers = [...node.layers, ...step.layers]
  else node.layers = step.layers
}

/** Compares the decision on an agent with those on all agents above it, and says whether it was allowed. */
function checkPath(tree: readonly Node[], from: number, request: GrantRequest): boolean {
  const path: (readonly GrantLayer[])[] = []
  for (let at: number | undefined = from; at !== undefined; at = tree[at]?.parent) {
    path.unshift(tree[at]?.layers ?? [])
  }
  const own = decideGrant(chainOfLayers(...path), request)
  let holder: string | undefined
  for (let depth = 1; depth < path.length; depth++) {
    const above = decideGrant(chainOfLayers(...path.slice(0, depth)), request)
    if (above.allowed) holder = `a${depth - 1}`
    if (!own.allowed) continue
    assert.ok(above.allowed)
    assert.ok((own.rowsMax ?? Infinity) <= (above.rowsMax ?? Infinity))
    assert.ok((own.holdsUntilMs ?? Infinity) <= (above.holdsUntilMs ?? Infinity))
  }
  if (own.allowed) assert.equal(decideOpening(chainOfLayers(...path), request).allowed, true)
  else if (own.nearestHolder !== undefined || own.agent !== 'a0') {
    assert.equal(own.nearestHolder, holder)
  }
  return own.allowed
}

test('a chain allows exactly what each of its layers allows alone, with the fewest rows of them', () => {
  const agents = fc.array(agentLayers, { minLength: 1, maxLength: 3 })
  fc.assert(
    fc.property(agents, requests, (held, request) => {
      const whole = decideGrant(chainOfLayers(...held), request)
      const alone = held.flat().map((layer) => decideGrant(chainOfLayers([layer]), request))
      assert.equal(
        whole.allowed,
        alone.every((decision) => decision.allowed),
      )
      if (!whole.allowed) return
      const rows = alone.map((decision) => (decision.allowed && decision.rowsMax) || Infinity)
      assert.equal(whole.rowsMax ?? Infinity, Math.min(...rows))
    }),
    { numRuns: runs(2_000, 100_000) },
  )
})

test('a decision that says until when it holds is the same at every minute until then', () => {
  fc.assert(
    fc.property(agentLayers, agentLayers, requests, fc.nat(), (root, child, request, later) => {
      const chain = chainOfLayers(root, child)
      const now = decideGrant(chain, request)
      if (!now.allowed) return
      const until = Math.min(now.holdsUntilMs ?? Infinity, request.nowMs + 7 * 86_400_000)
      const nowMs = request.nowMs + (later % (until - request.nowMs))
      const then = decideGrant(chain, { ...request, nowMs })
      assert.ok(then.allowed)
      assert.equal(then.rowsMax, now.rowsMax)
    }),
    { numRuns: runs(2_000, 50_000) },
  )
})

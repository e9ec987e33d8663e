import assert from 'node:assert/strict'
import { join } from 'node:path'
import test from 'node:test'
import { compilePolicies, decidePolicies, factSchema, type AgentId } from '@sallyport/core'
import { celConditions } from '../../conditions/cel-conditions.ts'
import { loadPolicyFolder } from './load-policy-folder.ts'

const strength = { allow: 0, approve: 1, block: 2 }
const agent = { id: 'ag_1' as AgentId, name: 'scout', depth: 1, layers: [], createdAtMs: 0 }
const chain = {
  root: { id: 'u', kind: 'human', name: 'u', groups: [] },
  agents: [{ ...agent, expiresAtMs: 1 }],
  level: 0,
} as const

test('making any one fact unknown never weakens a verdict of the example policies', async () => {
  const loaded = await loadPolicyFolder(join(import.meta.dirname, 'fixtures'))
  assert.ok(loaded.kind === 'ok')
  const result = compilePolicies(loaded.policies, celConditions, factSchema)
  assert.ok(result.kind === 'ok')
  const effects = new Set<string>()
  const groups = ['op', 'sql', 'conn', 'agent', 'root', 'tree'] as const
  for (const verb of ['select', 'drop', 'delete', 'vacuum']) {
    for (const depth of [0n, 1n, 3n]) {
      for (const env of ['prod', 'dev']) {
        const facts = factsOf(verb, depth, env)
        const input = { subject: 'sql', connection: { name: 'c', labels: {} }, chain } as const
        const decide = (changed: object) =>
          decidePolicies(result.compiled, {
            ...input,
            facts: { ...facts, ...changed },
            unknown: false,
          })
        const before = decide({})
        effects.add(before.effect)
        for (const group of groups) {
          for (const name of Object.keys(facts[group])) {
            const left = Object.entries(facts[group]).filter(([key]) => key !== name)
            const after = decide({ [group]: Object.fromEntries(left) })
            const where = `${verb} ${depth} ${env} without ${group}.${name}`
            assert.ok(strength[after.effect] >= strength[before.effect], where)
            if (after.effect !== 'block')
              assert.ok(after.masks.length >= before.masks.length, where)
          }
        }
      }
    }
  }
  assert.deepEqual([...effects].sort(), ['allow', 'approve', 'block'])
})

function factsOf(verb: string, depth: bigint, env: string) {
  const reads = verb === 'select'
  return {
    op: {
      verb,
      class: reads ? 'read' : 'write',
      classes: reads ? ['read'] : ['delete'],
      unbounded: false,
    },
    sql: { objectKind: verb === 'drop' ? 'schema' : '' },
    conn: { env, labels: {} },
    agent: { depth },
    root: { kind: 'human', groups: [] },
    tree: { recent: { deletes10m: 0n } },
  }
}

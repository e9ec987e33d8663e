import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import fc from 'fast-check'
import type { MaskRule } from '@sallyport/core'
import type { Relation } from './catalog.ts'
import { FormerNames } from './former-names.ts'
import { noLineageRows } from './lineage/lineage-rows.ts'
import { MaskSet } from './lineage/mask-set.ts'
import { LineageDatabase } from './lineage/session-catalog.ts'

const names = ['a', 'b', 'c', 'email'] as const

/** What somebody does to a table of two columns past the gateway, or the gateway's next look. */
const step = fc.oneof(
  fc.record({ kind: fc.constant('table' as const), name: fc.constantFrom(...names) }),
  fc.record({
    kind: fc.constant('column' as const),
    attribute: fc.constantFrom(1, 2),
    name: fc.constantFrom(...names),
  }),
  fc.record({ kind: fc.constant('read' as const) }),
)

const rule: MaskRule = {
  rule: 'p/email',
  columns: [['email', 'email']],
  detect: [],
  with: 'null',
  unresolved: 'mask',
}

function relation(name: string, columns: readonly string[]): ReadonlyMap<number, Relation> {
  const entries = columns.map(
    (each, at) => [at + 1, { name: each, typeOid: 25, typmod: -1 }] as const,
  )
  return new Map([[7, { oid: 7, schema: 'public', name, kind: 'r', columns: new Map(entries) }]])
}

suite('former names', () => {
  test('a column that a rule has named at any look stays masked, whatever it and its table are called', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
        let table = 'email'
        const columns = ['email', 'a']
        let seen = { relations: relation(table, columns), former: FormerNames.none }
        const masked = new Set([1])
        const look = (): void => {
          const relations = relation(table, columns)
          seen = { relations, former: FormerNames.since(seen, relations) }
          if (table === 'email')
            for (const [at, name] of columns.entries()) if (name === 'email') masked.add(at + 1)
        }
        for (const each of steps) {
          if (each.kind === 'table') table = each.name
          else if (each.kind === 'column') columns[each.attribute - 1] = each.name
          else look()
        }
        look()
        const { relations, former } = seen
        const database = new LineageDatabase({
          relations,
          former,
          searchPath: ['public'],
          lineage: noLineageRows,
        })
        const set = new MaskSet(database, [rule], 'block')
        for (const attribute of masked) assert.ok(set.column(7, attribute), String(attribute))
      }),
    )
  })

  test('what was never called so is not masked, and what is gone is forgotten', () => {
    const first = { relations: relation('email', ['email', 'a']), former: FormerNames.none }
    const again = FormerNames.since(first, relation('email', ['b', 'a']))
    assert.deepEqual([again.ofColumn(7, 1), again.ofColumn(7, 2)], [['email'], []])
    assert.deepEqual(FormerNames.since(first, new Map()).ofColumn(7, 1), [])
    const dropped = FormerNames.since(
      { relations: relation('email', ['b', 'a']), former: again },
      relation('email', []),
    )
    assert.deepEqual(dropped.ofColumn(7, 1), [])
  })
})

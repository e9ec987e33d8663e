import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import type { GrantLayer, Permission } from '../chain.ts'
import { decideGrant, decideOpening } from './decide-grant.ts'
import { chainOfLayers, effectsOf, layers, permissions, requests, runs } from './grant.fixture.ts'
import { cutTo, foldLayers, grantLeq, missingFrom } from './grant-leq.ts'
import { parseAllow } from './parse-allow.ts'

function layer(...texts: string[]): GrantLayer {
  return {
    permits: texts.map((text): Permission => {
      const parsed = parseAllow(text)
      if (parsed.kind === 'refused') assert.fail(parsed.message)
      return parsed.permission
    }),
  }
}

/** Layers that often lie within the other: permits taken over, narrowed or added. */
const pairs = fc
  .tuple(
    layers,
    fc.array(fc.tuple(fc.nat(), permissions, fc.boolean(), fc.nat(3)), {
      minLength: 1,
      maxLength: 3,
    }),
    layers,
  )
  .map(([parent, picks, other]) => {
    const permits = picks.map(([at, own, isFree, part]) => {
      const held = parent.permits[at % parent.permits.length]
      if (held === undefined || isFree) return own
      if (part === 0) return held
      if (part === 1) return { ...held, classes: own.classes }
      return { ...held, dimensions: { ...own.dimensions, ...held.dimensions } }
    })
    const { window, client } = picks.length % 2 === 0 ? other : parent
    return {
      parent,
      child: { permits, ...(window && { window }), ...(client && { client }) } satisfies GrantLayer,
    }
  })

test('what grantLeq calls narrower allows nothing that the wider one refuses', () => {
  let narrower = 0
  let proven = 0
  fc.assert(
    fc.property(
      pairs,
      fc.array(requests, { minLength: 10, maxLength: 10 }),
      ({ parent, child }, all) => {
        if (!grantLeq(child, [parent])) return
        narrower += 1
        for (const request of all) {
          const inner = decideGrant(chainOfLayers([child]), request)
          if (!inner.allowed) continue
          proven += 1
          const outer = decideGrant(chainOfLayers([parent]), request)
          assert.ok(outer.allowed)
          assert.ok((inner.rowsMax ?? Infinity) <= (outer.rowsMax ?? Infinity))
        }
      },
    ),
    { numRuns: runs(3_000, 100_000) },
  )
  assert.ok(narrower > runs(150, 5_000), `${narrower} pairs were narrower`)
  assert.ok(proven > runs(100, 3_000), `${proven} requests were allowed`)
})

test('a cut layer misses nothing, and allows nothing that was not asked for', () => {
  fc.assert(
    fc.property(pairs, layers, requests, ({ parent, child }, other, request) => {
      const above = [parent, other]
      const { layer: left, cut } = cutTo(child, above)
      assert.deepEqual(missingFrom(left, above).missing, [])
      assert.equal(cut.length === 0, missingFrom(child, above).missing.length === 0)
      const permitsOnly = { permits: left.permits }
      if (!decideGrant(chainOfLayers([permitsOnly]), request).allowed) return
      assert.ok(decideGrant(chainOfLayers([{ permits: child.permits }]), request).allowed)
      assert.ok(decideGrant(chainOfLayers([{ permits: parent.permits }]), request).allowed)
    }),
    { numRuns: runs(1_500, 50_000) },
  )
})

/** Layers of which some narrow one before them, as an agent is narrowed again and again. */
const narrowings = fc.array(pairs, { minLength: 1, maxLength: 6 }).chain((list) => {
  const all = list.flatMap(({ parent, child }) => [parent, child])
  return fc.shuffledSubarray(all, { minLength: 1 })
})

test('folded layers allow what all of them allow: no more, no less, and no other rows', () => {
  let folded = 0
  let allowed = 0
  fc.assert(
    fc.property(narrowings, fc.array(requests, { minLength: 10, maxLength: 10 }), (all, asked) => {
      const kept = foldLayers(all)
      assert.ok(kept.every((each) => all.includes(each)))
      if (kept.length < all.length) folded += 1
      for (const request of asked) {
        const before = decideGrant(chainOfLayers(all), request)
        const after = decideGrant(chainOfLayers(kept), request)
        assert.equal(after.allowed, before.allowed)
        const opens = decideOpening(chainOfLayers(all), request).allowed
        assert.equal(decideOpening(chainOfLayers(kept), request).allowed, opens)
        if (!before.allowed || !after.allowed) continue
        allowed += 1
        assert.equal(after.rowsMax, before.rowsMax)
      }
    }),
    { numRuns: runs(2_000, 60_000) },
  )
  assert.ok(folded > runs(300, 9_000), `${folded} were folded`)
  assert.ok(allowed > runs(100, 3_000), `${allowed} requests were allowed`)
})

test('layers that narrow each other fold to the last; those that say different things stay', () => {
  const steps = ['db:*', 'db:rw', 'db:read table=a,b', 'db:read table=a'].map((text) => layer(text))
  assert.deepEqual(foldLayers(steps), steps.slice(-1))
  assert.deepEqual(foldLayers(steps.toReversed()), steps.slice(-1))
  const same = [layer('db:read'), layer('db:read')]
  assert.equal(foldLayers(same).length, 1)
  const apart = [layer('db:read table=a*'), layer('db:read table=*b')]
  assert.deepEqual(foldLayers(apart), apart)
})

test('folding layers that were made to be long ends early, and then leaves them as they are', () => {
  const words = Array.from({ length: 64 }, (_, n) => `t${n}*x`)
  const hard = Array.from({ length: 16 }, (_, n) => ({
    permits: words.map((word) => ({
      connections: [`c${n}`, 'd'],
      classes: ['read', 'write', 'ddl'],
      dimensions: { table: [word, `${word}y`], schema: ['a*', 'b*', 'c*'] },
    })),
  }))
  assert.equal(foldLayers(hard).length, hard.length)
})

for (const [child, parent, expected] of [
  ['db:ro', 'db:read,explain,write', true],
  ['db:ro', 'db:*', true],
  ['db:unknown', 'db:*', false],
  ['db:*', 'db:rw', false],
  ['db*:read', 'd*:read', true],
  ['d*:read', 'db*:read', false],
  ['d*b:read', 'd*:read', true],
  ['db:read table=orders', 'db:read table=Orders', false],
  ['db:read table=a*b', 'db:read table=a*', true],
  ['db:read table=a*', 'db:read table=a*b', false],
  ['db:read table="a,b"', 'db:read table=a,b', false],
  ['db:read table=a,b', 'db:read table="a,b"', false],
  ['db:read', 'db:read table=*', false],
  ['db:read table=x', 'db:read', true],
  ['db:read rows<=5', 'db:read rows<=6', true],
  ['db:read rows<=7', 'db:read rows<=6', false],
  ['db:read table=.*', 'db:read table=a', false],
] as const) {
  test(`grantLeq says ${expected} of ${child} below ${parent}`, () => {
    assert.equal(grantLeq(layer(child), [layer(parent)]), expected)
    assert.equal(missingFrom(layer(child), [layer(parent)]).missing.length === 0, expected)
  })
}

test('pieces of a permit may be held by several permits of the parent', () => {
  const parent = layer('db:read table=a', 'db:read table=b', 'db2:read', 'db:write table=a')
  assert.equal(grantLeq(layer('db:read table=a,b', 'db,db2:read table=a'), [parent]), true)
  assert.equal(grantLeq(layer('db:read,write table=a,b'), [parent]), false)
})

test('a permit whose limit names nothing still permits what touches no object', () => {
  const none: GrantLayer = {
    permits: [{ connections: ['db'], classes: ['read'], dimensions: { table: [] } }],
  }
  const begin = { effect: 'read', resolved: true } as const
  const request = { connection: 'db', database: '', nowMs: 0, source: '', level: 0 }
  const effects = effectsOf(begin)
  assert.equal(decideGrant(chainOfLayers([none]), { ...request, effects }).allowed, true)
  assert.equal(grantLeq(none, [layer('db:write')]), false)
  assert.equal(grantLeq(none, [layer('db:read')]), true)
})

test('every parent layer must hold the child', () => {
  assert.equal(grantLeq(layer('db:read'), [layer('db:*'), layer('db:write')]), false)
})

test('the windows and clients of the parent must be repeated for a proof, but are never missing', () => {
  const parent: GrantLayer = {
    ...layer('db:read'),
    window: { afterMs: 10, beforeMs: 20, hours: 'Mon-Fri 08:00-19:00 Europe/Berlin' },
    client: { cidr: ['10.0.0.0/8'], minLevel: 2 },
  }
  const child: GrantLayer = {
    ...layer('db:read'),
    window: { afterMs: 10, beforeMs: 15, hours: 'Tue 09:00-10:00 Europe/Berlin' },
    client: { cidr: ['10.1.0.0/16'], minLevel: 3 },
  }
  assert.equal(grantLeq(child, [parent]), true)
  assert.equal(grantLeq(layer('db:read'), [parent]), false)
  assert.deepEqual(missingFrom(layer('db:read'), [parent]).missing, [])
  const wider: Partial<GrantLayer>[] = [
    { window: { ...child.window, afterMs: 9 } },
    { window: { ...child.window, beforeMs: 21 } },
    { window: { ...child.window, hours: 'Sat 09:00-10:00 Europe/Berlin' } },
    { window: { ...child.window, hours: 'Tue 09:00-10:00 UTC' } },
    { client: { cidr: ['10.0.0.0/7'], minLevel: 3 } },
    { client: { cidr: ['10.1.0.0/16'], minLevel: 1 } },
    { client: { minLevel: 3 } },
  ]
  for (const part of wider) assert.equal(grantLeq({ ...child, ...part }, [parent]), false)
})

test('what is missing and what is held is said in the words of permits', () => {
  const parents = [layer('orders-db:ro schema=public', 'other:read'), layer('*:* rows<=500')]
  assert.deepEqual(missingFrom(layer('orders-db:rw schema=public rows<=10'), parents), {
    missing: ['orders-db:write,delete schema=public rows<=10'],
    held: ['orders-db:ro schema=public rows<=500'],
  })
  assert.deepEqual(missingFrom(layer('secret:read'), parents).held, [])
})

test('rows that are not named are those of the parents, and more of them by number are missing', () => {
  const parents = [layer('db:rw rows<=10')]
  assert.equal(grantLeq(layer('db:read'), parents), false)
  assert.deepEqual(missingFrom(layer('db:read table=a'), parents).missing, [])
  assert.deepEqual(missingFrom(layer('db:read rows<=11'), parents).missing, ['db:read rows<=11'])
})

test('a cut keeps the part that is held', () => {
  const parents = [layer('orders-db:ro schema=public,sales_*'), layer('*:* rows<=500')]
  const { layer: left, cut } = cutTo(layer('*:rw schema=sales_eu,audit', 'db:read'), parents)
  assert.deepEqual(left, layer('orders-db:ro schema=sales_eu rows<=500'))
  assert.deepEqual(cut, ['*:rw schema=audit,sales_eu', 'db:read'])
})

test('a permit with too many pieces counts as not held', () => {
  const many = Array.from({ length: 100 }, (_, index) => `t${index}`).join(',')
  const text = `db:read schema=${many} table=${many}`
  const parent = layer('db:read schema=t*', 'db:read schema=t1')
  assert.equal(grantLeq(layer(text), [parent]), true)
  const halves = layer('db:read table=t*5,t*6,t*7,t*8,t*9', 'db:read table=t*0,t*1,t*2,t*3,t*4')
  assert.equal(grantLeq(layer(`db:read table=${many}`), [halves]), true)
  assert.equal(grantLeq(layer(text), [halves]), false)
})

test('a question that was made to be long ends early, and nothing counts as held that was not compared', () => {
  const many = (prefix: string) =>
    Array.from({ length: 64 }, (_, at) => `db:* table=${prefix}${at},b${at},c${at},d${at}`)
  const parents = Array.from({ length: 64 }, (_, depth) => layer(...many(`x${depth}_`)))
  const { cut, layer: left } = cutTo(layer(...many('a')), parents)
  assert.ok(cut.length > 0)
  assert.deepEqual(left.permits, [])
  // The next question has all its effort again.
  assert.equal(grantLeq(layer('db:read'), [layer('db:ro')]), true)
})

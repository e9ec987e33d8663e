import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import { skipReason } from '@sallyport/testkit'
import { fuzzSecrets } from '../fuzz/secrets/fuzz-secrets.ts'
import { startShop, type Shop } from '../fuzz/shop/start-shop.ts'
import { fuzzWorlds } from '../fuzz/worlds/fuzz-worlds.ts'
import { openPolicy } from './test-gateway.ts'

/** The same each time: what a new seed finds belongs to `npm run fuzz:worlds`, and its statement then to the corpus. */
const seed = 4
const statements = 600

suite('random statements', { skip: skipReason(), timeout: 280_000 }, () => {
  let shop: Shop
  before(async () => {
    shop = await startShop()
  })
  after(async () => {
    await shop[Symbol.asyncDispose]()
  })

  test('no planted value reaches the caller, though many statements ask for one', async () => {
    const options = { seed, statements, seconds: 240, lanes: 2, leaksMax: 3 }
    const { leaks, tally, telling } = await fuzzSecrets(shop, options)
    assert.deepEqual(leaks, [])
    assert.ok(tally.statements >= statements, `${tally.statements} statements`)
    assert.ok(telling.shown > 0, `${telling.tried} programs show nothing with nothing between`)
  })

  test('two worlds that differ in masked values alone look the same', async () => {
    const options = { seed, statements, seconds: 240, pairs: 2, leaksMax: 10 }
    const { leaks, tally } = await fuzzWorlds(shop, options)
    assert.deepEqual(leaks, [])
    assert.ok(tally.statements >= statements, `${tally.statements} statements`)
    assert.ok(tally.sampleSecret > 0, 'no program tells the worlds apart with nothing between')
  })
})

suite('random statements where nothing is masked', { skip: skipReason(), timeout: 280_000 }, () => {
  let shop: Shop
  before(async () => {
    shop = await startShop({ policy: openPolicy })
  })
  after(async () => {
    await shop[Symbol.asyncDispose]()
  })

  test('both ways of looking find a leak', async () => {
    const few = { seed, statements, seconds: 240, leaksMax: 1 }
    const secrets = await fuzzSecrets(shop, { ...few, lanes: 1 })
    assert.equal(secrets.leaks.length, 1)
    const worlds = await fuzzWorlds(shop, { ...few, pairs: 1 })
    assert.equal(worlds.leaks.length, 1)
    const [leak] = worlds.leaks
    assert.equal(leak?.isRepeatable, true)
    assert.ok((leak?.program.steps[0]?.sql.length ?? 999) < 200, 'it was made small')
  })
})

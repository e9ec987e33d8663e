import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import { skipReason } from '@sallyport/testkit'
import { BackendType, decodeDataRow, encodeQuery, frameBody, frameType } from '@sallyport/wire'
import { startShop, type Shop } from '../fuzz/shop/start-shop.ts'

const rounds = 12
const definition = 'alter table people alter column points set statistics 10'

suite('definitions that are still in flight', { skip: skipReason(), timeout: 120_000 }, () => {
  let shop: Shop
  before(async () => {
    shop = await startShop()
  })
  after(async () => {
    await shop[Symbol.asyncDispose]()
  })

  for (const end of ['rollback', 'commit']) {
    test(`what follows a ${end} in one write is judged as it would be if it had waited`, async () => {
      await shop.copy('a', 'in_flight')
      await using lane = await shop.enter('gateway', 'in_flight')
      const round = [
        'begin',
        definition,
        end,
        'begin',
        'select name from people where id = 1',
        'rollback',
      ]
      const texts = Array.from({ length: rounds }, () => round).flat()
      const frames = await lane.exchange(texts.map(encodeQuery), texts.length)
      const rows = frames.filter((frame) => frameType(frame, 0) === BackendType.dataRow)
      const values = rows.map((frame) => String(decodeDataRow(frameBody(frame, 0)).values[0]))
      assert.deepEqual(
        values,
        Array.from({ length: rounds }, () => 'name 1'),
      )
    })
  }
})

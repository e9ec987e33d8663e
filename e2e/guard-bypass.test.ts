import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import { skipReason } from '@sallyport/testkit'
import { BackendType, frameType } from '@sallyport/wire'
import { SecretScanner } from '../fuzz/shop/secret-scanner.ts'
import { startShop } from '../fuzz/shop/start-shop.ts'
import { loadAttacks, loadBenignRows } from './bypass/corpus.ts'
import { expectedFailures } from './bypass/expected-failures.ts'
import { AttackPlayer } from './bypass/play-attack.ts'
import { playBenign } from './bypass/play-benign.ts'
import { Stage } from './bypass/stage.ts'

/** What policies stop is the same with and without a guard. */
const policyFamilies = ['destructive', 'escape']
const attacks = loadAttacks().filter((attack) => !policyFamilies.includes(familyOf(attack)))
const benignRows = loadBenignRows()

suite('the bypass corpus where the target masks', { skip: skipReason(), timeout: 600_000 }, () => {
  let stage: Stage
  let player: AttackPlayer
  let knownOids: ReadonlySet<number>
  before(async () => {
    const shop = await startShop({ tier: 'guard' })
    stage = await Stage.open(shop)
    const oids = await shop.admin(
      'shop_a',
      'select oid from pg_class union select oid from pg_type',
    )
    knownOids = new Set(oids.map(([oid]) => Number(oid)))
    player = new AttackPlayer(shop, stage, new SecretScanner(shop.secrets), knownOids)
  })
  after(async () => {
    await stage[Symbol.asyncDispose]()
  })

  for (const [family, rows] of Object.entries(Object.groupBy(attacks, familyOf))) {
    test(`attacks: ${family}`, async () => {
      const damage: string[] = []
      for (const attack of rows ?? []) {
        // Effects that no policy stops are no matter of masks.
        if (attack.effect !== undefined && expectedFailures.has(attack.id)) continue
        const problem = await player.damageOf(attack)
        if (problem !== undefined) damage.push(`${attack.id}: ${problem}`)
      }
      assert.deepEqual(damage, [])
    })
  }

  for (const [family, rows] of Object.entries(Object.groupBy(benignRows, familyOf))) {
    test(`benign: ${family}`, async () => {
      const changed: string[] = []
      for (const row of rows ?? []) {
        const problem = await playBenign(row, stage, knownOids, withoutOrigin)
        if (problem !== undefined) changed.push(row.id)
      }
      assert.deepEqual(changed, known[family] ?? [])
    })
  }
})

/** What is another answer under a guard, and why docs/masking-guard.md says so. */
const known: Readonly<Record<string, readonly string[]>> = {
  masked: [
    // A table that others inherit from is copied with their rows.
    'masked/a table copied',
    // Masked columns can't be written.
    'masked/written by the caller',
    'masked/written and returned',
  ],
  // Roles and the catalog show what is there.
  sessions: ['sessions/who am I'],
  tools: [
    'tools/list tables',
    "tools/a view's definition",
    'tools/keys',
    'tools/functions',
    'tools/SQLAlchemy asks',
  ],
  writes: [
    // A rule of this table runs with its owner's rights.
    'writes/update from',
    'writes/update a masked column',
    // Nothing can be made or changed but rows and temporary objects.
    'writes/a table',
    'writes/a table like another',
    'writes/a table from a clean query',
    'writes/a column',
    'writes/an index',
    'writes/a unique index',
    'writes/a view',
    'writes/a view over clean columns',
    'writes/a type',
    'writes/a comment',
    'writes/a SQL function',
    'writes/an analysis',
  ],
}

/** A masked relation is another one to the server, so the numbers of table and column in a description differ. */
function withoutOrigin(frame: Buffer): Buffer {
  if (frameType(frame, 0) !== BackendType.rowDescription) return frame
  const tidied = Buffer.from(frame)
  let at = 7
  for (let left = frame.readInt16BE(5); left > 0; left -= 1) {
    at = frame.indexOf(0, at) + 1
    tidied.fill(0, at, at + 6)
    at += 18
  }
  return tidied
}

function familyOf({ id }: { readonly id: string }): string {
  return id.split('/')[0] ?? ''
}

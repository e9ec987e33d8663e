import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import { skipReason } from '@sallyport/testkit'
import { SecretScanner } from '../fuzz/shop/secret-scanner.ts'
import { startShop } from '../fuzz/shop/start-shop.ts'
import { loadAttacks, loadBenignRows } from './bypass/corpus.ts'
import { expectedFailures } from './bypass/expected-failures.ts'
import { AttackPlayer } from './bypass/play-attack.ts'
import { playBenign } from './bypass/play-benign.ts'
import { Stage } from './bypass/stage.ts'

const attacks = loadAttacks()
const benignRows = loadBenignRows()
const familyOf = ({ id }: { readonly id: string }): string => id.split('/')[0] ?? ''

test('the corpus has the rows that it had, and more', () => {
  assert.ok(attacks.length >= 250, `${attacks.length} attacks`)
  assert.ok(benignRows.length >= 150, `${benignRows.length} benign statements`)
})

suite('the bypass corpus', { skip: skipReason(), timeout: 600_000 }, () => {
  let stage: Stage
  let player: AttackPlayer
  let knownOids: ReadonlySet<number>
  before(async () => {
    const shop = await startShop()
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
      const problems = new Map<string, string>()
      for (const attack of rows ?? []) {
        const { problem } = await player.play(attack)
        if (problem !== undefined) problems.set(attack.id, problem)
      }
      judge(rows ?? [], problems)
    })
  }

  for (const [family, rows] of Object.entries(Object.groupBy(benignRows, familyOf))) {
    test(`benign: ${family}`, async () => {
      const problems = new Map<string, string>()
      for (const row of rows ?? []) {
        const problem = await playBenign(row, stage, knownOids)
        if (problem !== undefined) problems.set(row.id, problem)
      }
      judge(rows ?? [], problems)
    })
  }
})

/** Fails for rows that came out wrong without being known for it, and for known ones that come out right by now. */
function judge(
  rows: readonly { readonly id: string }[],
  problems: ReadonlyMap<string, string>,
): void {
  const lines = rows.flatMap(({ id }) => {
    const problem = problems.get(id)
    const isExpected = expectedFailures.has(id)
    if (problem !== undefined && !isExpected) return [`${id}: ${problem}`]
    return problem === undefined && isExpected ? [`${id}: is right now; take it off the list`] : []
  })
  const known = rows.filter(({ id }) => expectedFailures.has(id))
  for (const { id } of known) process.stdout.write(`expected failure: ${id}\n`)
  assert.equal(lines.length, 0, `${lines.length} of ${rows.length} rows:\n${lines.join('\n')}`)
}

import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import { skipReason } from '@sallyport/testkit'
import { SecretScanner } from '../../fuzz/shop/secret-scanner.ts'
import { startShop } from '../../fuzz/shop/start-shop.ts'
import type { Attack, BenignRow } from './corpus.ts'
import { expectedFailures } from './expected-failures.ts'
import { AttackPlayer } from './play-attack.ts'
import { playBenign } from './play-benign.ts'
import { Stage } from './stage.ts'

/** The families whose rows read in plain queries; the others make, change or destroy something, or take a detour. */
const readingFamilies = new Set(
  'aggregate copy direct expression inference json lexical prepared relational returning whole-row'.split(
    ' ',
  ),
)

export function isReading(row: { readonly id: string }): boolean {
  return readingFamilies.has(familyOf(row))
}

export function familyOf({ id }: { readonly id: string }): string {
  return id.split('/')[0] ?? ''
}

interface Theatre {
  readonly stage: Stage
  readonly player: AttackPlayer
  readonly knownOids: ReadonlySet<number>
}

/** One test for each family of the attacks, against a server of that version. */
export function testAttacks(title: string, attacks: readonly Attack[], server?: string): void {
  testFamilies(title, attacks, server, async (attack, { player }) => {
    const { problem } = await player.play(attack)
    return problem
  })
}

export function testBenignRows(title: string, rows: readonly BenignRow[]): void {
  testFamilies(title, rows, undefined, async (row, { stage, knownOids }) => {
    return await playBenign(row, stage, knownOids)
  })
}

function testFamilies<Row extends { readonly id: string }>(
  title: string,
  rows: readonly Row[],
  server: string | undefined,
  play: (row: Row, theatre: Theatre) => Promise<string | undefined>,
): void {
  suite(title, { skip: skipReason(server), timeout: 290_000 }, () => {
    let theatre: Theatre
    before(async () => {
      theatre = await openTheatre(server)
    })
    after(async () => {
      await theatre.stage[Symbol.asyncDispose]()
    })
    for (const [family, members] of Object.entries(Object.groupBy(rows, familyOf))) {
      test(family, async () => {
        const problems = new Map<string, string>()
        for (const row of members ?? []) {
          const problem = await play(row, theatre)
          if (problem !== undefined) problems.set(row.id, problem)
        }
        judge(members ?? [], problems)
      })
    }
  })
}

async function openTheatre(server: string | undefined): Promise<Theatre> {
  const shop = await startShop(server === undefined ? {} : { server })
  const stage = await Stage.open(shop)
  const oids = await shop.admin('shop_a', 'select oid from pg_class union select oid from pg_type')
  const knownOids = new Set(oids.map(([oid]) => Number(oid)))
  const player = new AttackPlayer(shop, stage, new SecretScanner(shop.secrets), knownOids)
  return { stage, player, knownOids }
}

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

import { parseArgs } from 'node:util'
import { startShop } from './shop/start-shop.ts'
import { fuzzWorlds } from './worlds/fuzz-worlds.ts'

/**
 * Two worlds that differ in masked values alone get the same random statements through the gateway; what differs is a leak.
 *
 *     npm run fuzz:worlds -- --statements 1000000 --seed 7 --server 18 --tier guard
 */
const { values } = parseArgs({
  options: {
    statements: { type: 'string', default: '100000' },
    seconds: { type: 'string', default: '86400' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    server: { type: 'string' },
    tier: { type: 'string', default: 'lineage' },
    pairs: { type: 'string', default: '2' },
    leaks: { type: 'string', default: '10' },
  },
})
const seed = Number(values.seed)
await using shop = await startShop({
  tier: values.tier === 'guard' ? 'guard' : 'lineage',
  ...(values.server === undefined ? {} : { server: values.server }),
})
const version = (await shop.admin('postgres', 'show server_version'))[0]?.[0] ?? ''
process.stdout.write(`seed ${seed}, PostgreSQL ${version}, ${values.pairs} pairs of sessions\n`)
const { leaks, tally, seconds } = await fuzzWorlds(shop, {
  seed,
  statements: Number(values.statements),
  seconds: Number(values.seconds),
  pairs: Number(values.pairs),
  leaksMax: Number(values.leaks),
})
for (const leak of leaks) {
  process.stdout.write(
    `\nLEAK (${leak.program.kind})${leak.isRepeatable ? '' : ', not seen again'}\n`,
  )
  for (const { sql, delivery } of leak.program.steps)
    process.stdout.write(`  ${delivery}: ${sql}\n`)
  process.stdout.write(
    `  world a: ${JSON.stringify(leak.a).slice(0, 300)}\n  world b: ${JSON.stringify(leak.b).slice(0, 300)}\n`,
  )
}
process.stdout.write(`\n${tally.lines(seconds).join('\n')}\n${leaks.length} leaks, seed ${seed}\n`)
if (leaks.length > 0) process.exitCode = 1

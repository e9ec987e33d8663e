import { parseArgs } from 'node:util'
import { fuzzSecrets } from './secrets/fuzz-secrets.ts'
import { startShop } from './shop/start-shop.ts'

/**
 * Random statements against a database with planted values; a leak is an answer with one of them in it, in any clothes that
 * `shop/secret-scanner.ts` knows.
 *
 *     npm run fuzz:secrets -- --statements 1000000 --seed 7 --server 18 --tier guard
 */
const { values } = parseArgs({
  options: {
    statements: { type: 'string', default: '100000' },
    seconds: { type: 'string', default: '86400' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    server: { type: 'string' },
    tier: { type: 'string', default: 'lineage' },
    lanes: { type: 'string', default: '2' },
    leaks: { type: 'string', default: '10' },
  },
})
const seed = Number(values.seed)
await using shop = await startShop({
  tier: values.tier === 'guard' ? 'guard' : 'lineage',
  ...(values.server === undefined ? {} : { server: values.server }),
})
const version = (await shop.admin('postgres', 'show server_version'))[0]?.[0] ?? ''
process.stdout.write(
  `seed ${seed}, PostgreSQL ${version}, ${values.tier}, ${values.lanes} sessions\n`,
)
const { leaks, tally, telling, seconds } = await fuzzSecrets(shop, {
  seed,
  statements: Number(values.statements),
  seconds: Number(values.seconds),
  lanes: Number(values.lanes),
  leaksMax: Number(values.leaks),
})
for (const { program, leak } of leaks) {
  process.stdout.write(`\nLEAK (${program.kind}): ${leak.origin}, ${leak.form}: ${leak.text}\n`)
  process.stdout.write(`  in: ${JSON.stringify(leak.context)}\n`)
  for (const { sql, delivery } of program.steps) process.stdout.write(`  ${delivery}: ${sql}\n`)
}
process.stdout.write(
  `\n${tally.lines(seconds).join('\n')}\n` +
    `with nothing between, ${telling.shown} of ${telling.tried} programs show a planted value\n` +
    `${leaks.length} leaks, seed ${seed}\n`,
)
if (leaks.length > 0) process.exitCode = 1

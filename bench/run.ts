import { execFileSync } from 'node:child_process'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { cpus, totalmem } from 'node:os'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { skipReason, startPostgres } from '@sallyport/testkit'
import { loads, seed, type Load } from './loads.ts'
import { versionOf } from './processes.ts'
import { quote, regressions, rowsOf, table, type Results, type Samples } from './report.ts'
import {
  appUser,
  directSide,
  startCopyRelay,
  goOn,
  standStill,
  startGatewaySides,
  startPgbouncer,
  type Side,
} from './sides.ts'

const committed = new URL('./results/postgres.json', import.meta.url)
const page = new URL('../docs/performance.md', import.meta.url)

/** About a hundred thousand statements: until then V8 still compiles what is hot. */
const warmingSeconds = 8

const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    gate: { type: 'boolean', default: false },
    out: { type: 'string' },
  },
})

const missing = skipReason() || (versionOf('pgbouncer') === undefined && 'needs pgbouncer')
if (missing !== false) {
  process.stderr.write(`bench: ${missing}\n`)
  process.exit(1)
}
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))
await main(flags.quick ? { rounds: 3, seconds: 1 } : { rounds: 5, seconds: 2 })

async function main(size: { rounds: number; seconds: number }): Promise<void> {
  // Taken before the gateways load their code: the tree may move on during a long run.
  const measured = revision()
  await using stack = new AsyncDisposableStack()
  const postgres = stack.use(
    await startPostgres({
      users: [appUser],
      config: [`log_statement = 'none'`],
    }),
  )
  await seed(postgres)
  const gateway = (name: string, durability: 'process' | 'auto' | 'disk', masks: boolean) => ({
    name: `sallyport ${name}`,
    durability,
    masks,
  })
  const main = await startGatewaySides(
    postgres,
    { ...gateway('process', 'process', true), tlsName: 'sallyport process, TLS' },
    stack,
  )
  const narrow = [
    directSide(postgres),
    await startPgbouncer(postgres, stack),
    await startCopyRelay(postgres, stack),
    ...main.slice(0, 1),
  ]
  const wide = [
    ...narrow,
    ...main.slice(1),
    ...(await startGatewaySides(postgres, gateway('auto', 'auto', true), stack)),
    ...(await startGatewaySides(postgres, gateway('disk', 'disk', true), stack)),
    ...(await startGatewaySides(postgres, gateway('process, no masks', 'process', false), stack)),
  ]
  const samples = await measure(narrow, wide, size)
  const results: Results = {
    measuredAt: new Date().toISOString(),
    revision: measured,
    machine: {
      CPU: cpus()[0]?.model.trim() ?? 'unknown',
      cores: cpus().length,
      'memory in GiB': Math.round(totalmem() / 1024 ** 3),
    },
    versions: {
      Node: process.version,
      PostgreSQL: (await postgres.sql('show server_version')).trim(),
      pgbouncer: versionOf('pgbouncer')?.replace('PgBouncer ', '') ?? '',
    },
    ...size,
    rows: rowsOf(samples),
  }
  process.stdout.write(`${table(results.rows)}\n`)
  await finish(results)
}

/** Takes the sides in turn within each round, so that what else the machine does meets all of them. */
async function measure(
  narrow: readonly Side[],
  wide: readonly Side[],
  size: { rounds: number; seconds: number },
): Promise<Samples> {
  const samples: Samples = new Map()
  const all = loads(flags.quick)
  // A compiler that still warms up would be measured instead of the gateway.
  const warming = all.findLast((load) => load.isWide && load.unit === 'transactions')
  for (const side of wide) {
    await goOn(side)
    await warming?.run(side, warmingSeconds)
    standStill(side)
  }
  for (let round = 1; round <= size.rounds; round += 1) {
    for (const load of all) {
      for (const side of load.isWide ? wide : narrow) {
        await goOn(side)
        const sample = await load.run(side, size.seconds)
        standStill(side)
        const ofLoad = entry(samples, load)
        ofLoad.set(side.name, [...(ofLoad.get(side.name) ?? []), sample])
      }
      process.stderr.write(`round ${round}: ${load.name}\n`)
    }
  }
  return samples
}

function entry(samples: Samples, load: Load): NonNullable<ReturnType<Samples['get']>> {
  const known = samples.get(load) ?? new Map<string, never[]>()
  samples.set(load, known)
  return known
}

/** A gate compares and keeps the committed figures; another run replaces them, or writes where it is told to. */
async function finish(results: Results): Promise<void> {
  if (flags.gate) {
    const before = JSON.parse(await readFile(committed, 'utf8')) as Results
    const worse = regressions(results.rows, before.rows)
    for (const text of worse) process.stderr.write(`worse: ${text}\n`)
    if (worse.length > 0) process.exitCode = 1
  }
  if (flags.gate && flags.out === undefined) return
  const out = flags.out ?? fileURLToPath(committed)
  await mkdir(dirname(out), { recursive: true })
  await writeFile(out, `${JSON.stringify(results, undefined, 2)}\n`)
  if (flags.out === undefined) await quote(page, results)
}

/** The commit, marked where the tree differs from it. */
function revision(): string {
  try {
    return execFileSync('git', ['describe', '--always', '--dirty'], { encoding: 'utf8' }).trim()
  } catch {
    return 'unknown'
  }
}

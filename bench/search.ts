import { Buffer } from 'node:buffer'
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { cpus, tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { startPostgres } from '@sallyport/testkit'
import { openPgliteStore } from '../packages/gateway/src/control-plane/adapters/pglite-store.ts'
import { openPostgresStore } from '../packages/gateway/src/control-plane/adapters/postgres-store.ts'
import type { Store } from '../packages/gateway/src/control-plane/ports/store.ts'
import {
  IndexRows,
  type PartChunk,
} from '../packages/gateway/src/control-plane/recordings/index/index-rows.ts'
import { IndexedPart } from '../packages/gateway/src/control-plane/recordings/index/indexed-part.ts'
import { searchSessions } from '../packages/gateway/src/control-plane/recordings/index/query/search-sessions.ts'
import {
  commandEntry,
  describedRows,
  endEntry,
  openedEntry,
} from '../packages/gateway/src/control-plane/recordings/index/search.fixture.ts'

/** Loads commands into the index as the shipper does, and asks ten questions: how long loading takes, how large it is, how long answers take. */
const { values: flags } = parseArgs({
  options: {
    commands: { type: 'string', default: '1000000' },
    // A folder for the embedded store: it stays, and is not loaded again where it is there already.
    keep: { type: 'string' },
    only: { type: 'string' },
    rounds: { type: 'string', default: '40' },
    save: { type: 'boolean', default: false },
    // A database on a running server, likewise.
    url: { type: 'string' },
  },
})
const commands = Number(flags.commands)
const rounds = Number(flags.rounds)
const perSession = 200
const sessionsPerWrite = 25
const days = 30
const dayMs = 86_400_000
const startMs = Date.parse('2026-10-01T00:00:00Z')
const endMs = startMs + days * dayMs

const tables = Array.from({ length: 500 }, (_, at) => `table_${at}`)
const verbs = ['select', 'select', 'select', 'select', 'insert', 'update', 'delete'] as const
const columns = ['id', 'email', 'name', 'created_at', 'total', 'card', 'status', 'note']

/** A number below `range` for each `n`, the same in each run. */
function pick(n: number, range: number, salt: number): number {
  return (Math.imul(n + salt * 7919, 2_654_435_761) % range) >>> 0
}

function chain(session: number): { id: string; name: string }[] {
  const root = pick(session, 300, 1) % 300
  const agent = pick(session, 3000, 2) % 3000
  return [
    { id: `a_root${root}`, name: `person-${root}` },
    { id: `a_plan${agent % 900}`, name: `planner-${agent % 900}` },
    { id: `a_work${agent}`, name: `worker-${agent}` },
  ]
}

function sessionChunk(session: number): PartChunk {
  const id = { session: `s_${session}`, part: `0-1-${session}`, worker: 0, run: 1 }
  const part = new IndexedPart(id, 0)
  const connection = `db-${session % 40}`
  let timeMs = startMs + Math.floor((session / (commands / perSession)) * days * dayMs)
  let position = 0
  const take = (entry: Parameters<IndexedPart['take']>[0]['entry']): void => {
    part.take({ entry, position, timeMs })
    position += 1
  }
  take(openedEntry(id.session, { chain: chain(session), connection, level: session % 5 }))
  for (let seq = 1; seq <= perSession; seq += 1) {
    const n = session * perSession + seq
    timeMs += 1500
    const table = tables[pick(n, tables.length, 3) % tables.length] ?? ''
    const verb = verbs[pick(n, verbs.length, 4) % verbs.length] ?? 'select'
    const blocked = n % 97 === 0
    const text = `${verb} from ${table} where id = ${n} and status = 'open' -- request ${(n * 31).toString(36)}`
    take(
      commandEntry(seq, text, {
        effect: blocked ? 'block' : 'allow',
        rules: blocked ? [`guard/no-${table}`] : [],
        class: verb === 'select' ? 'read' : 'write',
        verb,
        objects: [['public', table]],
      }),
    )
    if (blocked) continue
    if (n % 11 === 0) take({ kind: 'masked', seq, rule: `pii/mask-${n % 7}`, values: 1 + (n % 50) })
    const names = columns.slice(n % 5, (n % 5) + 3)
    const data = verb === 'select' ? describedRows(...names) : undefined
    const rows = n % 1009 === 0 ? 50_000 : n % 40
    take(endEntry(seq, { rows, bytes: rows * 80, data }))
  }
  take({
    kind: 'session.closed',
    reason: 'ended',
    commands: perSession,
    blocked: 0,
    maskedValues: 0,
  })
  const chunk = part.cut()
  if (chunk === undefined) throw new Error('a session without a chunk')
  return { id, chunk }
}

const questions: readonly ((round: number) => string)[] = [
  (n) => `tree:a_plan${(n * 37) % 900}`,
  (n) => `agent:worker-${(n * 41) % 3000}`,
  (n) => `root:person-${(n * 43) % 300}`,
  (n) => `connection:db-${n % 40}`,
  () => 'verdict:blocked',
  (n) => `rule:guard/no-table_${(n * 47) % 500}`,
  (n) => `table:public.table_${(n * 53) % 500}`,
  (n) => `text:"where id = ${((n * 7919 + 1) % 900_000) + 100_000} "`,
  (n) => `word:${((Math.floor((n + 1) * (commands / 50)) + 17) * 31).toString(36)}`,
  (n) => `returned:${columns[n % columns.length] ?? ''}`,
  (n) => `masked:mask-${n % 7}`,
  () => 'rows:>10000',
  (n) => `tree:a_root${(n * 43) % 300} verb:delete -verdict:blocked since:10d`,
]

async function load(store: Store): Promise<number> {
  const rows = new IndexRows(store)
  const start = performance.now()
  const sessions = commands / perSession
  for (let at = 0; at < sessions; at += sessionsPerWrite) {
    const some = Array.from({ length: Math.min(sessionsPerWrite, sessions - at) }, (_, n) =>
      sessionChunk(at + n),
    )
    await rows.write(some)
    await rows.analyze()
    if (at % 500 === 0) process.stderr.write(`\r${at * perSession} commands`)
  }
  process.stderr.write('\r')
  return performance.now() - start
}

interface Answer {
  readonly question: string
  readonly sessions: number
  readonly p50: number
  readonly p95: number
  readonly max: number
  /** Of this process: with the embedded store, all there is. */
  readonly cpuP50: number
  readonly cpuP95: number
}

async function ask(store: Store, question: (round: number) => string): Promise<Answer> {
  const times: number[] = []
  const cpuTimes: number[] = []
  let sessions = 0
  for (let round = 0; round < rounds; round += 1) {
    const start = performance.now()
    const before = process.cpuUsage()
    const page = await searchSessions(store.db, { query: question(round), limit: 20 }, endMs)
    times.push(performance.now() - start)
    const { user, system } = process.cpuUsage(before)
    cpuTimes.push((user + system) / 1000)
    sessions += page.sessions.length
  }
  return {
    question: question(0),
    sessions: Math.round(sessions / rounds),
    p50: percentile(times, 0.5),
    p95: percentile(times, 0.95),
    max: percentile(times, 1),
    cpuP50: percentile(cpuTimes, 0.5),
    cpuP95: percentile(cpuTimes, 0.95),
  }
}

function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return Math.round((sorted[Math.ceil(sorted.length * share) - 1] ?? 0) * 10) / 10
}

async function folderBytes(dir: string): Promise<number> {
  const names = await readdir(dir, { recursive: true, withFileTypes: true })
  const sizes = names
    .filter((each) => each.isFile())
    .map(async (each) => (await stat(join(each.parentPath, each.name))).size)
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0)
}

async function indexBytes({ db }: Store): Promise<{ table: number; indexes: number }> {
  const sum = { table: 0, indexes: 0 }
  for (const { day } of await db.selectFrom('command_day').select('day').execute()) {
    // The driver reads a date as midnight here.
    const at = new Date(day.getTime() - day.getTimezoneOffset() * 60_000)
    const name = `command_${at.toISOString().slice(0, 10).replaceAll('-', '_')}`
    const sizes = await db
      .selectNoFrom((build) => {
        const table = build.fn('to_regclass', [build.val(name)])
        return [
          build.fn<string>('pg_table_size', [table]).as('table'),
          build.fn<string>('pg_indexes_size', [table]).as('indexes'),
        ]
      })
      .executeTakeFirstOrThrow()
    sum.table += Number(sizes.table)
    sum.indexes += Number(sizes.indexes)
  }
  return sum
}

const mib = (bytes: number): number => Math.round(bytes / 1024 / 1024)

async function isLoaded({ db }: Store): Promise<boolean> {
  return (await db.selectFrom('command_day').select('day').execute()).length > 0
}

async function measure(name: string, store: Store, folder?: string): Promise<object> {
  const before = process.cpuUsage()
  const loadMs = (await isLoaded(store)) ? 0 : await load(store)
  const { user, system } = process.cpuUsage(before)
  const { table, indexes } = await indexBytes(store)
  const facts = {
    store: store.version,
    commands,
    ...(loadMs === 0
      ? {}
      : {
          loadSeconds: Math.round(loadMs / 1000),
          loadCpuSeconds: Math.round((user + system) / 1e6),
          commandsPerSecond: Math.round((commands / loadMs) * 1000),
        }),
    tableMiB: mib(table),
    indexesMiB: mib(indexes),
    ...(folder === undefined ? {} : { folderMiB: mib(await folderBytes(folder)) }),
  }
  process.stdout.write(`${name}: ${JSON.stringify(facts)}\n`)
  const answers: Answer[] = []
  for (const question of questions) {
    const answer = await ask(store, question)
    answers.push(answer)
    const { p50, p95, max, cpuP50, cpuP95, sessions } = answer
    process.stdout.write(
      `  ${answer.question.padEnd(62)} p50 ${p50} p95 ${p95} max ${max} ms, processor p50 ${cpuP50} p95 ${cpuP95} ms, ${sessions} sessions\n`,
    )
  }
  return { ...facts, answers }
}

const dir = flags.keep ?? (await mkdtemp(join(tmpdir(), 'sallyport-bench-search-')))
const results: Record<string, object> = {}
try {
  if (flags.only !== 'server') {
    const store = await openPgliteStore(dir)
    results['embedded'] = await measure('embedded', store, dir)
    await store.close()
  }
  if (flags.only !== 'embedded') {
    await using server =
      flags.url === undefined
        ? await startPostgres({ config: ['log_statement = none'] })
        : undefined
    const url = `postgresql://postgres:${server?.password}@127.0.0.1:${server?.port}/postgres`
    const store = await openPostgresStore(flags.url ?? url)
    results['server'] = await measure('server', store)
    await store.close()
  }
} finally {
  if (flags.keep === undefined) await rm(dir, { recursive: true, force: true })
}
if (flags.save) {
  const machine = {
    cpu: cpus()[0]?.model ?? '',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 1024 ** 3),
    node: process.version,
  }
  const text = `${JSON.stringify({ machine, rounds, ...results }, undefined, 2)}\n`
  await writeFile(new URL('results/search.json', import.meta.url), Buffer.from(text))
}

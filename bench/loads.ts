import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { postgresBinaries, type TestPostgres } from '@sallyport/testkit'
import { median } from './median.ts'
import { cpuSecondsOf, runProgram } from './processes.ts'
import type { Side } from './sides.ts'

/** One figure of one side in one round. */
export interface Sample {
  readonly perSecond: number
  /** Microseconds of the proxy's CPU for one operation; undefined where there is no proxy or the system doesn't tell. */
  readonly cpuMicros: number | undefined
  /** The same of the processes behind it, while it lasted: what is not shipped or indexed then is not in it. */
  readonly behindMicros: number | undefined
  /** Microseconds that half of the transactions took at most; told where one client asks. */
  readonly p50Micros?: number
}

/** Something that is done through every side, and counted. */
export interface Load {
  readonly name: string
  /** What is counted. */
  readonly unit: 'transactions' | 'connections' | 'rows'
  /** True where the load is run on every variant of Sallyport, not only on the main ones. */
  readonly isWide: boolean
  run(side: Side, seconds: number): Promise<Sample>
}

export const bulkRows = 400_000

/** Makes what the loads read. */
export async function seed(postgres: TestPostgres): Promise<void> {
  await runProgram(
    tool('pgbench'),
    ['-i', '-q', '-s', '1', '-h', postgres.socketDir].concat([
      '-p',
      String(postgres.port),
      '-U',
      'postgres',
      'postgres',
    ]),
  )
  await postgres.sql(
    `create table bulk as select n as id, 'user' || n || '@example.com' as email, 'name ' || n as name,
       n % 97 as a, n * 1.5 as b, now() as at, md5(n::text) as hash, n % 2 = 0 as flag
     from generate_series(1, ${bulkRows}) n`,
  )
  await postgres.sql('grant select on all tables in schema public to app')
  await postgres.sql('vacuum analyze')
}

/** A quick run leaves out the many clients. */
export function loads(isQuick: boolean): readonly Load[] {
  const queries = ['simple', 'extended', 'prepared'].flatMap((mode) =>
    (isQuick ? [1, 8] : [1, 8, 32]).map((clients) => select(mode, clients)),
  )
  return [
    ...queries,
    churn(4),
    bulk('bulk SELECT', 'select * from bulk'),
    bulk('bulk COPY', 'copy bulk to stdout'),
  ]
}

function select(mode: string, clients: number): Load {
  return {
    name: `${mode}, ${clients} ${clients === 1 ? 'client' : 'clients'}`,
    unit: 'transactions',
    isWide: mode === 'prepared' && clients < 32,
    run: async (side, seconds) => {
      const args = ['-M', mode, '-c', String(clients)]
      if (clients > 1) return await pgbench(side, args, seconds)
      return await withLatencies(
        async (prefix) => await pgbench(side, [...args, '-l', `--log-prefix=${prefix}`], seconds),
      )
    },
  }
}

/** A new connection for each transaction. */
function churn(clients: number): Load {
  return {
    name: `connect, ${clients} clients`,
    unit: 'connections',
    isWide: true,
    run: async (side, seconds) => await pgbench(side, ['-C', '-c', String(clients)], seconds),
  }
}

async function pgbench(side: Side, args: readonly string[], seconds: number): Promise<Sample> {
  const cpu = cpuOf(side)
  const out = await runProgram(tool('pgbench'), [
    '-S',
    '-n',
    '-T',
    String(seconds),
    ...args,
    side.url,
  ])
  const spent = cpu()
  const done = numberIn(out, /actually processed: (\d+)/)
  const failed = numberIn(out, /number of failed transactions: (\d+)/)
  if (failed > 0) throw new Error(`${side.name}: ${failed} transactions failed`)
  return {
    perSecond: numberIn(out, /tps = ([\d.]+)/),
    ...spent(done),
  }
}

/** Has each transaction's latency logged, and adds their median. */
async function withLatencies(run: (prefix: string) => Promise<Sample>): Promise<Sample> {
  const folder = await mkdtemp(join(tmpdir(), 'sallyport-bench-'))
  try {
    const sample = await run(join(folder, 'log'))
    const logs = await Promise.all(
      (await readdir(folder)).map(async (name) => await readFile(join(folder, name), 'utf8')),
    )
    // The third field of a line is the transaction's time in microseconds.
    const micros = logs.flatMap((log) =>
      log.split('\n').flatMap((line) => (line === '' ? [] : Number(line.split(' ')[2]))),
    )
    return { ...sample, p50Micros: median(micros) }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** One whole read of a table by psql, which throws the rows away. */
function bulk(name: string, sql: string): Load {
  return {
    name,
    unit: 'rows',
    isWide: true,
    run: async (side) => {
      const cpu = cpuOf(side)
      const start = performance.now()
      await runProgram('psql', [side.url, '-XqAt', '-o', '/dev/null', '-c', sql])
      const seconds = (performance.now() - start) / 1000
      return { perSecond: bulkRows / seconds, ...cpu()(bulkRows) }
    },
  }
}

/** Begins to count; the first call ends that, and the second shares it out. */
function cpuOf(side: Side): () => (done: number) => Pick<Sample, 'cpuMicros' | 'behindMicros'> {
  const before = [cpuSecondsOf(side.pids), cpuSecondsOf(side.behindPids)] as const
  return () => {
    const after = [cpuSecondsOf(side.pids), cpuSecondsOf(side.behindPids)] as const
    return (done) => ({
      cpuMicros: perOperation(before[0], after[0], done),
      behindMicros: perOperation(before[1], after[1], done),
    })
  }
}

function perOperation(
  before: number | undefined,
  after: number | undefined,
  done: number,
): number | undefined {
  if (before === undefined || after === undefined || done === 0) return undefined
  return ((after - before) * 1e6) / done
}

function numberIn(text: string, pattern: RegExp): number {
  const found = pattern.exec(text)?.[1]
  if (found === undefined) throw new Error(`no ${pattern.source} in: ${text}`)
  return Number(found)
}

/** pgbench lives beside the server; its folder need not be on the path. */
function tool(name: string): string {
  return join(postgresBinaries() ?? '', name)
}

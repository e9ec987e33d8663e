import { spawn, type ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { until } from '@sallyport/testkit'
import type { TestGateway } from './test-gateway.ts'

const bin = fileURLToPath(new URL('../packages/cli/bin/sallyport.mjs', import.meta.url))
/** Without it, the command would start itself again, and a signal to it would not reach what runs. */
const source = '--conditions=@sallyport/source'
const endsWithinMs = 60_000

/** A program that runs, and what it has printed so far. */
export interface Running extends Disposable {
  readonly child: ChildProcess
  readonly out: string
  readonly err: string
  type(keys: string): void
  printed(what: RegExp): Promise<void>
  /** Resolves with the exit code; -1 where a signal ended it. */
  ended(): Promise<number>
}

/** `sallyport`, as the owner of the gateway calls it. */
export function sallyport(gateway: TestGateway, words: readonly string[]): Running {
  return run(process.execPath, [source, bin, ...words, '--data', gateway.dataDir], gateway)
}

/** The same on a terminal of its own. */
export function sallyportOnTerminal(gateway: TestGateway, words: readonly string[]): Running {
  return onTerminal([process.execPath, source, bin, ...words, '--data', gateway.dataDir], gateway)
}

/** psql, as a person sits before it. */
export function psqlOnTerminal(gateway: TestGateway, url: string): Running {
  return onTerminal(['psql', '-X', '-w', url], gateway)
}

function onTerminal(line: readonly string[], gateway: TestGateway): Running {
  const quoted = line.map((word) => `'${word.replaceAll("'", String.raw`'\''`)}'`).join(' ')
  return run(
    'script',
    ['--quiet', '--return', '--flush', '--command', quoted, '/dev/null'],
    gateway,
  )
}

/** psql with these words, which runs while the test goes on. */
export function startPsql(
  gateway: TestGateway,
  url: string,
  words: readonly string[] = [],
): Running {
  return run('psql', ['-X', '-w', url, ...words], gateway)
}

/** psql, as an agent's shell would call it. */
export async function psql(
  gateway: TestGateway,
  url: string,
  script: string,
): Promise<{ out: string; err: string; code: number }> {
  using running = run('psql', ['-X', '-w', '-v', 'ON_ERROR_STOP=0', url], gateway)
  running.child.stdin?.end(script)
  const code = await running.ended()
  return { out: running.out, err: running.err, code }
}

function run(program: string, words: readonly string[], { dataDir }: TestGateway): Running {
  const child = spawn(program, words, {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'], HOME: dataDir, LANG: 'C.UTF-8', TERM: 'xterm' },
  })
  const said = { out: '', err: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said.out += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said.err += text))
  child.stdin.on('error', () => undefined)
  const timer = setTimeout(() => child.kill('SIGKILL'), endsWithinMs)
  const over = new Promise<number>((resolve) => {
    child.on('error', () => resolve(-1))
    child.on('close', (code) => resolve(code ?? -1))
  }).finally(() => clearTimeout(timer))
  return {
    child,
    get out() {
      return said.out
    },
    get err() {
      return said.err
    },
    type: (keys) => void child.stdin.write(keys),
    printed: async (what) => {
      await until(`${what} is printed`, () => what.test(said.out + said.err))
    },
    ended: async () => await over,
    [Symbol.dispose]: () => {
      clearTimeout(timer)
      child.kill('SIGKILL')
    },
  }
}

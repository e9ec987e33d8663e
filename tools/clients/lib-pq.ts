import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Where the Debian package golang-github-lib-pq-dev puts the driver, with its tests. */
const goPath = '/usr/share/gocode'
const source = join(goPath, 'src/github.com/lib/pq')

/** The suite takes about a minute; a run that takes this long hangs. */
const suiteMsMax = 240_000

/** The environment variables of libpq, which the suite reads. */
export type LibpqLogin = Readonly<Record<string, string>>

/** Tests of which it is known why they end otherwise through the gateway. */
const expected: ReadonlyMap<string, string> = new Map([
  ['TestConnectorWithNoticeHandler_Simple', 'runs DO, whose text is not read (dynamic-sql)'],
  ['ExampleConnectorWithNoticeHandler', 'runs DO, whose text is not read (dynamic-sql)'],
  ['TestQueryRowBugWorkaround', 'calls a function that nobody vouched for (unknown-function)'],
])

/** Runs the driver's own suite direct and through the gateway. True where nothing differs but what is expected to. */
export async function compareLibPq(direct: LibpqLogin, through: LibpqLogin): Promise<boolean> {
  const folder = await mkdtemp(join(tmpdir(), 'sallyport-lib-pq-'))
  try {
    const program = join(folder, 'pq.test')
    const go = { GOPATH: goPath, GO111MODULE: 'off', GOCACHE: join(folder, 'cache'), GOFLAGS: '' }
    const built = await run('go', ['test', '-c', '-o', program, '.'], go)
    if (!existsSync(program)) throw new Error(`go test -c: ${built}`)
    const suite = ['-test.v', `-test.timeout=${suiteMsMax / 1000}s`]
    const ends = { direct: endsOf(await run(program, suite, direct)), through: endsOf('') }
    ends.through = endsOf(await run(program, suite, through))
    return report(ends.direct, ends.through)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Why the suite can't run here; undefined when it can. */
export function libPqMissing(): string | undefined {
  return existsSync(source)
    ? undefined
    : 'needs the Debian package golang-github-lib-pq-dev, and Go'
}

function report(
  direct: ReadonlyMap<string, string>,
  through: ReadonlyMap<string, string>,
): boolean {
  const passed = (ends: ReadonlyMap<string, string>): number =>
    [...ends.values()].filter((end) => end === 'PASS').length
  process.stdout.write(`lib/pq: ${passed(direct)} pass direct, ${passed(through)} through\n`)
  let isSame = direct.size > 0
  for (const name of new Set([...direct.keys(), ...through.keys()])) {
    const [before, after] = [direct.get(name) ?? 'absent', through.get(name) ?? 'absent']
    if (before === after) continue
    const reason = expected.get(name)
    process.stdout.write(
      `  ${name}: ${before} direct, ${after} through: ${reason ?? 'NOT EXPECTED'}\n`,
    )
    if (reason === undefined) isSame = false
  }
  return isSame
}

/** How each test ended, by the lines that `-test.v` prints. */
function endsOf(output: string): Map<string, string> {
  const lines = output.matchAll(/^\s*--- (PASS|FAIL|SKIP): (\S+)/gm)
  return new Map([...lines].map(([, end = '', name = '']) => [name, end]))
}

async function run(program: string, args: readonly string[], more: LibpqLogin): Promise<string> {
  const env = { ...process.env, ...more }
  const child = spawn(program, args, {
    cwd: source,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: suiteMsMax,
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (output += text))
  await new Promise((resolve, reject) => child.on('close', resolve).on('error', reject))
  return output
}

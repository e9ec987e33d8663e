/**
 * First step of `npm start` and `npm test`. Plain JavaScript that Node 18 can run, because it is what installs the
 * Node that everything else needs: `node` is a development dependency.
 */
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { delimiter, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = resolve(fileURLToPath(import.meta.url), '../..')
const binaries = join(root, 'node_modules', '.bin')
const node = join(binaries, process.platform === 'win32' ? 'node.cmd' : 'node')
const source = '--conditions=@sallyport/source'

/** Far above the slowest test file; a test that hangs must fail and not hold up the run. */
const testTimeoutMs = 300_000
/** Test files start PostgreSQL servers and workers of their own: more at once slows all of them. */
const testConcurrency = 2
const testFiles = ['packages/*/src/**/*.test.ts', 'tools/*.test.ts', 'e2e/**/*.test.ts']

const [mode = '', ...rest] = process.argv.slice(2)
if (mode !== 'up' && mode !== 'test') fail('usage: node tools/bootstrap.mjs up|test [arguments]')
await install()
process.exitCode = mode === 'up' ? await up(rest) : await test(rest)

/** Installs what the lockfile names, when it is missing or older than the lockfile. */
async function install() {
  if (isInstalled()) return
  process.stderr.write('Installing dependencies (once, about a minute) …\n')
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm'
  const code = await run(npm, ['ci', '--no-fund', '--no-audit', '--loglevel=error'])
  if (code !== 0)
    fail(
      'Installing the dependencies failed; the lines above say why. Needed: a package registry within reach and 600 MB of free disk. Then run the same command again.',
    )
  if (!existsSync(node)) fail('The dependencies are there, but Node is not among them. Run: npm ci')
}

function isInstalled() {
  const installed = join(root, 'node_modules', '.package-lock.json')
  if (!existsSync(installed) || !existsSync(node)) return false
  return statSync(installed).mtimeMs >= statSync(join(root, 'package-lock.json')).mtimeMs
}

function up(args) {
  return run(node, [source, join('packages', 'cli', 'bin', 'sallyport.mjs'), 'up', ...args])
}

/** Arguments that are files or globs replace the default ones; options are passed on. */
async function test(args) {
  const options = args.filter((arg) => arg.startsWith('-'))
  const files = args.filter((arg) => !arg.startsWith('-'))
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-test-'))
  const skips = join(folder, 'skips')
  try {
    // Most tests start an embedded store, which is created in a third of the time from a template.
    const made = await run(node, [source, join('tools', 'build-store.ts')])
    if (made !== 0) return made
    const code = await run(node, [
      source,
      '--test',
      `--test-concurrency=${testConcurrency}`,
      `--test-timeout=${testTimeoutMs}`,
      '--test-reporter=spec',
      '--test-reporter-destination=stdout',
      '--test-reporter=./tools/skip-reporter.mjs',
      `--test-reporter-destination=${skips}`,
      ...options,
      ...(files.length > 0 ? files : testFiles),
    ])
    return judgeSkips(existsSync(skips) ? readFileSync(skips, 'utf8') : '', code)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** A skip is easily overlooked: each is printed, and where SALLYPORT_TEST_NO_SKIP is 1 it fails the run. */
function judgeSkips(text, code) {
  const skipped = text.split('\n').filter((line) => line !== '')
  for (const line of skipped) process.stdout.write(`skipped: ${line}\n`)
  if (skipped.length === 0 || process.env.SALLYPORT_TEST_NO_SKIP !== '1') return code
  process.stdout.write(
    `${skipped.length} skipped, and SALLYPORT_TEST_NO_SKIP is 1: that is a failure\n`,
  )
  return code || 1
}

/** Runs a program with our Node first in its path; passes signals on; gives its exit code. */
function run(program, args) {
  return new Promise((done) => {
    const env = { ...process.env, PATH: `${binaries}${delimiter}${process.env.PATH ?? ''}` }
    const child = spawn(program, args, { cwd: root, env, stdio: 'inherit' })
    const forward = (signal) => child.kill(signal)
    const signals = ['SIGINT', 'SIGTERM']
    for (const signal of signals) process.on(signal, forward)
    child.on('error', (error) => fail(`${program} cannot be started: ${error.message}`))
    child.on('exit', (code, signal) => {
      for (const name of signals) process.off(name, forward)
      // 128 + number is what a shell reports for a program that a signal ended.
      done(code ?? 128 + (constants.signals[signal] ?? 0))
    })
  })
}

function fail(message) {
  process.stderr.write(`${message}\n`)
  process.exit(1)
}

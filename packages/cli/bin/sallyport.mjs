#!/usr/bin/env node
// Plain JavaScript that old versions can parse, because it is what tells their users to upgrade.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { constants } from 'node:os'
import { fileURLToPath } from 'node:url'

const condition = '--conditions=@sallyport/source'
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)

if (major < 24 || (major === 24 && minor < 12)) {
  process.stderr.write(`sallyport needs Node 24.12 or newer; this is ${process.versions.node}.\n`)
  process.exitCode = 2
} else {
  const source = fileURLToPath(new URL('../src/index.ts', import.meta.url))
  const compiled = new URL('../dist/index.js', import.meta.url)
  const fromSource = !existsSync(compiled) && existsSync(source)
  if (fromSource && !process.execArgv.includes(condition)) {
    runAgain()
  } else {
    const { main } = await import(fromSource ? source : compiled.href)
    process.exitCode = await main(process.argv.slice(2))
  }
}

/** The first three, and the one that `--status-fd` names: it has to reach the new process. */
function passedOn() {
  const at = process.argv.indexOf('--status-fd')
  const end = process.argv.indexOf('--')
  const named = at > 0 && (end < 0 || at < end) ? Number(process.argv[at + 1]) : 0
  const length = named > 2 && named < 1024 ? named + 1 : 3
  return Array.from({ length }, (_, fd) => (fd < 3 || fd === named ? 'inherit' : 'ignore'))
}

/** In the source tree the packages resolve to their TypeScript, which takes a flag that only a new process can get. */
function runAgain() {
  const child = spawn(
    process.execPath,
    [condition, ...process.execArgv, ...process.argv.slice(1)],
    { stdio: passedOn() },
  )
  // A terminal sends Ctrl-C to both; passed on, it would reach the child twice, and twice means at once.
  process.on('SIGINT', () => process.stdin.isTTY || child.kill('SIGINT'))
  for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  child.on('exit', (code, signal) => {
    process.exitCode = signal === null ? (code ?? 1) : 128 + constants.signals[signal]
  })
}

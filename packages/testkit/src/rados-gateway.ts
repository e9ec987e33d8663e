import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { until } from './until.ts'

/** Ceph's object gateway: a real server of the S3 protocol, with signatures, versions and Object Lock. Its data stands in memory. */
export interface RadosGateway extends AsyncDisposable {
  readonly port: number
  readonly endpoint: string
  readonly accessKey: string
  readonly secretKey: string
  /** A key that the server encrypts with where a request names it (`aws:kms`). */
  readonly kmsKey: string
  /** Ends its processes; what was stored is gone. */
  stop(): Promise<void>
}

const programs = ['ceph-mon', 'ceph-osd', 'radosgw']
const fsid = '6f1e7b1c-0000-4000-8000-000000000001'
const accessKey = 'AKIASALLYPORTTEST'
const secretKey = 'a-secret-that-only-tests-know'
const kmsKey = 'sallyport-test'
const startMsMax = 120_000

/** Why tests that need a bucket are skipped; false when they can run. Fits the `skip` option of `node:test`. */
export function bucketSkipReason(): string | false {
  if (process.getuid?.() !== 0) return 'starting radosgw takes root'
  return programs.every((name) => existsSync(`/usr/bin/${name}`))
    ? false
    : 'needs the Debian packages radosgw, ceph-mon and ceph-osd'
}

/** Starts a cluster of one monitor and one store in memory, and the gateway on it. Takes about 15 seconds. */
export async function startRadosGateway(): Promise<RadosGateway> {
  const dir = await mkdtemp(join(tmpdir(), 'sallyport-rados-'))
  const children: ChildProcess[] = []
  const stop = async (): Promise<void> => {
    await Promise.all(children.toReversed().map(end))
    await rm(dir, { recursive: true, force: true })
  }
  try {
    const [monitor, port] = await freePorts()
    for (const name of ['mon', 'osd', 'run', 'rgw']) await mkdir(join(dir, name))
    const config = join(dir, 'ceph.conf')
    await writeFile(config, configOf(dir, monitor, port))
    const tool = (program: string, ...args: string[]): void => runTool(program, args, config)
    const serve = (program: string, ...args: string[]): void => {
      const all = ['-c', config, '-f', ...args]
      children.push(spawn(program, all, { stdio: 'ignore', env: environment(config) }))
    }
    const keyring = join(dir, 'keyring')
    const everything = ['--cap', 'mon', 'allow *', '--cap', 'osd', 'allow *']
    tool('ceph-authtool', '--create-keyring', keyring, '--gen-key', '-n', 'mon.', ...everything)
    for (const name of ['client.admin', 'osd.0'])
      tool('ceph-authtool', keyring, '--gen-key', '-n', name, ...everything)
    const map = join(dir, 'monmap')
    const address = `[v2:127.0.0.1:${monitor}]`
    tool('monmaptool', '--create', '--fsid', fsid, '--addv', 'a', address, map)
    tool('ceph-mon', '-c', config, '--mkfs', '-i', 'a', '--monmap', map, '--keyring', keyring)
    serve('ceph-mon', '-i', 'a')
    const osd = fsid.replace(/1$/u, '2')
    tool('ceph', '-c', config, '--connect-timeout', '60', 'osd', 'new', osd)
    tool('ceph-osd', '-c', config, '-i', '0', '--mkfs', '--osd-uuid', osd)
    serve('ceph-osd', '-i', '0')
    const user = ['--uid=test', '--display-name=test', `--access-key=${accessKey}`]
    tool('radosgw-admin', '-c', config, 'user', 'create', ...user, `--secret-key=${secretKey}`)
    serve('radosgw', '-n', 'client.admin')
    const endpoint = `http://127.0.0.1:${port}`
    await until('radosgw answers', async () => await answers(endpoint), startMsMax)
    return { port, endpoint, accessKey, secretKey, kmsKey, stop, [Symbol.asyncDispose]: stop }
  } catch (error) {
    const log = await readFile(join(dir, 'run', 'client.admin.log'), 'utf8').catch(() => '')
    await stop()
    throw new Error(`radosgw did not start: ${log.slice(-2000)}`, { cause: error })
  }
}

function configOf(dir: string, monitor: number, port: number): string {
  return `[global]
fsid = ${fsid}
mon_host = [v2:127.0.0.1:${monitor}]
keyring = ${dir}/keyring
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 1
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_max_pg_per_osd = 1000
mon_data_avail_crit = 0
osd_objectstore = memstore
memstore_device_bytes = 1073741824
run_dir = ${dir}/run
crash_dir = ${dir}/run
admin_socket = ${dir}/run/$name.asok
pid_file = ${dir}/run/$name.pid
log_file = ${dir}/run/$name.log
mon_cluster_log_file = ${dir}/run/cluster.log
mon_data = ${dir}/mon
osd_data = ${dir}/osd
rgw_data = ${dir}/rgw
rgw_frontends = beast endpoint=127.0.0.1:${port}
rgw_crypt_require_ssl = false
rgw_crypt_s3_kms_backend = testing
rgw_crypt_s3_kms_encryption_keys = ${kmsKey}=${Buffer.alloc(32, 7).toString('base64')}
`
}

function environment(config: string): NodeJS.ProcessEnv {
  return { ...process.env, CEPH_CONF: config }
}

function runTool(program: string, args: readonly string[], config: string): void {
  const options = { encoding: 'utf8', timeout: startMsMax, env: environment(config) } as const
  const { status, stderr, error } = spawnSync(program, args, options)
  if (error !== undefined) throw new Error(`running ${program}`, { cause: error })
  if (status !== 0) throw new Error(`${program} failed: ${stderr}`)
}

async function answers(endpoint: string): Promise<boolean> {
  try {
    return (await fetch(endpoint)).ok
  } catch {
    return false
  }
}

/** Two ports that were free a moment ago. */
async function freePorts(): Promise<[number, number]> {
  const servers = [createServer(), createServer()]
  const ports = servers.map(
    async (server) =>
      await new Promise<number>((resolve, reject) => {
        server.once('error', reject)
        server.listen(0, '127.0.0.1', () => {
          const address = server.address()
          resolve(typeof address === 'object' && address !== null ? address.port : 0)
        })
      }),
  )
  const [first = 0, second = 0] = await Promise.all(ports)
  await Promise.all(
    servers.map(async (server) => await new Promise((resolve) => server.close(resolve))),
  )
  return [first, second]
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const { promise, resolve } = Promise.withResolvers<void>()
  child.once('exit', () => resolve())
  // Nothing is to be kept: the store is in memory.
  child.kill('SIGKILL')
  await promise
}

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { startTestGateway } from '../../e2e/test-gateway.ts'
import { compareLibPq, libPqMissing } from './lib-pq.ts'

/** Compares drivers of other languages direct and through a gateway of its own. Says what it leaves out for want of a driver. */
await using gateway = await startTestGateway({ workers: 2 })
const { host, port, database } = gateway.postgres
const { user, secret } = await gateway.credential()
const gatewayPort = gateway.gateway.ports.postgres
let isSame = true

const python = process.env['PYTHON'] ?? 'python3'
if (spawnSync(python, ['-c', 'import psycopg, asyncpg']).status === 0) {
  const env = {
    ...process.env,
    DIRECT_URL: `postgresql://app:app-password@${host}:${port}/${database}?sslmode=disable`,
    GATEWAY_URL: `postgresql://${user}:${secret}@${host}:${gatewayPort}/${database}?sslmode=require`,
  }
  const script = fileURLToPath(new URL('python-drivers.py', import.meta.url))
  // Not waited for in this thread: the control plane in it is asked about every login.
  const child = spawn(python, [script], { env, stdio: 'inherit', timeout: 120_000 })
  const [status] = (await once(child, 'exit')) as [number | null]
  isSame &&= status === 0
} else process.stdout.write(`psycopg, asyncpg: left out, ${python} does not have them\n`)

const missing = libPqMissing()
if (missing === undefined) {
  // The name is what the suite expects.
  await gateway.postgres.sql('create database pqgotest')
  const common = { PGHOST: host, PGDATABASE: 'pqgotest', PGCONNECT_TIMEOUT: '20' }
  const direct = { PGPORT: String(port), PGUSER: 'app', PGPASSWORD: 'app-password' }
  const through = { PGPORT: String(gatewayPort), PGUSER: user, PGPASSWORD: secret }
  const same = await compareLibPq(
    { ...common, ...direct, PGSSLMODE: 'disable' },
    { ...common, ...through, PGSSLMODE: 'require' },
  )
  isSame &&= same
} else process.stdout.write(`lib/pq: left out, ${missing}\n`)

process.exitCode = isSame ? 0 : 1

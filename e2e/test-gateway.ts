import { mkdtemp, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startGateway, type ControlPlane, type ControlPlaneEvent } from '@sallyport/gateway'
import { startPostgres, type TestPostgres } from '@sallyport/testkit'

/** A real gateway before a real PostgreSQL, as an operator would start it: workers, journal, policies, TLS. */
export interface TestGateway extends AsyncDisposable {
  readonly gateway: ControlPlane
  readonly postgres: TestPostgres
  readonly dataDir: string
  readonly events: readonly ControlPlaneEvent[]
  /** A libpq URL of connection `shop` with a fresh credential. */
  url(options?: {
    database?: string
    allow?: string
    ttlMs?: number
    query?: string
  }): Promise<string>
  credential(allow?: string): Promise<{ user: string; secret: string }>
  api(method: string, path: string, body?: unknown): Promise<Response>
  writePolicy(text: string): Promise<void>
}

export interface TestGatewayOptions {
  readonly policy?: string
  readonly workers?: number
  readonly durability?: 'auto' | 'disk' | 'process'
  readonly seed?: string
  readonly postgresConfig?: readonly string[]
  /** The target speaks TLS, with a certificate that is not verified. */
  readonly targetTls?: boolean
  /** Serves callers without TLS too. */
  readonly plainText?: boolean
  /** Where recordings are kept, if not in the data folder. */
  readonly recordings?: string
  readonly anchors?: readonly string[]
  readonly journal?: { readonly maxBytes: number; readonly minFreeBytes: number }
  /** Called with the data folder before the gateway starts. */
  readonly prepare?: (dataDir: string) => Promise<void>
  /** The target's major version; see `postgresBinaries`. */
  readonly server?: string
  /** How often one person may approve; as often as they like where absent. */
  readonly approvalsPerMinute?: number
  /** Serves metrics on a port of their own. */
  readonly metrics?: boolean
}

export async function startTestGateway(options: TestGatewayOptions = {}): Promise<TestGateway> {
  await using undo = new AsyncDisposableStack()
  const postgres = await startPostgres({
    users: [{ name: 'app', auth: 'scram-sha-256', password: 'app-password', superuser: true }],
    config: ["log_statement = 'all'", ...(options.postgresConfig ?? [])],
    ...(options.targetTls === true ? { tls: 'self-signed' as const } : {}),
    ...(options.server === undefined ? {} : { server: options.server }),
  })
  undo.defer(async () => await postgres.stop())
  if (options.seed !== undefined) await postgres.sql(options.seed)
  const dataDir = await mkdtemp(join(tmpdir(), 'sallyport-'))
  undo.defer(async () => await rm(dataDir, { recursive: true, force: true }))
  const policies = join(dataDir, 'policies')
  await mkdir(policies)
  const writePolicy = async (text: string): Promise<void> => {
    await writeFile(join(policies, 'test.yaml'), text)
  }
  await writePolicy(options.policy ?? openPolicy)
  await options.prepare?.(dataDir)
  const events: ControlPlaneEvent[] = []
  const gateway = await startGateway({
    dataDir,
    ports: { api: 0, postgres: 0, ...(options.metrics === true ? { metrics: 0 } : {}) },
    host: '127.0.0.1',
    workers: options.workers ?? 1,
    durability: options.durability ?? 'process',
    demo: false,
    plainText: options.plainText ?? false,
    // Tests do not read.
    approvalLimits: { approvalsPerMinute: options.approvalsPerMinute ?? 10_000 },
    ...(options.recordings === undefined ? {} : { recordings: options.recordings }),
    ...(options.anchors === undefined ? {} : { anchors: options.anchors }),
    ...(options.journal === undefined ? {} : { journal: options.journal }),
    onEvent: (event) => events.push(event),
  })
  undo.defer(async () => await gateway.stop(0))
  const token = (await readFile(join(dataDir, 'owner.token'), 'utf8')).trim()
  const api = async (method: string, path: string, body?: unknown): Promise<Response> =>
    await fetch(`http://127.0.0.1:${gateway.ports.api}${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
  const added = await api('POST', '/v1/connections', {
    name: 'shop',
    host: '127.0.0.1',
    port: postgres.port,
    user: 'app',
    password: 'app-password',
    database: postgres.database,
    labels: { env: 'prod' },
    tls: options.targetTls === true ? 'require' : 'off',
  })
  if (!added.ok) throw new Error(`adding the connection: ${await added.text()}`)
  const credential = async (
    allow?: string,
    ttlMs?: number,
  ): Promise<{ user: string; secret: string }> =>
    await gateway.issueCredential({
      connection: 'shop',
      ...(allow === undefined ? {} : { allow: [allow] }),
      ...(ttlMs === undefined ? {} : { ttlMs }),
    })
  const owned = undo.move()
  return {
    gateway,
    postgres,
    dataDir,
    events,
    api,
    credential,
    writePolicy,
    url: async ({ database, allow, ttlMs, query } = {}) => {
      const { user, secret } = await credential(allow, ttlMs)
      const name = database ?? postgres.database
      return `postgresql://${user}:${secret}@127.0.0.1:${gateway.ports.postgres}/${name}?${query ?? 'sslmode=require'}`
    },
    [Symbol.asyncDispose]: async () => await owned.disposeAsync(),
  }
}

/** Lets everything that is understood run, unmasked. */
export const openPolicy = `apiVersion: sallyport.dev/v1
kind: Policy
metadata: {name: open}
spec:
  owner: group:test
  rules: []
`

/** Drops are blocked, and e-mail addresses of customers are masked. */
export const guardPolicy = `apiVersion: sallyport.dev/v1
kind: Policy
metadata: {name: guard}
spec:
  owner: group:test
  rules:
    - name: no-drop
      on: sql
      when: op.verb == "drop"
      effect: block
      message: "Nothing is dropped here."
    - name: emails
      on: sql
      when: "true"
      effect: mask
      mask:
        - {columns: ["customers.email"], with: redact}
`

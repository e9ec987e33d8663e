import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { startGateway } from '@sallyport/gateway'

/** What the parent asks for, as JSON in the first argument. */
export interface GatewayProcessOptions {
  readonly dataDir: string
  readonly durability: 'process' | 'auto' | 'disk'
  readonly masks: boolean
  readonly target: {
    readonly port: number
    readonly user: string
    readonly password: string
    readonly database: string
  }
}

/** The one message to the parent. */
export interface GatewayProcessReady {
  readonly port: number
  readonly user: string
  readonly secret: string
  readonly workerPids: readonly number[]
}

/** A gateway with one worker, since pgbouncer has one thread. It ends with its parent. */
const options = JSON.parse(process.argv[2] ?? '') as GatewayProcessOptions
await mkdir(join(options.dataDir, 'policies'))
await writeFile(join(options.dataDir, 'policies', 'bench.yaml'), policy(options.masks))
const gateway = await startGateway({
  dataDir: options.dataDir,
  ports: { api: 0, postgres: 0 },
  host: '127.0.0.1',
  workers: 1,
  durability: options.durability,
  demo: false,
  plainText: true,
  onEvent: (event) => {
    if (event.kind === 'fault' || event.kind === 'policies.refused')
      process.stderr.write(`${JSON.stringify(event)}\n`)
  },
})
await connect()
const { workers } = await gateway.status()
const { user, secret } = await gateway.issueCredential({ connection: 'bench' })
const workerPids = workers.flatMap((worker) => worker.pid ?? [])
const ready: GatewayProcessReady = { port: gateway.ports.postgres, user, secret, workerPids }
process.send?.(ready)
process.once('disconnect', () => {
  void gateway.stop(0).finally(() => process.exit())
})

async function connect(): Promise<void> {
  const token = (await readFile(join(options.dataDir, 'owner.token'), 'utf8')).trim()
  const response = await fetch(`http://127.0.0.1:${gateway.ports.api}/v1/connections`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'bench', host: '127.0.0.1', ...options.target, tls: 'off' }),
  })
  if (!response.ok) throw new Error(`the connection: ${await response.text()}`)
}

/** A rule that never blocks is evaluated too, since policies without any would be free. */
function policy(masks: boolean): string {
  const mask = `
    - name: mask-email
      on: sql
      when: "true"
      effect: mask
      mask: [{columns: ["bulk.email"], with: partial}]`
  return `apiVersion: sallyport.dev/v1
kind: Policy
metadata: {name: bench}
spec:
  rules:
    - name: no-drop
      on: sql
      when: op.verb == "drop"
      effect: block
      message: "Nothing is dropped here."${masks ? mask : ''}
`
}

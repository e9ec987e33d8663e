import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { until } from '@sallyport/testkit'
import { Client } from 'pg'
import { AgentFamily } from '../e2e/agent-family.ts'
import { startTestGateway, type TestGateway } from '../e2e/test-gateway.ts'
import { ServiceKey } from '../packages/cli/src/service-key.ts'

/** Runs `count` of something, several at once, and prints how long each took. */
export type Report = (
  what: string,
  count: number,
  each: (at: number) => Promise<unknown>,
) => Promise<void>

/** No source may show more tokens than this at once; those of this machine stand for as many hosts. */
const tokensPerSource = 250

const service = `apiVersion: sallyport.dev/v1
kind: Service
metadata: {name: bench}
spec: {jwksFile: bench.jwks.json, owner: "group:ops"}
---
apiVersion: sallyport.dev/v1
kind: Grant
metadata: {name: bench}
spec: {to: ["service:bench"], on: [{connections: ["shop"]}], allow: [read]}
`

/** Logins of services at the API, and of agents at the database port, through a whole gateway. */
export async function measureLogins(count: number, report: Report): Promise<void> {
  await using gateway = await startTestGateway({ postgresConfig: ["log_statement = 'none'"] })
  const url = `http://127.0.0.1:${gateway.gateway.ports.api}`
  const key = await addService(gateway)
  const show = async (at: number): Promise<number> =>
    await tokenOf(url, `127.0.1.${1 + Math.floor(at / tokensPerSource)}`, key)
  await until('the service is in force', async () => (await show(0)) === 200)
  await report('login of a service (API)', count, async (at) => assert.equal(await show(at), 200))

  const family = new AgentFamily(gateway)
  const agent = await family.root()
  const urls: string[] = []
  // As the owner, who may mint as many at once as a bench needs.
  for (let at = 0; at < count; at += 1) {
    const path = `/v1/agents/${agent.id}/credentials`
    const { url: made } = (await family.ask('POST', path, { connection: 'shop' })) as {
      url: string
    }
    urls.push(made.replace('?sslmode=require', ''))
  }
  const open = async (connectionString: string): Promise<void> => {
    const client = new Client({ connectionString, ssl: { rejectUnauthorized: false } })
    await client.connect()
    await client.end()
  }
  await report('login at the database port, TLS', count, async (at) => await open(urls[at] ?? ''))
  const { postgres } = gateway
  await report('the same at the target, no TLS', count, async () => {
    const { host, port, database } = postgres
    const client = new Client({ host, port, database, user: 'app', password: 'app-password' })
    await client.connect()
    await client.end()
  })
}

async function addService(gateway: TestGateway): Promise<ServiceKey> {
  const folder = join(gateway.dataDir, 'identity')
  await mkdir(folder, { recursive: true })
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const path = join(gateway.dataDir, 'bench.pem')
  await writeFile(path, privateKey.export({ format: 'pem', type: 'pkcs8' }), { mode: 0o600 })
  const key = ServiceKey.read(path)
  await writeFile(join(folder, 'bench.jwks.json'), JSON.stringify(key.keySet()))
  await writeFile(join(folder, 'bench.yaml'), service)
  return key
}

async function tokenOf(url: string, localAddress: string, key: ServiceKey): Promise<number> {
  const body = new URLSearchParams({
    grant_type: 'client_credentials',
    client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    client_assertion: key.assertion('bench', url),
  }).toString()
  return await new Promise<number>((resolve, reject) => {
    const headers = { 'content-type': 'application/x-www-form-urlencoded' }
    const sent = request(`${url}/oauth/token`, { method: 'POST', headers, localAddress })
    sent.on('error', reject).on('response', (answer) => {
      text(answer).then(() => resolve(answer.statusCode ?? 0), reject)
    })
    sent.end(body)
  })
}

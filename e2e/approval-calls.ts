import assert from 'node:assert/strict'
import { Client } from 'pg'
import { until } from '@sallyport/testkit'
import type { ApprovalView } from '@sallyport/gateway'
import type { AgentFamily, TestAgent } from './agent-family.ts'
import type { TestGateway } from './test-gateway.ts'
import { WireCaller } from './wire-caller.ts'

/** What a refused command reads. */
export interface Refused {
  readonly code: string
  readonly message: string
  readonly hint: string
}

/** Requests for approval, as their owner sees and answers them. */
export class ApprovalCalls {
  readonly gateway: TestGateway

  constructor(gateway: TestGateway) {
    this.gateway = gateway
  }

  async list(state: string): Promise<ApprovalView[]> {
    const response = await this.gateway.api('GET', `/v1/approvals?state=${state}`)
    return (await response.json()) as ApprovalView[]
  }

  async get(id: string): Promise<ApprovalView> {
    return (await (await this.gateway.api('GET', `/v1/approvals/${id}`)).json()) as ApprovalView
  }

  /** The request whose text matches, as soon as it waits. */
  async waiting(text: RegExp): Promise<ApprovalView> {
    return await until(`${text} waits`, async () =>
      (await this.list('pending')).find((each) => text.test(each.text)),
    )
  }

  async ended(id: string, state: string): Promise<void> {
    await until(`${id} is ${state}`, async () => (await this.get(id)).state === state)
  }

  async answer(id: string, decision: 'approve' | 'deny', note = ''): Promise<ApprovalView> {
    const response = await this.tryAnswer(id, decision, note)
    assert.ok(response.ok, await response.clone().text())
    return (await response.json()) as ApprovalView
  }

  async tryAnswer(id: string, decision: 'approve' | 'deny', note = ''): Promise<Response> {
    return await this.gateway.api('POST', `/v1/approvals/${id}/answer`, { decision, note })
  }

  /** Resolves when every worker decides by this policy. */
  async load(text: string): Promise<void> {
    const before = await this.#versions()
    await this.gateway.writePolicy(text)
    await until('it is in force', async () =>
      (await this.#versions()).every((version, n) => version > (before[n] ?? 0)),
    )
  }

  async #versions(): Promise<number[]> {
    const { policies, workers } = await this.gateway.gateway.status()
    return [policies.version, ...workers.map(({ snapshotVersion }) => snapshotVersion)]
  }
}

/** A session that speaks single messages, of a gateway that takes plain text. */
export async function wireSession(
  gateway: TestGateway,
  family: AgentFamily,
  agent: TestAgent,
): Promise<WireCaller> {
  const { username: user, password, pathname } = new URL(await family.url(agent))
  const { port } = { port: gateway.gateway.ports.postgres }
  return await WireCaller.open({ port, user, password, database: pathname.slice(1) })
}

/** A driver's session with settings of its own at its start. */
export async function driverSession(
  family: AgentFamily,
  agent: TestAgent,
  settings: { readonly options?: string; readonly application_name?: string } = {},
): Promise<Client> {
  const connectionString = (await family.url(agent)).replace('?sslmode=require', '')
  const client = new Client({ connectionString, ssl: { rejectUnauthorized: false }, ...settings })
  client.on('error', () => undefined)
  await client.connect()
  return client
}

/** How a query failed. Fails where it ran. */
export async function failure(query: Promise<unknown>): Promise<Refused> {
  return await query.then(
    () => assert.fail('it ran'),
    (error: Refused) => ({ code: error.code, message: error.message, hint: error.hint ?? '' }),
  )
}

import assert from 'node:assert/strict'
import { Client } from 'pg'
import type { TestGateway } from './test-gateway.ts'

/** An agent of a test, with its handle. */
export interface TestAgent {
  readonly id: string
  readonly handle: string
  readonly cut: readonly string[]
}

export interface Asked {
  readonly allow?: readonly string[]
  readonly ttl?: string
  readonly budget?: Readonly<Record<string, number>>
  readonly cut?: boolean
}

/** A closure report, as the API gives it. */
export interface Report {
  readonly state: string
  readonly agents: number
  readonly sessions: readonly { readonly session: string; readonly outcome: string }[]
  readonly ms: number
}

/** Makes agents through the API of a gateway, as a launcher would, and opens sessions with their credentials. */
export class AgentFamily {
  readonly #gateway: TestGateway

  constructor(gateway: TestGateway) {
    this.#gateway = gateway
  }

  /** A root of the local owner. */
  async root(asked: Asked = {}): Promise<TestAgent> {
    return agentOf(await this.ask('POST', '/v1/agents', { allow: ['shop:*'], ...asked }))
  }

  async child(parent: TestAgent, name: string, asked: Asked = {}): Promise<TestAgent> {
    const body = { name, allow: ['shop:*'], ...asked }
    return agentOf(await this.ask('POST', '/v1/agents/self/children', body, parent.handle))
  }

  /** A fresh credential as a libpq URL. */
  async url(agent: TestAgent, more: Readonly<Record<string, unknown>> = {}): Promise<string> {
    const path = '/v1/agents/self/credentials'
    const minted = await this.ask('POST', path, { connection: 'shop', ...more }, agent.handle)
    const { user, secret } = minted as { user: string; secret: string }
    const { gateway, postgres } = this.#gateway
    return `postgresql://${user}:${secret}@127.0.0.1:${gateway.ports.postgres}/${postgres.database}?sslmode=require`
  }

  /** An open session; errors after its end are the test's to read. */
  async session(agent: TestAgent): Promise<Client> {
    const url = (await this.url(agent)).replace('?sslmode=require', '')
    const client = new Client({ connectionString: url, ssl: { rejectUnauthorized: false } })
    client.on('error', () => undefined)
    await client.connect()
    return client
  }

  async revoke(agent: TestAgent, reason = 'enough'): Promise<Report> {
    return (await this.ask('POST', `/v1/agents/${agent.id}/revoke`, { reason })) as Report
  }

  async freeze(agent: TestAgent, reason = 'a look'): Promise<Report> {
    return (await this.ask('POST', `/v1/agents/${agent.id}/freeze`, { reason })) as Report
  }

  async unfreeze(agent: TestAgent): Promise<Report> {
    return (await this.ask('POST', `/v1/agents/${agent.id}/unfreeze`, { reason: 'ok' })) as Report
  }

  /** An answer of the API; a refusal fails the test with its text. */
  async ask(method: string, path: string, body?: unknown, handle?: string): Promise<unknown> {
    const { status, answer } = await this.tryAsk(method, path, body, handle)
    assert.ok(status < 300, `${method} ${path}: ${status} ${JSON.stringify(answer)}`)
    return answer
  }

  async tryAsk(
    method: string,
    path: string,
    body?: unknown,
    handle?: string,
  ): Promise<{ status: number; answer: unknown }> {
    const response =
      handle === undefined
        ? await this.#gateway.api(method, path, body)
        : await fetch(`http://127.0.0.1:${this.#gateway.gateway.ports.api}${path}`, {
            method,
            headers: { authorization: `Bearer ${handle}`, 'content-type': 'application/json' },
            ...(body === undefined ? {} : { body: JSON.stringify(body) }),
          })
    const text = await response.text()
    return { status: response.status, answer: text === '' ? undefined : JSON.parse(text) }
  }
}

function agentOf(answer: unknown): TestAgent {
  const { agent, handle, cut } = answer as {
    agent: { id: string }
    handle: string
    cut?: readonly string[]
  }
  return { id: agent.id, handle, cut: cut ?? [] }
}

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite } from 'node:test'
import {
  type GrantLayer,
  parseAllow,
  SallyportError,
  Secret,
  type SessionId,
} from '@sallyport/core'
import { skipReason, startPostgres, type TestPostgres } from '@sallyport/testkit'
import type { Admission } from '../../boundary/agents.ts'
import { openPgliteStore } from '../adapters/pglite-store.ts'
import { openPostgresStore } from '../adapters/postgres-store.ts'
import { Connections } from '../connections.ts'
import type { Store } from '../ports/store.ts'
import type { MintedCredential, RootRequest, Spawned, SpawnRequest } from './agent-requests.ts'
import { gatewayBy } from '../ledger/ledger.ts'
import { MemoryLedger } from '../ledger/memory-ledger.fixture.ts'
import { AgentService } from './agent-service.ts'

/** A service on a store of its own, with a clock that tests move. */
export class Bench {
  nowMs = Date.now()
  spawnsPerSecond = 1_000_000
  readonly faults: unknown[] = []
  readonly ledger = new MemoryLedger()
  store!: Store
  service!: AgentService
  readonly #open: () => Promise<Store>

  constructor(open: () => Promise<Store>) {
    this.#open = open
  }

  async start(): Promise<void> {
    this.store = await this.#open()
    await this.restartService()
  }

  async restartService(): Promise<void> {
    this.service = await AgentService.open(this.store, {
      ledger: this.ledger,
      onFault: (error) => this.faults.push(error),
      now: () => this.nowMs,
      spawnsPerSecond: this.spawnsPerSecond,
    })
  }

  async restart(): Promise<void> {
    await this.service.stop()
    await this.store.close()
    await this.start()
  }

  async stop(): Promise<void> {
    await this.service.stop()
    await this.store.close()
    assert.deepEqual(this.faults, [])
  }

  root(more: Partial<RootRequest> = {}): Promise<Spawned> {
    return this.service.createRoot({
      principal: { id: 'user:dana', kind: 'human', name: 'dana', groups: [] },
      name: 'dana',
      born: 'login',
      owner: 'user:dana',
      layers: [layer('orders:*')],
      budget: {},
      delegate: {},
      ttlMs: 8 * 3600_000,
      handle: true,
      ...more,
    })
  }

  child(parent: string, name: string, more: Partial<SpawnRequest> = {}): Promise<Spawned> {
    return this.service.spawn(parent, { name, layers: [], born: 'mint', handle: true, ...more })
  }

  credential(agent: string, more: { maxUses?: number } = {}): Promise<MintedCredential> {
    return this.service.mintCredential(agent, {
      connection: 'orders',
      protocol: 'postgres',
      ...more,
    })
  }

  admit(
    agent: { readonly id: string },
    credential: { readonly id: MintedCredential['id'] },
    session = `s_${(sessions += 1)}`,
    source = '10.0.0.1',
    application = 'psql',
  ): Promise<Admission> {
    const request = { connection: 'orders', application, database: 'orders', source }
    const ids = {
      session: session as SessionId,
      agent: agent.id as never,
      credential: credential.id,
    }
    return this.service.admit({ ...request, ...ids }, 0)
  }
}

let sessions = 0

/** Runs the same tests on the embedded database and on a server. */
export function onBothStores(name: string, tests: (bench: Bench) => void): void {
  suite(`${name}, embedded`, () => {
    const dir = mkdtempSync(join(tmpdir(), 'sallyport-agents-'))
    const bench = new Bench(() => openPgliteStore(dir))
    before(() => prepare(bench))
    after(async () => {
      await bench.stop()
      rmSync(dir, { recursive: true, force: true })
    })
    tests(bench)
  })
  suite(`${name}, on a server`, { skip: skipReason() }, () => {
    let server: TestPostgres
    const bench = new Bench(() =>
      openPostgresStore(
        `postgresql://postgres:${server.password}@${server.host}:${server.port}/postgres`,
      ),
    )
    before(async () => {
      server = await startPostgres()
      await prepare(bench)
    })
    after(async () => {
      await bench.stop()
      await server.stop()
    })
    tests(bench)
  })
}

async function prepare(bench: Bench): Promise<void> {
  await bench.start()
  await new Connections(bench.store, new Secret(Buffer.alloc(32, 7)), bench.ledger).put(
    {
      name: 'orders',
      labels: {},
      host: 'db',
      port: 5432,
      user: 'app',
      password: 'sesame',
      database: 'orders',
      tls: { mode: 'off' },
    },
    gatewayBy('test'),
  )
}

export function layer(...allow: string[]): GrantLayer {
  return {
    permits: allow.map((text) => {
      const parsed = parseAllow(text)
      assert.equal(parsed.kind, 'ok', text)
      return parsed.kind === 'ok'
        ? parsed.permission
        : { connections: [], classes: [], dimensions: {} }
    }),
  }
}

export function hasCode(code: string, text?: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof SallyportError, String(error))
    assert.equal(error.code, code, error.message)
    if (text !== undefined) assert.match(error.detail ?? error.message, text)
    return true
  }
}

/** Where it does not matter who comes. */
export const unseen = { owner: () => undefined, refused: () => undefined }

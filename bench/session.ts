import { EventEmitter } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { MaskKey, type AgentId, type SessionId } from '@sallyport/core'
import {
  encodeBind,
  encodeCommandComplete,
  encodeDataRow,
  encodeDescribe,
  encodeExecute,
  encodeParse,
  encodeReadyForQuery,
  encodeRowDescription,
  encodeSync,
} from '@sallyport/wire'
import type { ConnectionConfig, Snapshot } from '../packages/gateway/src/boundary/snapshot.ts'
import { AgentIndex } from '../packages/gateway/src/data-plane/agents/agent-index.ts'
import { Purse } from '../packages/gateway/src/data-plane/agents/purse.ts'
import { SessionAgent } from '../packages/gateway/src/data-plane/agents/session-agent.ts'
import { Journal } from '../packages/gateway/src/data-plane/journal/journal.ts'
import { nodeJournalFs } from '../packages/gateway/src/data-plane/journal/journal-fs.ts'
import { WorkerMeter } from '../packages/gateway/src/data-plane/meters/worker-meter.ts'
import { Decider } from '../packages/gateway/src/data-plane/pipeline/decide.ts'
import { Catalog } from '../packages/gateway/src/data-plane/protocols/postgres/catalog.ts'
import { HeldCatalog } from '../packages/gateway/src/data-plane/protocols/postgres/catalogs.ts'
import { SqlClassifier } from '../packages/gateway/src/data-plane/protocols/postgres/classify/classify-sql.ts'
import { FormerNames } from '../packages/gateway/src/data-plane/protocols/postgres/former-names.ts'
import { noLineageRows } from '../packages/gateway/src/data-plane/protocols/postgres/lineage/lineage-rows.ts'
import { HoldDesk } from '../packages/gateway/src/data-plane/approvals/hold-desk.ts'
import { Holds } from '../packages/gateway/src/data-plane/approvals/holds.ts'
import { LookupMeter } from '../packages/gateway/src/data-plane/protocols/postgres/lineage/lookup-meter.ts'
import { MaskedDatabases } from '../packages/gateway/src/data-plane/protocols/postgres/lineage/masked-database.ts'
import { Rewriter } from '../packages/gateway/src/data-plane/protocols/postgres/rewrite.ts'
import {
  PostgresSession,
  type SessionOptions,
} from '../packages/gateway/src/data-plane/protocols/postgres/session.ts'
import { readPolicyFiles } from '../packages/gateway/src/control-plane/policies/load-policy-folder.ts'
import { SnapshotHolder } from '../packages/gateway/src/data-plane/snapshot-holder.ts'

/** A socket of nobody: what is written to it can be taken, and that is all. */
class DeafSocket extends EventEmitter {
  destroyed = false
  writableNeedDrain = false
  written: Buffer[] = []
  onWrite: (() => void) | undefined

  write(bytes: Buffer): boolean {
    this.written.push(bytes)
    this.onWrite?.()
    return true
  }

  cork(): void {}
  uncork(): void {}
  pause(): void {}
  resume(): void {}
  end(): void {}
  destroy(): void {
    this.destroyed = true
  }
}

const policyText = `apiVersion: sallyport.dev/v1
kind: Policy
metadata: {name: bench}
spec:
  owner: group:bench
  rules:
    - {name: mask-mail, on: sql, when: "true", effect: mask, mask: [{columns: ["*.email"], with: redact}]}
    - {name: no-drop, on: sql, when: op.verb == "DROP DATABASE", effect: block, message: never}
`

const config: ConnectionConfig = {
  name: 'shop',
  type: 'postgres',
  labels: {},
  target: { host: '127.0.0.1', port: 1 },
  login: { user: 'app', password: '' },
  database: 'shop',
  tls: { mode: 'off' },
  notices: 'auto',
  responses: 'masked',
  trustedFunctions: [],
  masking: 'lineage',
  holdMaxMs: 86_400_000,
  holdInTransactionMaxMs: 60_000,
}

const agentId = 'a_0000000000000' as AgentId

/** One root agent that may do everything. */
function agentIndex(): AgentIndex {
  const index = new AgentIndex(() => Date.now())
  void index.apply({
    from: 0,
    version: 1,
    agents: [
      {
        id: agentId,
        path: [agentId],
        name: 'bench',
        principal: { id: 'user:bench', kind: 'human', name: 'bench', groups: [] },
        state: 'active',
        layers: [{ permits: [{ connections: ['*'], classes: ['*'], dimensions: {} }] }],
        budget: {},
        createdAtMs: 0,
        expiresAtMs: Number.MAX_SAFE_INTEGER,
      },
    ],
    credentials: [],
    goneAgents: [],
    goneCredentials: [],
  })
  return index
}

const int4 = { typeOid: 23, typeSize: 4, typeModifier: -1 }

function catalog(): Catalog {
  const columns = new Map([
    [1, { name: 'aid', typeOid: 23, typmod: -1 }],
    [2, { name: 'bid', typeOid: 23, typmod: -1 }],
    [3, { name: 'abalance', typeOid: 23, typmod: -1 }],
    [4, { name: 'filler', typeOid: 1042, typmod: 88 }],
  ])
  const relation = { oid: 16_400, schema: 'public', name: 'pgbench_accounts', kind: 'r', columns }
  return new Catalog(1, {
    fingerprint: '',
    relations: new Map([[16_400, relation]]),
    former: FormerNames.none,
    below: new Map(),
    functions: new Map(),
    code: {
      operatorFunctions: () => [],
      checksOf: () => [],
      casts: [],
      mayHold: () => false,
      implicit: [],
      ofRelation: () => [],
      eventTriggers: [],
    },
    searchPath: ['pg_catalog', 'public'],
    lineage: noLineageRows,
  })
}

/** One session over deaf sockets, and a way to carry one exchange through it. */
async function openSession(dir: string): Promise<{
  exchange(request: Buffer, reply: Buffer): Promise<void>
  end(): Promise<void>
}> {
  const loaded = readPolicyFiles([{ file: 'bench.yaml', text: policyText }])
  if (loaded.kind !== 'ok') throw new Error(JSON.stringify(loaded.problems))
  const snapshot: Snapshot = {
    version: 1,
    policyVersion: 1,
    connections: [config],
    policies: loaded.policies,
    maskKey: Buffer.alloc(32).toString('base64'),
  }
  const now = (): number => Date.now()
  const journal = await Journal.open(
    {
      dir,
      durability: 'process',
      minFreeBytes: 0,
      maxBytes: Number.MAX_SAFE_INTEGER,
      recordingKey: Buffer.alloc(32).toString('base64'),
    },
    0,
    // The cost of the kernel is another bench's: here writes vanish.
    {
      now,
      onFault: (error) => process.stderr.write(`${error.message}\n`),
      fs: { ...nodeJournalFs, writeSync: vanish },
    },
  )
  const opened = journal.openSession({
    session: 's_0000000000000' as SessionId,
    connection: 'shop',
    database: 'shop',
    credential: 'c',
    chain: [],
    level: 1,
    application: 'bench',
    source: '127.0.0.1',
    tls: false,
  })
  const held = new HeldCatalog(
    now,
    () => Promise.resolve(catalog()),
    () => Promise.resolve(''),
  )
  await held.load()
  const classifier = await SqlClassifier.create()
  const caller = new DeafSocket()
  const target = new DeafSocket()
  const snapshots = new SnapshotHolder(snapshot, Number.MAX_SAFE_INTEGER, now)
  const agents = agentIndex()
  const agent = new SessionAgent(agents, agentId, 1)
  const session = new PostgresSession({
    id: 's_0000000000000' as SessionId,
    caller: caller as unknown as Socket,
    target: target as unknown as Socket,
    targetWire: target as unknown as Socket,
    callerRest: Buffer.alloc(0),
    targetRest: Buffer.alloc(0),
    journal: opened,
    meter: new WorkerMeter().sessionOpened('shop'),
    judge: {
      classifier,
      databases: new MaskedDatabases((sql) => classifier.parse(sql)),
      lookups: new LookupMeter(now),
      connection: 'shop',
      catalog: held,
      decider: new Decider(
        snapshots,
        { agent, connection: config, database: 'shop', client: { ip: '127.0.0.1', app: 'bench' } },
        now,
      ),
      trustedFunctions: new Set(),
      startup: [],
      guard: undefined,
      desk: new HoldDesk({
        holds: new Holds(() => undefined),
        journal: opened,
        agent,
        session: opened.id,
        connection: 'shop',
        target: [],
        database: 'shop',
        application: 'bench',
        source: '127.0.0.1',
        holdMaxMs: config.holdMaxMs,
        holdInTransactionMaxMs: config.holdInTransactionMaxMs,
        now,
        linkOf: () => undefined,
        tell: () => undefined,
      }),
    },
    rewriter: new Rewriter(
      MaskKey.derive(Buffer.alloc(32), 'bench'),
      () => undefined,
      () => undefined,
    ),
    recordsAnswers: true,
    tellsMasks: false,
    isPathKnown: true,
    limits: { messageBytesMax: 1 << 26, preparedStatementsMax: 1000, portalsMax: 1000 },
    log: { warn: failed, error: failed } as unknown as SessionOptions['log'],
    agent,
    purse: new Purse(agents, agentId, () => Promise.reject(new Error('no caps')), now),
    now,
    cancelTarget: async () => await Promise.resolve(),
    onClosed: () => undefined,
  })
  session.start()
  return {
    exchange: async (request, reply) => {
      const forwarded = new Promise<void>((resolve) => {
        target.onWrite = resolve
      })
      caller.emit('data', Buffer.from(request))
      await forwarded
      target.written.length = 0
      target.emit('data', Buffer.from(reply))
      if (caller.written.length === 0) throw new Error('no answer')
      caller.written.length = 0
    },
    end: async () => {
      session.end('done')
      await journal.close()
    },
  }
}

function failed(line: unknown): never {
  throw new Error(JSON.stringify(line))
}

const vanish = ((_fd: number, _bytes: Uint8Array, _at: number, length: number) =>
  length) as typeof nodeJournalFs.writeSync

const column = { name: 'abalance', tableOid: 16_400, columnNumber: 3, ...int4, format: 0 }
const text = 'SELECT abalance FROM pgbench_accounts WHERE aid = $1;'
const parse = Buffer.concat([
  encodeParse({ statement: 'P0_1', text, parameterTypes: [] }),
  encodeSync(),
])
const parsed = Buffer.concat([Buffer.from([0x31, 0, 0, 0, 4]), encodeReadyForQuery('I')])

function prepared(n: number): Buffer {
  return Buffer.concat([
    encodeBind({
      portal: '',
      statement: 'P0_1',
      parameterFormats: [],
      parameters: [Buffer.from(String(n))],
      resultFormats: [0],
    }),
    encodeDescribe({ target: 'portal', name: '' }),
    encodeExecute({ portal: '', rowsMax: 0 }),
    encodeSync(),
  ])
}

const reply = Buffer.concat([
  Buffer.from([0x32, 0, 0, 0, 4]),
  encodeRowDescription([column]),
  encodeDataRow([Buffer.from('12345')]),
  encodeCommandComplete('SELECT 1'),
  encodeReadyForQuery('I'),
])

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '8' },
    statements: { type: 'string', default: '50000' },
  },
})
const dir = await mkdtemp(join(tmpdir(), 'sallyport-bench-'))
try {
  const session = await openSession(dir)
  await session.exchange(parse, parsed)
  for (let round = 1; round <= Number(options.rounds); round += 1) {
    const statements = Number(options.statements)
    const before = process.cpuUsage()
    for (let n = 0; n < statements; n += 1) await session.exchange(prepared(n), reply)
    const used = process.cpuUsage(before)
    const micros = (used.user + used.system) / statements
    process.stdout.write(`round ${round}: ${micros.toFixed(2)} µs of CPU per prepared statement\n`)
  }
  await session.end()
} finally {
  await rm(dir, { recursive: true, force: true })
}

import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import {
  buildSqlFacts,
  decidePolicies,
  FactsReader,
  makeId,
  type AgentId,
  type Chain,
  type CompiledPolicies,
  type DecisionId,
  type Policy,
  type SessionId,
} from '@sallyport/core'
import { DirectoryRecordingStore } from '../packages/gateway/src/control-plane/adapters/directory-recording-store.ts'
import { openPgliteStore } from '../packages/gateway/src/control-plane/adapters/pglite-store.ts'
import { KeyRing } from '../packages/gateway/src/control-plane/keys/key-ring.ts'
import { compiledAgain } from '../packages/gateway/src/control-plane/policies/explain/explained-rules.ts'
import { readPolicyFiles } from '../packages/gateway/src/control-plane/policies/load-policy-folder.ts'
import { PolicyVersions } from '../packages/gateway/src/control-plane/policies/policy-versions.ts'
import { simulate } from '../packages/gateway/src/control-plane/policies/simulate/simulate.ts'
import { readRecordings } from '../packages/gateway/src/control-plane/recordings/recordings.ts'
import { Observers } from '../packages/gateway/src/control-plane/recordings/shipping/observers.ts'
import { ShippedParts } from '../packages/gateway/src/control-plane/recordings/shipping/shipped-parts.ts'
import { Shipper } from '../packages/gateway/src/control-plane/recordings/shipping/shipper.ts'
import { Journal } from '../packages/gateway/src/data-plane/journal/journal.ts'
import { FactRecorder } from '../packages/gateway/src/data-plane/pipeline/fact-recorder.ts'
import { SqlClassifier } from '../packages/gateway/src/data-plane/protocols/postgres/classify/classify-sql.ts'
import { dangerousTables } from '../packages/gateway/src/workbench/dangerous-commands.ts'
import { StandInDatabase } from '../packages/gateway/src/workbench/stand-in-database.ts'

/** Records commands as a worker does, ships them, and replays them against other policies: how long that takes, and that it says what deciding each command again says. */
const { values: flags } = parseArgs({
  options: { commands: { type: 'string', default: '1000000' } },
})
const commandCount = Number(flags.commands)
const perSession = 200
const recordingKey = Buffer.alloc(32, 4)

const statements = [
  'select * from customers where id = #',
  'select o.total from orders o join customers c on c.id = o.customer where c.id = #',
  "insert into orders values (#, 1, 'x')",
  'update orders set total = # where id = 1',
  'delete from orders where id = #',
  'delete from orders',
  'drop table orders',
  "do $$ begin execute 'x'; end $$",
] as const

function rules(lines: string): string {
  return `apiVersion: sallyport.dev/v1
kind: Policy
metadata: {name: more}
spec:
  owner: group:dba
  rules:
${lines}`
}

const stricter = rules(
  '    - {name: agent-writes, on: sql, when: "agent.depth > 1 && op.class != \\"read\\"", effect: block, message: no}\n',
)
const byText = rules(
  '    - {name: text, on: sql, when: "op.text.contains(\\"77\\")", effect: block, message: no}\n',
)

function chainOf(session: number): Chain {
  const agents = Array.from({ length: 1 + (session % 3) }, (_, depth) => ({
    id: `a_${session}_${depth}` as AgentId,
    name: `agent-${depth}`,
    depth,
    layers: [],
    createdAtMs: 0,
    expiresAtMs: 1e13,
  }))
  return { root: { id: 'u', kind: 'human', name: 'dana', groups: ['dev'] }, agents, level: 2 }
}

async function record(dir: string, compiled: CompiledPolicies): Promise<void> {
  const classifier = await SqlClassifier.create()
  const database = new StandInDatabase(classifier, dangerousTables)
  const options = { dir, durability: 'process', minFreeBytes: 0, maxBytes: 1e12 } as const
  const journal = await Journal.open(
    { ...options, recordingKey: recordingKey.toString('base64') },
    0,
    { now: Date.now, node: 'bench', onFault: (error) => process.stderr.write(String(error)) },
  )
  const connection = { name: 'shop', labels: { env: 'prod' }, type: 'postgres' }
  const client = { ip: '10.0.0.1', app: 'bench' }
  for (let at = 0; at < commandCount / perSession; at += 1) {
    const chain = chainOf(at)
    const session = journal.openSession({
      session: makeId<SessionId>('s', randomBytes),
      connection: 'shop',
      database: 'shop',
      credential: 'c',
      chain: chain.agents.map(({ id, name }) => ({ id, name })),
      level: 2,
      application: 'bench',
      source: '10.0.0.1',
      tls: true,
    })
    const recorder = new FactRecorder(session, { connection, client })
    let stored: Promise<unknown> = Promise.resolve()
    for (let seq = 1; seq <= perSession; seq += 1) {
      // Most of what is run reads.
      const which = seq % 10 < 6 ? seq % 2 : seq % statements.length
      const text = (statements[which] ?? '').replace('#', String(at * perSession + seq))
      const command = database.command(text, false)
      const askedAtMs = Date.now()
      const facts = buildSqlFacts({ chain, connection, client, now: new Date(askedAtMs), command })
      const unknown = command.effects.class === 'unknown'
      const input = { subject: 'sql', connection, chain, facts, unknown } as const
      const { effect, rules: decided, observed } = decidePolicies(compiled, input)
      const { class: coarse, verb, objects } = command.effects
      stored = session.command(
        {
          id: command.id,
          decision: makeId<DecisionId>('d', randomBytes),
          effect,
          rules: [...decided, ...observed],
          class: coarse,
          verb,
          objects,
          text: Buffer.from(text),
          parameters: [],
          formats: [],
          policyVersion: 1,
          unit: 'query',
          facts: recorder.factsOf(command, chain, askedAtMs),
        },
        'read',
      )
      if (effect === 'allow')
        session.note({
          kind: 'response.end',
          seq,
          status: 'complete',
          tag: 'X',
          rows: 1,
          bytes: 64,
        })
      else session.note({ kind: 'refused', seq, code: 'SP_POLICY_BLOCKED', message: 'no' })
    }
    session.close('ended')
    await stored
    if (at % 100 === 0) process.stderr.write(`\r${at * perSession} recorded`)
  }
  await journal.close()
  await classifier.close()
}

const dir = await mkdtemp(join(tmpdir(), 'sallyport-simulate-'))
const store = await openPgliteStore(join(dir, 'store'))
try {
  const guardrails = await readFile('guardrails/postgres.yaml', 'utf8')
  const before = loaded(guardrails)
  const versions = new PolicyVersions(store)
  await versions.keep(before, [], '')
  const journalDir = join(dir, 'journal')
  const folder = join(dir, 'recordings')
  await mkdir(journalDir)
  await mkdir(folder)
  await timed('recorded', () => record(journalDir, compiledAgain(before)))
  process.stdout.write(`journals ${await megabytes(journalDir)} MB\n`)
  const recordings = new DirectoryRecordingStore(folder)
  const shipper = new Shipper({
    journalDir,
    recordingKey,
    parts: new ShippedParts(store),
    anchors: { load: async () => Promise.resolve(undefined), save: async () => Promise.resolve() },
    recordings,
    signingKeys: await KeyRing.open(dir),
    index: new Observers([]),
    now: () => Date.now(),
    onFault: (error) => process.stderr.write(`${String(error)}\n`),
  })
  await shipper.open()
  await timed('shipped', async () => await shipper.round())
  process.stdout.write(`recordings ${await megabytes(folder)} MB\n`)
  const recorded = { journalDir, recordingKey, recordings, hold: () => shipper.hold() }
  for (const [name, more] of [
    ['stricter', stricter],
    ['reads the text', byText],
  ] as const) {
    const after = loaded(guardrails, more)
    const cpu = process.cpuUsage()
    for await (const event of simulate({ recorded, versions, store }, after, 0)) {
      if (event.kind === 'progress') continue
      const { commands, tookMs, changes, unchanged, faultCount } = event
      const kinds = changes.map((change) => `${change.kind} ${change.commands}`).join(', ')
      const { user, system } = process.cpuUsage(cpu)
      process.stdout.write(
        `${name}: ${commands} commands in ${(tookMs / 1000).toFixed(1)} s, ${((user + system) / 1e6).toFixed(1)} s of processor time; ${kinds}; unchanged ${unchanged}; faults ${faultCount}\n`,
      )
    }
    await timed(`${name}, each decided again`, async () => {
      process.stdout.write(
        `${JSON.stringify(await brute(compiledAgain(before), compiledAgain(after)))}\n`,
      )
    })
  }

  /** Nothing is kept in between. */
  async function brute(was: CompiledPolicies, is: CompiledPolicies): Promise<object> {
    const counts: Record<string, number> = {}
    let facts = new FactsReader()
    for await (const item of readRecordings(recorded)) {
      if (item.kind === 'problem') continue
      const { entry } = item
      if (entry.kind === 'session.opened') facts = new FactsReader()
      if (entry.kind === 'facts') facts.take(entry)
      const source = entry.kind === 'command' ? facts.source(entry) : undefined
      if (source === undefined) continue
      const { connection, chain, command } = source
      const input = {
        subject: 'sql',
        connection,
        chain,
        facts: buildSqlFacts(source),
        unknown: command.effects.class === 'unknown',
      } as const
      const key = `${decidePolicies(was, input).effect} → ${decidePolicies(is, input).effect}`
      counts[key] = (counts[key] ?? 0) + 1
    }
    return counts
  }
} finally {
  await store.close()
  await rm(dir, { recursive: true, force: true })
}

function loaded(...texts: string[]): readonly Policy[] {
  const result = readPolicyFiles(texts.map((text, at) => ({ file: `${at}.yaml`, text })))
  if (result.kind === 'refused') throw new Error(JSON.stringify(result.problems))
  return result.policies
}

async function timed(name: string, work: () => Promise<unknown>): Promise<void> {
  const start = performance.now()
  await work()
  process.stdout.write(`${name} in ${((performance.now() - start) / 1000).toFixed(1)} s\n`)
}

async function megabytes(folder: string): Promise<number> {
  const names = await readdir(folder, { recursive: true, withFileTypes: true })
  const sizes = names
    .filter((each) => each.isFile())
    .map(async (each) => (await stat(join(each.parentPath, each.name))).size)
  return Math.round((await Promise.all(sizes)).reduce((sum, size) => sum + size, 0) / 1e6)
}

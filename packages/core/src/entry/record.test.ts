import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  ByteWriter,
  ChainVerifier,
  COMMAND_UNITS,
  decodeEntry,
  encodeEntry,
  encodeFileHeader,
  EntryChain,
  FACT_ACTORS,
  HOLD_OUTCOMES,
  JournalScanner,
  RESPONSE_STATUSES,
  unwrapSessionKey,
  wrapSessionKey,
  type ApprovalId,
  type CommandId,
  type DecisionId,
  type Entry,
  type SessionId,
} from '../index.ts'

const key = Buffer.alloc(32, 7)
const text = fc.string({ unit: 'binary', maxLength: 60 })
const id = text.map((value) => value as CommandId & DecisionId & SessionId)
const count = fc.maxSafeNat()
const bytes = fc.uint8Array({ maxLength: 300 }).map((value) => Buffer.from(value))
const strings = fc.array(text, { maxLength: 4 })

const command = fc.record({
  kind: fc.constant('command' as const),
  id,
  seq: count,
  decision: id,
  effect: fc.constantFrom('allow' as const, 'approve' as const, 'block' as const),
  rules: strings,
  class: fc.constantFrom('read' as const, 'ddl' as const),
  verb: text,
  objects: fc.array(strings, { maxLength: 3 }),
  text: bytes,
  parameters: fc.array(fc.option(bytes), { maxLength: 4 }),
  formats: fc.array(fc.nat(1), { maxLength: 4 }),
  policyVersion: count,
  unit: fc.constantFrom(...COMMAND_UNITS),
})
const withFacts = fc
  .tuple(
    command,
    fc.record(
      {
        session: count,
        effects: count,
        inTransaction: fc.boolean(),
        bytes: count,
        askedAtMs: fc.nat(),
      },
      { requiredKeys: ['session', 'effects', 'inTransaction', 'bytes'] },
    ),
  )
  .map(([entry, facts]) => ({ ...entry, facts }))
const facts = fc.record({
  kind: fc.constant('facts' as const),
  number: count,
  about: fc.constantFrom('session' as const, 'effects' as const),
  json: text,
})
const opened = fc.record({
  kind: fc.constant('session.opened' as const),
  session: id,
  worker: count,
  connection: text,
  database: text,
  credential: text,
  chain: fc.array(fc.record({ id: text, name: text }), { maxLength: 4 }),
  level: fc.nat(4),
  application: text,
  source: text,
  tls: fc.boolean(),
  wrappedKey: bytes,
})
const responseEnd = fc.record(
  {
    kind: fc.constant('response.end' as const),
    seq: count,
    status: fc.constantFrom(...RESPONSE_STATUSES),
    tag: text,
    rows: count,
    bytes: count,
    sqlState: fc.constant('42501'),
    data: fc.uint8Array({ minLength: 1, maxLength: 40 }).map((array) => Buffer.from(array)),
  },
  { requiredKeys: ['kind', 'seq', 'status', 'tag', 'rows', 'bytes'], noNullPrototype: true },
)
const entries: fc.Arbitrary<Entry> = fc.oneof(
  command,
  withFacts,
  facts,
  opened,
  responseEnd,
  fc.record({
    kind: fc.constantFrom('response.data' as const, 'copy.data' as const),
    seq: count,
    bytes,
  }),
  fc.record({ kind: fc.constant('masked' as const), seq: count, rule: text, values: count }),
  fc.record({
    kind: fc.constant('refused' as const),
    seq: count,
    code: fc.constant('SP_LIMIT' as const),
    message: text,
  }),
  fc.record({
    kind: fc.constant('held' as const),
    seq: count,
    approval: text.map((id) => id as ApprovalId),
    wants: text,
    untilMs: count,
  }),
  fc.record({
    kind: fc.constant('answered' as const),
    seq: count,
    approval: text.map((id) => id as ApprovalId),
    outcome: fc.constantFrom(...HOLD_OUTCOMES),
    by: fc.array(text, { maxLength: 3 }),
    note: text,
  }),
  fc.record({ kind: fc.constant('cancelled' as const), seq: count }),
  fc.record({ kind: fc.constant('lineage' as const), seq: count, text }),
  fc.record({ kind: fc.constant('notice' as const), text }),
  fc.record({
    kind: fc.constant('fact' as const),
    what: text,
    by: fc.constantFrom(...FACT_ACTORS),
    actor: text,
    chain: fc.array(fc.record({ id: text, name: text }), { maxLength: 4 }),
    subject: text,
    source: text,
    detail: text,
  }),
  fc.record({
    kind: fc.constant('session.closed' as const),
    reason: text,
    commands: count,
    blocked: count,
    maskedValues: count,
  }),
)

function encode(list: readonly Entry[]): { file: Buffer; ends: number[] } {
  const out = new ByteWriter(64)
  const chain = new EntryChain(key)
  const ends: number[] = []
  for (const entry of list) {
    encodeEntry(out, entry, { session: 3, timeMs: 1234.5 }, chain)
    ends.push(out.length)
  }
  return { file: Buffer.from(out.view()), ends }
}

/** The entries up to the first that is short, bad or not the next of the chain. */
function accepted(file: Buffer): Entry[] {
  const verifier = new ChainVerifier(key)
  const found: Entry[] = []
  for (let at = 0; ;) {
    const record = decodeEntry(file, at)
    if (record.kind !== 'record' || !verifier.accept(record)) return found
    found.push(record.entry)
    at = record.next
  }
}

test('what is encoded is decoded, and every hash verifies with an HMAC of another make', () => {
  fc.assert(
    fc.property(fc.array(entries, { maxLength: 8 }), (list) => {
      const plain = (value: unknown): unknown => structuredClone(value)
      const found = accepted(encode(list).file)
      assert.equal(found.length, list.length)
      for (const [index, entry] of found.entries())
        assert.deepEqual(plain(entry), plain(list[index]))
    }),
  )
})

test('a flip of any byte is found at the entry it stands in', () => {
  const list: Entry[] = [
    { kind: 'notice', text: 'one' },
    { kind: 'response.data', seq: 1, bytes: Buffer.from('two') },
    { kind: 'masked', seq: 1, rule: 'pii/email', values: 3 },
  ]
  const { file, ends } = encode(list)
  for (let at = 0; at < file.length; at += 1) {
    for (const mask of [1, 128, 255]) {
      const changed = Buffer.from(file)
      changed.writeUInt8(changed.readUInt8(at) ^ mask, at)
      assert.equal(
        accepted(changed).length,
        ends.findIndex((end) => at < end),
        `byte ${at}`,
      )
    }
  }
})

test('a cut at any byte drops the entry that is torn and no other, whatever the chunks', () => {
  const list: Entry[] = [1, 2, 3].map((seq) => ({ kind: 'cancelled', seq }))
  const { file, ends } = encode(list)
  const header = encodeFileHeader({ node: 'n', worker: 1, run: 1 })
  fc.assert(
    fc.property(fc.nat(file.length), fc.integer({ min: 1, max: 90 }), (cut, step) => {
      const scanner = new JournalScanner()
      const whole = Buffer.concat([header, file.subarray(0, cut)])
      let found = 0
      for (let at = 0; at < whole.length; at += step) {
        scanner.push(whole.subarray(at, at + step))
        for (let next = scanner.next(); next.kind !== 'more'; next = scanner.next()) {
          assert.notEqual(next.kind, 'bad')
          if (next.kind === 'record') found += 1
        }
      }
      assert.equal(found, ends.filter((end) => end <= cut).length)
    }),
  )
})

test('entries that are swapped, left out or repeated break the chain', () => {
  const { file, ends } = encode([1, 2, 3].map((seq) => ({ kind: 'cancelled', seq })))
  const part = (index: number): Buffer => file.subarray(ends[index - 1] ?? 0, ends[index])
  assert.equal(accepted(Buffer.concat([part(0), part(2), part(1)])).length, 1)
  assert.equal(accepted(Buffer.concat([part(0), part(2)])).length, 1)
  assert.equal(accepted(Buffer.concat([part(0), part(0), part(1)])).length, 1)
})

test('an entry that cannot be encoded leaves buffer and chain as they were', () => {
  const out = new ByteWriter()
  const chain = new EntryChain(key)
  const bad: Entry = { kind: 'cancelled', seq: -1 }
  assert.throws(() => encodeEntry(out, bad, { session: 1, timeMs: 0 }, chain), RangeError)
  assert.equal(out.length, 0)
  assert.equal(chain.length, 0)
})

test('a session key opens with its recording key and its session only', () => {
  const recordingKey = Buffer.alloc(32, 1)
  const wrapped = wrapSessionKey(recordingKey, key, 's_1')
  assert.deepEqual(unwrapSessionKey(recordingKey, wrapped, 's_1'), key)
  assert.equal(unwrapSessionKey(recordingKey, wrapped, 's_2'), undefined)
  assert.equal(unwrapSessionKey(Buffer.alloc(32, 2), wrapped, 's_1'), undefined)
  assert.equal(unwrapSessionKey(recordingKey, wrapped.subarray(0, 20), 's_1'), undefined)
})

import fc from 'fast-check'
import { COARSE_CLASSES, COMMAND_UNITS, FACT_ACTORS, RESPONSE_STATUSES } from '@sallyport/core'
import { FACTS, type FactName } from '../../ledger/facts.ts'
import type { ExportFact, FactSession } from './export-fact.ts'

const id = (prefix: string): fc.Arbitrary<string> =>
  fc.stringMatching(/^[0-9a-hjkmnp-tv-z]{13}$/u).map((text) => `${prefix}_${text}`)
const name = fc.string({ minLength: 1, maxLength: 12, unit: 'binary' })
const time = fc.integer({ min: 1, max: 4_000_000_000_000 })

export const anySession: fc.Arbitrary<FactSession> = fc.record(
  {
    id: id('s'),
    openedAtMs: time,
    connection: fc.stringMatching(/^[a-z][a-z0-9-]{0,10}$/u),
    database: name,
    credential: id('cr'),
    chain: fc.array(fc.record({ id: id('a'), name }), { minLength: 1, maxLength: 4 }),
    level: fc.nat(4),
    application: fc.oneof(fc.constant(''), name),
    source: fc.constantFrom('', '127.0.0.1', '::1'),
  },
  { noNullPrototype: true },
)

const about = { uid: name, position: fc.nat(), atMs: time, session: anySession }

const toldFact = fc.record({
  what: fc.constantFrom(...(Object.keys(FACTS) as FactName[])),
  by: fc.constantFrom(...FACT_ACTORS),
  actor: fc.oneof(fc.constant(''), name),
  subject: fc.oneof(fc.constant(''), name),
  source: fc.constantFrom('', '::1'),
  chain: fc.array(fc.record({ id: id('a'), name }), { maxLength: 3 }),
  detail: fc.constantFrom({}, { reason: 'why not' }, { why: 'expired', reason: '' }),
})

/** Any fact that a recording can give. */
export const anyFact: fc.Arbitrary<ExportFact> = fc.oneof(
  fc.record({ kind: fc.constant('session.opened' as const), ...about }),
  fc.record({ kind: fc.constant('fact' as const), told: toldFact, ...about }),
  fc.record({
    kind: fc.constant('session.closed' as const),
    reason: name,
    commands: fc.nat(),
    blocked: fc.nat(),
    maskedValues: fc.nat(),
    ...about,
  }),
  fc.record({
    kind: fc.constant('command' as const),
    command: fc.record(
      {
        id: id('c'),
        seq: fc.nat(),
        effect: fc.constantFrom('allow', 'approve', 'block'),
        rules: fc.array(name, { maxLength: 3 }),
        class: fc.constantFrom(...COARSE_CLASSES),
        verb: fc.constantFrom('', 'select', 'copy_from', 'drop', 'delete', 'insert', 'vacuum'),
        objects: fc.array(fc.array(name, { minLength: 1, maxLength: 3 }), { maxLength: 3 }),
        unit: fc.constantFrom(...COMMAND_UNITS),
        policyVersion: fc.nat(),
        startedAtMs: time,
        status: fc.constantFrom(...RESPONSE_STATUSES, 'refused' as const, 'unknown' as const),
        code: fc.constantFrom('57014', 'SP_POLICY_BLOCKED'),
        rows: fc.nat(),
        bytes: fc.nat(),
        masked: fc.array(fc.record({ rule: name, values: fc.nat() }), { maxLength: 2 }),
        text: name,
      },
      {
        requiredKeys: [
          ...(['id', 'seq', 'effect', 'rules', 'class', 'verb', 'objects', 'unit'] as const),
          ...(['policyVersion', 'startedAtMs', 'status', 'rows', 'bytes', 'masked'] as const),
        ],
        noNullPrototype: true,
      },
    ),
    ...about,
  }),
)

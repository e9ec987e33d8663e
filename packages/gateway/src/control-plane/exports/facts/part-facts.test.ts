import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import fc from 'fast-check'
import type { DecodedRecord, Entry, SessionId } from '@sallyport/core'
import { commandEntry, endEntry, openedEntry } from '../../recordings/index/search.fixture.ts'
import type { ExportFact, FactCommand } from './export-fact.ts'
import { PartFacts } from './part-facts.ts'

const empty = new Uint8Array()
const ledgerId = 'l_0000000000000' as SessionId

function recordsOf(entries: readonly Entry[]): DecodedRecord[] {
  return [openedEntry('s_1'), ...entries].map((entry, position) => ({
    kind: 'record',
    entry,
    session: 1,
    position,
    timeMs: 1000 + position,
    body: empty,
    hash: empty,
    next: 0,
  }))
}

function begun(records: readonly DecodedRecord[]): PartFacts {
  const [first] = records
  const part = first === undefined ? undefined : PartFacts.begin('0-1-1', first)
  assert.ok(part !== undefined)
  return part
}

function factsOf(entries: readonly Entry[], withText = false): ExportFact[] {
  const records = recordsOf(entries)
  const part = begun(records)
  return records.flatMap((record) => part.take(record, withText))
}

function commandsOf(facts: readonly ExportFact[]): FactCommand[] {
  return facts.flatMap((fact) => (fact.kind === 'command' ? [fact.command] : []))
}

const closed: Entry = {
  kind: 'session.closed',
  reason: 'caller left',
  commands: 1,
  blocked: 0,
  maskedValues: 0,
}
const refused: Entry = { kind: 'refused', seq: 1, code: 'SP_POLICY_BLOCKED', message: 'no' }

suite('facts of a recording', () => {
  test('tell a command once it has ended, with its rows and masks', () => {
    const masked: Entry = { kind: 'masked', seq: 1, rule: 'p/mail', values: 2 }
    const end = endEntry(1, { rows: 3, bytes: 40 })
    const facts = factsOf([commandEntry(1, 'select 1'), masked, end, closed])
    assert.deepEqual(
      facts.map(({ kind, uid }) => [kind, uid]),
      [
        ['session.opened', 's_1/0-1-1/0'],
        ['command', 's_1/0-1-1/3'],
        ['session.closed', 's_1/0-1-1/4'],
      ],
    )
    const [command] = commandsOf(facts)
    assert.deepEqual(
      [command?.rows, command?.bytes, command?.masked, command?.status, command?.text],
      [3, 40, [{ rule: 'p/mail', values: 2 }], 'complete', undefined],
    )
  })

  test('tell a refusal with its code, and a text where one is asked for', () => {
    const blocked = commandEntry(1, 'drop database shop', { effect: 'block' })
    const [command] = commandsOf(factsOf([blocked, refused], true))
    assert.deepEqual(
      [command?.status, command?.code, command?.text],
      ['refused', 'SP_POLICY_BLOCKED', 'drop database shop'],
    )
  })

  test('tell each end of a text of several statements', () => {
    const ends = [endEntry(1, { rows: 1 }), endEntry(1, { rows: 2 })]
    const facts = factsOf([commandEntry(1, 'select 1; select 2'), ...ends, closed])
    assert.deepEqual(
      commandsOf(facts).map(({ rows }) => rows),
      [1, 2],
    )
  })

  test('tell a command without an answer, but not a Parse that was allowed', () => {
    const parse = { ...commandEntry(1, 'select 1'), unit: 'parse' } as const
    const lost = commandEntry(2, 'select 2')
    const next = commandEntry(3, 'select 3')
    const facts = factsOf([parse, lost, next, endEntry(3), commandEntry(4, 'select 4'), closed])
    assert.deepEqual(
      commandsOf(facts).map(({ seq, status }) => [seq, status]),
      [
        [2, 'unknown'],
        [3, 'complete'],
        [4, 'unknown'],
      ],
    )
  })

  test('of a ledger are its entries alone', () => {
    const told = { by: 'owner', actor: 'dana', chain: [], subject: 'a_1', source: '::1' } as const
    const entries: Entry[] = [
      { kind: 'fact', what: 'agent.revoked', ...told, detail: '{"reason":"enough"}' },
      { kind: 'fact', what: 'agent.ended', ...told, detail: 'torn' },
      closed,
    ]
    const opened = openedEntry('s_1')
    const records = recordsOf(entries).map((record) =>
      record.position === 0 ? { ...record, entry: { ...opened, session: ledgerId } } : record,
    )
    const part = begun(records)
    const facts = records.flatMap((record) => part.take(record, false))
    assert.deepEqual(
      facts.map((fact) => (fact.kind === 'fact' ? [fact.told.what, fact.told.detail] : fact.kind)),
      [
        ['agent.revoked', { reason: 'enough' }],
        ['agent.ended', { text: 'torn' }],
      ],
    )
  })

  test('are the same wherever the reading was broken off and gone on with', () => {
    const step = fc.oneof(
      fc.constant('command' as const),
      fc.constant('end' as const),
      fc.constant('masked' as const),
      fc.constant('refused' as const),
      fc.constant('notice' as const),
    )
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 30 }),
        fc.array(fc.nat(31), { maxLength: 3 }),
        (steps, cuts) => {
          let seq = 0
          let ended = 0
          const entries = steps.map((each): Entry => {
            if (each === 'command') return commandEntry((seq += 1), 'select 1')
            if (each === 'notice' || seq === 0) return { kind: 'notice', text: 'x' }
            if (each === 'masked') return { kind: 'masked', seq, rule: 'r', values: 1 }
            ended = Math.min(seq, ended + 1)
            return each === 'end' ? endEntry(ended) : { ...refused, seq: ended }
          })
          const all = factsOf([...entries, closed])
          const records = recordsOf([...entries, closed])
          let part = begun(records)
          const found: ExportFact[] = []
          for (const record of records) {
            if (cuts.includes(record.position))
              part = PartFacts.resume('0-1-1', JSON.parse(JSON.stringify(part.state)), part.next)
            // What was taken before comes again after a restart.
            if (cuts.includes(record.position))
              for (const before of records.slice(0, record.position))
                assert.deepEqual(part.take(before, false), [])
            found.push(...part.take(record, false))
          }
          assert.deepEqual(found, all)
          assert.equal(new Set(all.map(({ uid }) => uid)).size, all.length)
          // Each command is told, and nothing else is.
          assert.deepEqual(new Set(commandsOf(all).map((each) => each.seq)).size, seq)
        },
      ),
    )
  })
})

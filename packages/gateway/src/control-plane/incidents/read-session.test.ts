import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { test } from 'node:test'
import type {
  CommandEntry,
  CommandId,
  DecisionId,
  Entry,
  SessionId,
  StoredRecord,
} from '@sallyport/core'
import { Gathered } from './gathered.ts'
import { readSession } from './read-session.ts'

const opened = (level: number): Entry => ({
  kind: 'session.opened',
  session: 's_one' as SessionId,
  worker: 0,
  connection: 'shop',
  database: 'main',
  credential: 'c',
  chain: [
    { id: 'a_1', name: 'dana' },
    { id: 'a_2', name: 'scout' },
  ],
  level,
  application: 'psql',
  source: '127.0.0.1',
  tls: true,
  wrappedKey: new Uint8Array(),
})

const closed = (reason: string): Entry => ({
  kind: 'session.closed',
  reason,
  commands: 0,
  blocked: 0,
  maskedValues: 0,
})

function command(seq: number, text: string, more: Partial<CommandEntry> = {}): Entry {
  return {
    kind: 'command',
    id: `c_${seq}` as CommandId,
    seq,
    decision: 'd_1' as DecisionId,
    effect: 'allow',
    rules: [],
    class: /^(?:update|delete)/u.test(text) ? 'write' : 'read',
    verb: text.split(' ')[0] ?? '',
    objects: [],
    text: Buffer.from(text),
    parameters: [],
    formats: [],
    policyVersion: 1,
    unit: 'query',
    ...more,
  }
}

function end(seq: number, tag: string, rows = 0, data?: Uint8Array): Entry {
  return { kind: 'response.end', seq, status: 'complete', tag, rows, bytes: 9, data }
}

function failed(seq: number): Entry {
  return {
    kind: 'response.end',
    seq,
    status: 'error',
    tag: '',
    rows: 0,
    bytes: 9,
    sqlState: '23505',
  }
}

function message(type: string, ...parts: readonly (Buffer | number)[]): Buffer {
  const body = Buffer.concat(
    parts.map((part) => (typeof part === 'number' ? Buffer.from([part >> 8, part & 255]) : part)),
  )
  const head = Buffer.alloc(5)
  head.write(type)
  head.writeUInt32BE(body.length + 4, 1)
  return Buffer.concat([head, body])
}

function answer(names: readonly string[], rows: readonly (readonly string[])[]): Buffer {
  const columns = names.map((name) => Buffer.concat([Buffer.from(`${name}\0`), Buffer.alloc(18)]))
  const long = (text: string): Buffer => {
    const length = Buffer.alloc(4)
    length.writeInt32BE(Buffer.byteLength(text))
    return Buffer.concat([length, Buffer.from(text)])
  }
  const data = rows.map((row) => message('D', row.length, ...row.map(long)))
  return Buffer.concat([message('T', names.length, ...columns), ...data])
}

async function read(
  entries: readonly Entry[],
  range: { readonly fromMs?: number; readonly untilMs?: number } = {},
  unverifiedFrom = Infinity,
): Promise<Gathered> {
  async function* records(): AsyncGenerator<StoredRecord> {
    for (const [position, entry] of entries.entries()) {
      const verified = position < unverifiedFrom
      yield await Promise.resolve({
        kind: 'entry',
        position,
        timeMs: position * 1000,
        verified,
        entry,
      })
    }
  }
  const gathered = new Gathered()
  const { fromMs = -Infinity, untilMs = Infinity } = range
  await readSession({ session: 's_one', fromMs, untilMs, isOpen: false }, records(), gathered)
  return gathered
}

const whole = async (...entries: readonly Entry[]): Promise<Gathered> =>
  await read([opened(2), ...entries, closed('ended')])

test('what was taken back is told apart from what was committed and done', async () => {
  const { changed } = await whole(
    command(1, 'update a'),
    end(1, 'UPDATE 2'),
    command(2, 'begin'),
    end(2, 'BEGIN'),
    command(3, 'update b'),
    end(3, 'UPDATE 3'),
    command(4, 'commit'),
    end(4, 'COMMIT'),
    command(5, 'begin'),
    end(5, 'BEGIN'),
    command(6, 'update c'),
    end(6, 'UPDATE 4'),
    // A transaction that has failed answers a COMMIT so.
    command(7, 'update d'),
    failed(7),
    command(8, 'commit'),
    end(8, 'ROLLBACK'),
    command(9, 'begin'),
    end(9, 'BEGIN'),
    command(10, 'update e'),
    end(10, 'UPDATE 5'),
    command(11, 'rollback to savepoint s'),
    end(11, 'ROLLBACK'),
    command(12, 'commit'),
    end(12, 'COMMIT'),
    command(13, 'begin'),
    end(13, 'BEGIN'),
    command(14, 'delete f'),
    end(14, 'DELETE 6'),
  )
  assert.deepEqual(
    changed.map(({ seq, changed: rows, outcome }) => [seq, rows, outcome]),
    [
      [1, 2, 'done'],
      [3, 3, 'committed'],
      [7, undefined, 'failed'],
      [6, 4, 'rolled back'],
      [10, 5, 'unknown'],
      [14, 6, 'rolled back'],
    ],
  )
})

test('a statement that is only prepared changes nothing; one that was blocked neither', async () => {
  const { changed, stopped } = await whole(
    command(1, 'update a', { unit: 'parse' }),
    end(1, ''),
    command(2, 'update a', { effect: 'block', rules: ['p/no'] }),
    { kind: 'refused', seq: 2, code: 'SP_POLICY_BLOCKED', message: 'no' },
  )
  assert.deepEqual(changed, [])
  assert.deepEqual(
    stopped.map(({ seq, rules, refused }) => [seq, rules, refused?.code]),
    [[2, ['p/no'], 'SP_POLICY_BLOCKED']],
  )
})

test('masked columns count as masked and others are looked at, in every row and whatever the pieces', async () => {
  const rows = Array.from({ length: 250 }, (_, at) => [
    `made-up@shop.example`,
    `mail u${at}@shop.example`,
  ])
  const bytes = answer(['email', 'note'], rows)
  const pieces: Entry[] = []
  for (let at = 0; at < bytes.length; at += 777)
    pieces.push({ kind: 'response.data', seq: 1, bytes: bytes.subarray(at, at + 777) })
  const { returned } = await whole(
    command(1, 'select'),
    { kind: 'lineage', seq: 1, text: 'column 1 email: public.c.email, masked with redact by p/m' },
    ...pieces,
    { kind: 'masked', seq: 1, rule: 'p/m', values: 250 },
    end(1, 'SELECT 250', 250),
  )
  assert.deepEqual(
    [...returned.values()].map(({ how, what, columns, values, commands }) => [
      how,
      what,
      columns,
      values,
      commands,
    ]),
    [
      ['clear', 'email', ['note'], 250, [1]],
      ['masked', 'p/m', ['public.c.email'], 250, [1]],
    ],
  )
})

const unknownOf = ({ unknown }: Gathered): string =>
  unknown.map(({ what, seq }) => `${seq ?? ''} ${what}`).join('\n')

test('what is not known is told: attribution, cuts, answers that are not there, statements that could not be read', async () => {
  const cut = await read([opened(1), command(1, 'update a'), closed('aborted')])
  assert.match(unknownOf(cut), /^1 no end of its answer[^]*attribution is L1[^]*its worker died/mu)
  assert.deepEqual(cut.commands.length, 1)
  assert.match(unknownOf(await read([opened(2), command(1, 'select')])), /it has no end/)
  assert.match(
    unknownOf(await read([command(1, 'select')])),
    /beginning of the recording is missing/,
  )
  const rest = await whole(
    command(1, 'select'),
    end(1, 'SELECT 2', 2),
    command(2, 'copy'),
    { kind: 'response.data', seq: 2, bytes: Buffer.from('d') },
    end(2, 'COPY 2', 2),
    command(3, 'x', { class: 'unknown', effect: 'block' }),
    command(4, 'update a', { unit: 'execute' }),
    end(4, 'UPDATE 1'),
    command(5, 'update b', { unit: 'execute' }),
    failed(5),
  )
  assert.match(unknownOf(rest), /^1 its answer is not recorded[^]*^2 .*copy data/mu)
  assert.match(unknownOf(rest), /^3 the statement could not be read[^]*sent along with it/mu)
})

test('commands outside of the time are left out and said; entries that do not verify are counted', async () => {
  const entries = [
    opened(2),
    command(1, 'select 1'),
    end(1, 'SELECT 1'),
    command(2, 'select 2'),
    end(2, 'SELECT 1'),
    closed('ended'),
  ]
  const late = await read(entries, { fromMs: 2500 }, 4)
  assert.deepEqual(
    late.commands.map(({ seq }) => seq),
    [2],
  )
  assert.match(unknownOf(late), /1 commands are outside/)
  assert.deepEqual([late.entries, late.unverified], [6, 2])
})

import {
  encodeBind,
  encodeClose,
  encodeCopyData,
  encodeCopyDone,
  encodeCopyFail,
  encodeDescribe,
  encodeExecute,
  encodeFlush,
  encodeFunctionCall,
  encodeParse,
  encodeQuery,
  encodeSync,
  type BackendMessage,
} from '@sallyport/wire'
import type { WireCaller } from './wire-caller.ts'

/** Sends messages, then reads up to a message of the last kind, `times` over. */
export interface Turn {
  readonly send: readonly Buffer[]
  readonly until?: BackendMessage['kind']
  readonly times?: number
}

export async function takeTurn(caller: WireCaller, turn: Turn): Promise<void> {
  const { send, until = 'ReadyForQuery', times = 1 } = turn
  caller.send(...send)
  for (let round = 0; round < times; round += 1) await caller.until(until)
}

/** What the workload needs; it leaves its tables as it found them, so that it can run again and read the same. */
export const benignSeed = `
create table ledger(id int primary key, name text, amount numeric, data bytea, tags text[]);
insert into ledger select g, 'entry ü€😀 ' || g, g * 1.25, decode(md5(g::text), 'hex'), array['a', null, 'b' || g]
  from generate_series(1, 40) g;
create table scratch(id int, note text);
create table secrets(id int, hidden text);
`

const parse = (text: string, statement = '', parameterTypes: readonly number[] = []): Buffer =>
  encodeParse({ statement, text, parameterTypes: [...parameterTypes] })
const bind = (more: Partial<Parameters<typeof encodeBind>[0]> = {}): Buffer =>
  encodeBind({
    portal: '',
    statement: '',
    parameterFormats: [],
    parameters: [],
    resultFormats: [],
    ...more,
  })
const execute = (portal = '', rowsMax = 0): Buffer => encodeExecute({ portal, rowsMax })
const describe = (target: 'statement' | 'portal', name = ''): Buffer =>
  encodeDescribe({ target, name })
const close = (target: 'statement' | 'portal', name = ''): Buffer => encodeClose({ target, name })
const text = (...values: readonly string[]): Buffer[] => values.map((value) => Buffer.from(value))
const int4 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}
const sync = encodeSync()
const int4Oid = 23
const byteaOid = 17
/** `int4pl`, which adds two numbers, has had this oid in every version. */
const int4plOid = 177

const simple = (...statements: readonly string[]): Turn[] =>
  statements.map((statement) => ({ send: [encodeQuery(statement)] }))

/** Nothing that a rule could mind: what drivers and tools send all day, and the errors that they meet. */
export const everydayTurns: readonly Turn[] = [
  // Simple protocol: rows, several statements, nothing at all, errors, notices.
  ...simple(
    "select 1 as one, null as none, $$dollar$$ as d, E'esc\\naped' as e",
    'select * from ledger order by id',
    'select count(*) from ledger; select 2 where false; update scratch set note = null',
    '',
    '  ;; -- nothing but a comment',
    'select 1/0',
    'select * from absent',
    'select id, ledger.name from ledger where id = 5 -- with a comment',
    'create table if not exists scratch(id int)',
    'set work_mem = 4096',
    'show work_mem',
    'reset work_mem',
    "set datestyle = 'German'",
    'reset datestyle',
  ),
  // Transactions, savepoints, cursors.
  ...simple(
    'begin',
    "insert into scratch values (1, 'one'), (2, 'two') returning *",
    'savepoint here',
    'insert into ledger(id) values (1)',
    'select 1',
    'rollback to savepoint here',
    'release here',
    'declare walk scroll cursor for select id, name from ledger order by id',
    'fetch 3 from walk',
    'fetch backward 2 from walk',
    'move 10 in walk',
    'fetch next from walk',
    'close walk',
    'rollback',
    'begin; select 1; commit',
    'commit',
    'declare outside cursor with hold for select id from ledger order by id',
    'fetch 2 from outside',
    'close outside',
  ),
  // SQL-level prepared statements.
  ...simple(
    'prepare find(int) as select name from ledger where id = $1',
    'execute find(3)',
    'execute find(4)',
    'deallocate find',
  ),
  // Notifications of the session's own.
  ...simple('listen news', "notify news, 'to myself'", 'unlisten *'),
  // Extended protocol, unnamed.
  {
    send: [
      parse('select $1::int + 1, $2::text'),
      describe('statement'),
      bind({ parameters: text('41', 'ü') }),
      describe('portal'),
      execute(),
      sync,
    ],
  },
  // Named statement, run often with binary parameters and results.
  {
    send: [
      parse('select id, name, data from ledger where id = $1', 'by_id', [int4Oid]),
      describe('statement', 'by_id'),
      sync,
    ],
  },
  ...[1, 2, 3].map((id) => ({
    send: [
      bind({
        statement: 'by_id',
        parameterFormats: [1],
        parameters: [int4(id)],
        resultFormats: [1],
      }),
      execute(),
      sync,
    ],
  })),
  // Described beforehand, as drivers do with the portal of their own name.
  {
    send: [
      bind({
        portal: 'p',
        statement: 'by_id',
        parameterFormats: [1],
        parameters: [int4(9)],
        resultFormats: [0, 1, 0],
      }),
      describe('portal', 'p'),
      execute('p'),
      close('portal', 'p'),
      sync,
    ],
  },
  {
    send: [
      parse('insert into scratch values ($1, $2)', 'add', [int4Oid, 0]),
      ...[1, 2, 3, 4].flatMap((id) => [
        bind({ statement: 'add', parameterFormats: [1, 0], parameters: [int4(id), null] }),
        execute(),
      ]),
      sync,
    ],
  },
  { send: [parse('delete from scratch'), bind(), execute(), sync] },
  {
    send: [
      parse('select $1', '', [byteaOid]),
      bind({ parameterFormats: [1], parameters: [Buffer.from([0, 255, 39])] }),
      execute(),
      sync,
    ],
  },
  // A portal in portions inside a transaction; Flush instead of Sync.
  ...simple('begin'),
  {
    send: [
      parse('select id from ledger order by id'),
      bind({ portal: 'slow' }),
      describe('portal', 'slow'),
      execute('slow', 3),
      encodeFlush(),
    ],
    until: 'PortalSuspended',
  },
  { send: [execute('slow', 2), encodeFlush()], until: 'PortalSuspended' },
  { send: [execute('slow'), sync] },
  ...simple('commit'),
  // Several Syncs in one go, an error in the middle of a batch, and what is dropped for it.
  {
    send: [
      parse('select 1'),
      bind(),
      execute(),
      sync,
      parse('select 1/$1::int'),
      bind({ parameters: text('0') }),
      execute(),
      parse('select 2'),
      bind(),
      execute(),
      sync,
      parse('select 3'),
      bind(),
      execute(),
      sync,
    ],
    times: 3,
  },
  { send: [parse('select absent'), bind(), execute(), sync] },
  { send: [parse('select $1::int'), bind({ parameters: text('not a number') }), execute(), sync] },
  { send: [parse(''), bind(), execute(), sync] },
  {
    send: [
      close('statement', 'by_id'),
      close('statement', 'add'),
      close('statement', 'never'),
      sync,
    ],
  },
  // SQL PREPARE and the extended protocol share their names.
  ...simple('prepare shared as select 7'),
  { send: [bind({ statement: 'shared' }), describe('portal'), execute(), sync] },
  { send: [parse('execute shared'), bind(), execute(), sync] },
  ...simple('begin', 'declare walk cursor for select id from ledger order by id'),
  { send: [parse('fetch 2 from walk'), bind(), describe('portal'), execute(), sync] },
  ...simple('commit'),
  ...simple('deallocate all'),
  // COPY both ways, in each form, ended and broken off.
  { send: [encodeQuery('copy ledger to stdout')] },
  { send: [encodeQuery('copy (select * from ledger order by id) to stdout (format csv, header)')] },
  { send: [encodeQuery('copy ledger to stdout (format binary)')] },
  ...simple('begin'),
  { send: [encodeQuery('copy scratch from stdin')], until: 'CopyInResponse' },
  {
    send: [
      encodeCopyData(Buffer.from('1\tone\n2\t')),
      encodeCopyData(Buffer.from('two\n3\t\\N\n')),
      encodeCopyDone(),
    ],
  },
  { send: [encodeQuery('select * from scratch order by id')] },
  ...simple('rollback'),
  { send: [encodeQuery('copy scratch from stdin (format csv)')], until: 'CopyInResponse' },
  { send: [encodeCopyData(Buffer.from('4,"four')), encodeCopyFail('changed my mind')] },
  { send: [encodeQuery('copy scratch from stdin')], until: 'CopyInResponse' },
  { send: [encodeCopyData(Buffer.from('no number\tx\n')), encodeCopyDone()] },
  ...simple('begin'),
  {
    send: [parse('copy scratch from stdin'), bind(), execute(), encodeFlush()],
    until: 'CopyInResponse',
  },
  { send: [encodeCopyData(Buffer.from('5\tfive\n')), encodeCopyDone(), sync] },
  { send: [parse('copy scratch to stdout'), bind(), describe('portal'), execute(), sync] },
  ...simple('rollback'),
  // The function call of old.
  {
    send: [
      encodeFunctionCall({
        oid: int4plOid,
        argumentFormats: [1],
        arguments: [int4(40), int4(2)],
        resultFormat: 1,
      }),
    ],
  },
  // Definitions, plans, and the end of all that was kept.
  ...simple(
    'begin; create table made(id int); insert into made values (1); drop table made; rollback',
    'explain (costs off) select * from ledger where id = 1',
    'discard all',
  ),
]

/** Messages that come in many pieces. */
export const largeTurns: readonly Turn[] = [
  ...simple('select repeat($$x$$, 100000), g from generate_series(1, 20) g'),
  {
    send: [
      parse('select length($1)'),
      bind({ parameters: text('y'.repeat(300_000)) }),
      execute(),
      sync,
    ],
  },
]

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, before, suite, test } from 'node:test'
import fc from 'fast-check'
import { skipReason } from '@sallyport/testkit'
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
} from '@sallyport/wire'
import { startTestGateway, type TestGateway } from './test-gateway.ts'
import { shape, WireCaller, type Delivery } from './wire-caller.ts'

const policy = `apiVersion: sallyport.dev/v1
kind: Policy
metadata: {name: guard}
spec:
  owner: group:test
  rules:
    - name: keep-out
      on: sql
      when: op.objects.exists(o, o.endsWith("forbidden"))
      effect: block
      message: "Nobody touches it."
`

const seed = `
create table t(n int);
create table scratch(n int);
create table numbers(n int primary key);
create table forbidden(n int);
insert into forbidden values (1);
`

const parse = (text: string, statement = '', parameterTypes: number[] = []): Buffer =>
  encodeParse({ statement, text, parameterTypes })
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
const sync = encodeSync()
const flush = encodeFlush()
const query = encodeQuery
const copyRows = (text: string): Buffer => encodeCopyData(Buffer.from(text))
const copyDone = encodeCopyDone()
const copyFail = encodeCopyFail('the caller has changed its mind')
/** Parse, Bind and Execute of one statement, as drivers pipeline them. */
const run = (text: string, ...parameters: string[]): Buffer[] => [
  parse(text),
  bind({ parameters: parameters.map((each) => Buffer.from(each)) }),
  execute(),
]
const int32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}

/** What may pass has to read as the server itself answers it, to the last field. */
const conversations: Record<string, readonly Buffer[]> = {
  'three statements, one of them failing, and one after Sync': [
    ...run('select 1'),
    ...run('select 1/0'),
    ...run('select 3'),
    sync,
    ...run('select 4'),
    sync,
  ],
  'a failing Parse in the middle': [
    ...run('select 1'),
    ...run('selct 2'),
    ...run('select 3'),
    sync,
    ...run('select 4'),
    sync,
  ],
  'a failing statement inside a transaction, and what follows up to its end': [
    query('begin'),
    ...run('select 1/0'),
    ...run('select 2'),
    sync,
    ...run('select 3'),
    sync,
    query('select 4'),
    query('commit'),
    query('select 5'),
  ],
  'DEALLOCATE ALL and DISCARD ALL leave the unnamed statement': [
    parse('select 7', 'a'),
    ...run('deallocate all'),
    sync,
    bind(),
    execute(),
    sync,
    bind({ statement: 'a' }),
    execute(),
    sync,
    parse('discard all'),
    bind(),
    execute(),
    bind(),
    execute(),
    sync,
    bind(),
    execute(),
    sync,
  ],
  'a query that is skipped up to Sync, and one behind it that fails': [
    parse('select 1'),
    execute('nobody'),
    query('select 2'),
    sync,
    query('selct'),
    ...run('select 3'),
    sync,
  ],
  'CLOSE ALL leaves the portal that it runs in': [
    query('begin'),
    parse('select 7', 'a'),
    bind({ portal: 'a', statement: 'a' }),
    parse('close all'),
    bind({ portal: 'b' }),
    bind(),
    execute(),
    execute(),
    sync,
    query('rollback; begin'),
    bind({ portal: 'a', statement: 'a' }),
    parse('close all'),
    bind(),
    execute(),
    execute('a'),
    sync,
    query('rollback'),
  ],
  'Flush without Sync': [parse('select 1'), flush, bind(), flush, execute(), flush, flush, sync],
  'Describe of statements and portals, named and not': [
    parse('select $1::int as a, $2::text as b', 's'),
    describe('statement', 's'),
    bind({ portal: 'p', statement: 's', parameters: [Buffer.from('1'), null] }),
    describe('portal', 'p'),
    execute('p'),
    parse('begin'),
    describe('statement'),
    bind(),
    describe('portal'),
    sync,
  ],
  'Describe of names that nobody knows': [
    describe('statement', 'nobody'),
    sync,
    describe('portal', 'nobody'),
    sync,
  ],
  'Close of names that nobody knows, and of some that exist': [
    close('statement', 'nobody'),
    close('portal', 'nobody'),
    close('statement'),
    close('portal'),
    parse('select 1', 's'),
    close('statement', 's'),
    bind({ statement: 's' }),
    sync,
  ],
  'Bind of a statement that nobody knows': [bind({ statement: 'nobody' }), execute(), sync],
  'an Execute that stops at its limit, and goes on': [
    parse('select generate_series(1, 5) as n'),
    bind(),
    describe('portal'),
    execute('', 2),
    execute('', 2),
    execute('', 2),
    execute('', 2),
    sync,
  ],
  'a portal that is suspended across Syncs of a transaction, and gone after it': [
    query('begin'),
    parse('select generate_series(1, 5) as n', 's'),
    bind({ portal: 'p', statement: 's' }),
    execute('p', 2),
    sync,
    execute('p', 2),
    sync,
    query('commit'),
    execute('p', 2),
    sync,
  ],
  'the same named statement twice': [
    parse('select 1', 's'),
    sync,
    parse('select 2', 's'),
    sync,
    bind({ statement: 's' }),
    execute(),
    sync,
  ],
  'the same named portal twice': [
    parse('select 1', 's'),
    bind({ portal: 'p', statement: 's' }),
    bind({ portal: 'p', statement: 's' }),
    execute('p'),
    sync,
  ],
  'parameters and results in binary': [
    parse('select $1::int + $2::int as sum, $3::bytea as bytes', '', [23, 23, 17]),
    bind({
      parameterFormats: [1],
      parameters: [int32(40), int32(2), Buffer.from([0, 255, 10])],
      resultFormats: [1],
    }),
    describe('portal'),
    execute(),
    bind({
      parameterFormats: [1, 0, 1],
      parameters: [int32(40), Buffer.from('2'), null],
      resultFormats: [0, 1],
    }),
    execute(),
    sync,
  ],
  'parameters that do not fit their statement': [
    parse('select $1::int'),
    bind(),
    execute(),
    sync,
    ...run('select $1::int', 'no number'),
    sync,
    bind({ parameters: [int32(1)], parameterFormats: [7] }),
    sync,
  ],
  'queries of length zero': [
    query(''),
    query(' ; ;; -- nothing'),
    parse(''),
    describe('statement'),
    bind(),
    describe('portal'),
    execute(),
    sync,
  ],
  'several statements in one string, one of them failing': [
    query('select 1; select 2'),
    query('insert into t values (1); select 1/0; select 3'),
    query('select count(*) from t'),
  ],
  'several statements in one Parse': [parse('select 1; select 2'), bind(), execute(), sync],
  'a simple query inside an extended pipeline that has no Sync yet': [
    ...run('select 1'),
    query('select 2'),
    ...run('select 3'),
    sync,
  ],
  'a simple query after an error that has no Sync yet': [
    ...run('select 1/0'),
    query('select 2'),
    sync,
    query('select 3'),
  ],
  'an unnamed statement ends with a simple query': [
    parse('select 1'),
    sync,
    query('select 2'),
    bind(),
    execute(),
    sync,
  ],
  'an unnamed statement ends with a Parse that fails': [
    parse('select 1'),
    sync,
    parse('selct 2'),
    bind(),
    execute(),
    sync,
    bind(),
    execute(),
    sync,
  ],
  'names of SQL and of the protocol are the same': [
    query('prepare s as select 1'),
    bind({ statement: 's' }),
    execute(),
    sync,
    parse('select 2', 'x'),
    sync,
    query('execute x; deallocate x'),
    bind({ statement: 'x' }),
    sync,
    query('begin; declare c cursor for select generate_series(1, 3)'),
    describe('portal', 'c'),
    execute('c', 2),
    sync,
    query('fetch c; commit'),
  ],
  'an EXECUTE of a name whose Parse has failed, or is not answered yet': [
    parse('select nosuch', 'x'),
    ...run('execute x'),
    sync,
    parse('select 1', 'x'),
    ...run('execute x'),
    sync,
  ],
  'a transaction block, pipelined': [
    ...run('begin'),
    ...run('insert into t values ($1)', '7'),
    ...run('select count(*) from t'),
    ...run('rollback'),
    sync,
    ...run('select count(*) from t'),
    sync,
  ],
  'COPY in, by simple query': [
    query('begin; copy t from stdin'),
    copyRows('1\n2'),
    copyRows('\n3\n'),
    copyDone,
    query('select sum(n) from t'),
  ],
  'COPY in, by extended query with the Sync behind the data': [
    ...run('copy t from stdin'),
    copyRows('1\n'),
    copyDone,
    sync,
    query('delete from t'),
  ],
  'COPY in, by extended query with a Sync before the data too': [
    ...run('copy t from stdin'),
    sync,
    copyRows('1\n'),
    flush,
    sync,
    copyDone,
    sync,
    query('delete from t'),
  ],
  'COPY in that the caller fails': [
    query('copy t from stdin'),
    copyRows('1\n'),
    copyFail,
    query('select count(*) from t'),
    ...run('copy t from stdin'),
    copyRows('1\n'),
    copyFail,
    sync,
    query('select count(*) from t'),
  ],
  'COPY in that fails at a bad row, while the caller goes on sending': [
    query('copy t from stdin'),
    copyRows('1\nno number\n'),
    copyRows('3\n'),
    copyDone,
    query('select count(*) from t'),
    ...run('copy t from stdin'),
    copyRows('1\nno number\n'),
    copyRows('3\n'),
    copyDone,
    sync,
    query('select count(*) from t'),
  ],
  'COPY in that fails at its end': [
    query('insert into numbers values (1)'),
    query('copy numbers from stdin'),
    copyRows('2\n1\n'),
    copyDone,
    query('delete from numbers'),
  ],
  'COPY in to a table that is not there': [
    query('copy nosuch from stdin'),
    copyRows('1\n'),
    copyDone,
    query('select 1'),
  ],
  'COPY in between other statements of one string': [
    query('select 1; copy t from stdin; select 2; copy t from stdin; select count(*) from t'),
    copyRows('1\n'),
    copyDone,
    copyRows('2\n'),
    copyDone,
    query('delete from t'),
  ],
  'CopyData, CopyDone and CopyFail outside of any COPY': [
    copyRows('1\n'),
    copyDone,
    copyFail,
    query('select 1'),
    ...run('select 2'),
    copyRows('1\n'),
    copyFail,
    sync,
  ],
  'COPY out, by simple and by extended query': [
    query('copy (select generate_series(1, 3)) to stdout'),
    ...run('copy (select generate_series(1, 3)) to stdout'),
    sync,
    query('copy (select 1/n from generate_series(-2, 2) n) to stdout'),
  ],
  'a function call': [
    // abs(integer)
    encodeFunctionCall({
      oid: 1397,
      argumentFormats: [1],
      arguments: [int32(-5)],
      resultFormat: 1,
    }),
    query('select 1'),
  ],
}

/** Statements of all kinds that leave nothing behind for another test to see. */
const texts = [
  'select 1',
  'select generate_series(1, 3)',
  'select $1::int',
  'begin',
  'commit',
  'rollback',
  'savepoint a; select 1/0',
  'insert into scratch values (1)',
  'select 1; select 2',
  'select 1/0',
  'select nosuch',
  'selct',
  '',
  'prepare a as select 7',
  'deallocate a',
  'deallocate all',
  'declare a cursor for select generate_series(1, 3)',
  'declare b cursor with hold for select 1',
  'close all',
  'discard all',
  'copy (select 1) to stdout',
]

/** Where in the server's source an error comes from: what the gateway says in its place comes from nowhere there. */
const withoutSource = (line: string): string =>
  line.replace(/,"F":"[^"]*","L":"\d+","R":"[^"]*"/, '')

/** A refused statement looks like one that fails by itself: the same kinds in the same order, with the same status bytes. */
const refusals: Record<
  string,
  {
    readonly by: (statement: string) => readonly Buffer[]
    readonly refused?: string
    readonly fails?: string
  }
> = {
  'the second of three pipelined statements, and one after Sync': {
    by: (statement) => [
      ...run('select 1'),
      ...run(statement),
      ...run('select 3'),
      sync,
      ...run('select 4'),
      sync,
    ],
  },
  'a pipelined statement inside a transaction': {
    by: (statement) => [
      query('begin'),
      ...run('insert into t values (1)'),
      ...run(statement),
      ...run('select 3'),
      sync,
      ...run('select 4'),
      sync,
      query('commit'),
      query('select count(*) from t'),
    ],
  },
  'a pipelined statement, with the implicit transaction before it': {
    by: (statement) => [
      ...run('insert into t values (1)'),
      ...run(statement),
      sync,
      query('select count(*) from t'),
    ],
  },
  'a simple query between simple queries': {
    by: (statement) => [
      query('select 1'),
      query(statement),
      query('begin'),
      query(statement),
      query('select 2'),
      query('commit'),
    ],
  },
  'a simple query inside an extended pipeline': {
    by: (statement) => [...run('select 1'), query(statement), ...run('select 2'), sync],
  },
  'an unnamed Parse: neither it nor the older unnamed statement runs': {
    by: (statement) => [
      parse('insert into t values (1)'),
      sync,
      parse(statement),
      bind(),
      execute(),
      sync,
      bind(),
      execute(),
      sync,
      query('select count(*) from t'),
    ],
  },
  'a simple query: the older unnamed statement is gone': {
    by: (statement) => [
      parse('insert into t values (1)'),
      sync,
      query(statement),
      bind(),
      execute(),
      sync,
      query('select count(*) from t'),
    ],
  },
  'a named Parse: neither it nor an older portal runs': {
    by: (statement) => [
      query('begin'),
      parse('insert into t values (1)', 's'),
      bind({ statement: 's', portal: 'p' }),
      sync,
      parse(statement, 'refused'),
      bind({ statement: 'refused', portal: 'p2' }),
      execute('p'),
      sync,
      execute('p'),
      sync,
      query('commit'),
      bind({ statement: 'refused' }),
      execute(),
      sync,
      query('select count(*) from t'),
    ],
  },
  'a Parse with Describe and Flush behind it': {
    by: (statement) => [
      parse(statement),
      describe('statement'),
      flush,
      bind(),
      describe('portal'),
      execute(),
      flush,
      close('statement'),
      sync,
      query('select 1'),
    ],
  },
  'COPY in whose data is under way already': {
    by: (statement) => [
      query(statement),
      copyRows('1\n'),
      copyRows('2\n'),
      copyDone,
      query('select 1'),
      query(statement),
      copyRows('1\n'),
      copyFail,
      ...run(statement),
      copyRows('1\n'),
      copyDone,
      sync,
      ...run(statement),
      sync,
      copyRows('1\n'),
      copyDone,
      sync,
      query('select 1'),
    ],
    refused: 'copy forbidden from stdin',
    // As text that cannot be parsed, because a COPY of a table that is not there fails only when it runs.
    fails: 'copy forbidden from stdni',
  },
}

suite('raw messages', { skip: skipReason() }, () => {
  let gateway: TestGateway
  before(async () => {
    gateway = await startTestGateway({ policy, seed, plainText: true })
  })
  after(async () => {
    await gateway[Symbol.asyncDispose]()
  })

  const direct = async (): Promise<WireCaller> =>
    await WireCaller.open({
      port: gateway.postgres.port,
      user: 'app',
      password: 'app-password',
    })
  const through = async (): Promise<WireCaller> => {
    const { user, secret } = await gateway.credential()
    return await WireCaller.open({ port: gateway.gateway.ports.postgres, user, password: secret })
  }
  /** The transcript of one conversation in a session of its own. */
  const transcript = async (
    open: () => Promise<WireCaller>,
    messages: readonly Buffer[],
    delivery?: Delivery,
  ): Promise<string[]> => {
    await using caller = await open()
    return await caller.converse(messages, delivery)
  }

  suite('what may pass reads as it does direct', () => {
    for (const [name, messages] of Object.entries(conversations)) {
      test(name, async () => {
        // Whether the server or the gateway says that a portal has ended depends on what arrives first; the words are the same.
        const expected = (await transcript(direct, messages)).map(withoutSource)
        for (const delivery of ['at once', 'message by message', 'byte by byte'] as const) {
          const answered = await transcript(through, messages, delivery)
          assert.deepEqual(answered.map(withoutSource), expected, delivery)
        }
      })
    }

    test('Execute of a portal that nobody knows', async () => {
      const messages = [execute('nobody'), sync, ...run('select 1'), execute('nobody'), sync]
      const answered = await transcript(through, messages)
      const expected = await transcript(direct, messages)
      assert.deepEqual(answered.map(withoutSource), expected.map(withoutSource))
    })

    test('whatever is sent in whatever order', async () => {
      const name = fc.constantFrom('', 'a', 'b')
      const text = fc.constantFrom(...texts)
      const message = fc.oneof(
        fc.tuple(text, name).map(([sql, statement]) => parse(sql, statement)),
        fc.tuple(name, name).map(([portal, statement]) => bind({ portal, statement })),
        fc.tuple(name, fc.constantFrom(0, 1)).map(([portal, rows]) => execute(portal, rows)),
        fc.tuple(fc.constantFrom('statement', 'portal'), name).map((of) => describe(...of)),
        fc.tuple(fc.constantFrom('statement', 'portal'), name).map((of) => close(...of)),
        text.map((sql) => Buffer.concat(run(sql))),
        text.map((sql) => query(sql)),
        fc.constantFrom(sync, sync, flush, copyRows('1\n'), copyDone, copyFail),
      )
      const messages = fc.array(message, { minLength: 2, maxLength: 14 })
      const delivery = fc.constantFrom<Delivery>('at once', 'message by message')
      await fc.assert(
        fc.asyncProperty(messages, delivery, async (each, how) => {
          const answered = await transcript(through, each, how)
          const expected = await transcript(direct, each)
          assert.deepEqual(answered.map(withoutSource), expected.map(withoutSource))
        }),
        { numRuns: Number(process.env['SALLYPORT_TEST_RUNS'] ?? 60), endOnFailure: true },
      )
    })

    test('a thousand Syncs, pipelined', async () => {
      const messages = Array.from({ length: 1000 }, () => sync)
      const answered = await transcript(through, messages)
      assert.deepEqual(answered, await transcript(direct, messages))
      assert.ok(answered.length > 1000)
    })
  })

  suite('what is refused reads as what fails by itself', () => {
    const secret = 'marker-4711'
    for (const [name, { by, ...texts }] of Object.entries(refusals)) {
      test(name, async () => {
        const refused = `${texts.refused ?? 'select * from forbidden'} /* ${secret} */`
        const expected = await transcript(direct, by(texts.fails ?? 'select * from nosuch'))
        for (const delivery of ['at once', 'message by message', 'byte by byte'] as const) {
          const answered = await transcript(through, by(refused), delivery)
          assert.deepEqual(shape(answered), shape(expected), delivery)
          assert.match(answered.join('\n'), /SP_POLICY_BLOCKED/)
        }
      })
    }

    test('of a string with one refused statement none runs', async () => {
      const answered = await transcript(through, [
        query('insert into t values (1); select * from forbidden; insert into t values (2)'),
        query('select count(*) from t'),
      ])
      assert.deepEqual(shape(answered).slice(0, 2), [
        'ErrorResponse',
        'ReadyForQuery {"status":"I"}',
      ])
      assert.ok(answered.includes('DataRow {"values":["0"]}'))
    })

    test('a function call that may not be judged', async () => {
      const call = (oid: number): Buffer =>
        encodeFunctionCall({ oid, argumentFormats: [], arguments: [], resultFormat: 0 })
      const messages = [call(0), query('begin'), call(0), query('select 1'), query('commit')]
      assert.deepEqual(
        shape(await transcript(through, messages)),
        shape(await transcript(direct, messages)),
      )
    })

    test('nothing of what is refused reaches the log of the server', async () => {
      const log = await readFile(gateway.postgres.logFile, 'utf8')
      assert.match(log, /select 1/)
      assert.ok(!log.includes(secret))
    })
  })
})

import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { after, before, suite, test } from 'node:test'
import {
  encodeBind,
  encodeCopyData,
  encodeExecute,
  encodeFlush,
  encodeParse,
  encodeQuery,
  encodeSync,
} from '@sallyport/wire'
import { ScriptedPeer, skipReason, until } from '@sallyport/testkit'
import { AgentFamily, type TestAgent } from './agent-family.ts'
import { workerPids } from './hardship.ts'
import { startTestGateway, type TestGateway } from './test-gateway.ts'
import { sendCancel, WireCaller } from './wire-caller.ts'

const seed = `create table item(n int, note text);
  insert into item select n, 'note ' || n from generate_series(1, 1000) n;
  create table mark(n int);
  create schema other;
  create table other.item(n int, note text);
  insert into other.item values (1, 'hidden');
  create table "Item"(n int)`

suite('attacks on agents', { skip: skipReason(), timeout: 180_000 }, () => {
  let gateway: TestGateway
  let family: AgentFamily
  before(async () => {
    gateway = await startTestGateway({ seed, plainText: true })
    family = new AgentFamily(gateway)
  })
  after(async () => {
    await gateway[Symbol.asyncDispose]()
  })

  const open = async (agent: TestAgent): Promise<WireCaller> => {
    const { username: user, password } = new URL(await family.url(agent))
    return await WireCaller.open({ port: gateway.gateway.ports.postgres, user, password })
  }
  const marked = async (n: number): Promise<string> =>
    await gateway.postgres.sql(`select count(*) from mark where n = ${n}`)
  const active = async (text: string): Promise<boolean> =>
    (await gateway.postgres.sql(
      `select count(*) from pg_stat_activity where state = 'active' and query like '%${text}%' and pid <> pg_backend_pid()`,
    )) !== '0'
  const running = async (text: string): Promise<void> => {
    await until(`${text} to run`, async () => await active(text))
  }
  const idleAgain = async (text: string): Promise<void> => {
    await until(`${text} to end`, async () => !(await active(text)))
  }

  suite('taken away', () => {
    test('commands that were sent behind the one that is cancelled do not run', async () => {
      const agent = await family.root()
      await using caller = await open(agent)
      const tail = Array.from({ length: 3 }, () =>
        encodeQuery('insert into mark select 1 from pg_sleep(0.1)'),
      )
      caller.send(encodeQuery('select pg_sleep(30) as pipelined_one'), ...tail)
      await running('pipelined_one')
      const report = await family.revoke(agent)
      const atReport = await marked(1)
      await sleep(600)
      assert.equal(await marked(1), atReport, JSON.stringify(report))
      assert.equal(atReport, '0')
    })

    test('of quick writes behind the one that is cancelled none runs after the report', async () => {
      const agent = await family.root()
      await using caller = await open(agent)
      const tail = Array.from({ length: 400 }, () => encodeQuery('insert into mark values (2)'))
      caller.send(encodeQuery('select pg_sleep(30) as pipelined_two'), ...tail)
      await running('pipelined_two')
      const report = await family.revoke(agent)
      const atReport = await marked(2)
      await sleep(600)
      assert.equal(await marked(2), atReport, JSON.stringify(report))
    })

    test('bytes that a slow target has not taken yet never reach it', async () => {
      const agent = await family.root()
      await using caller = await open(agent)
      const filler = `/*${'x'.repeat(200_000)}*/`
      const big = Array.from({ length: 100 }, () =>
        encodeQuery(`insert into mark select 3 from pg_sleep(0.02) ${filler}`),
      )
      caller.send(encodeQuery('select pg_sleep(30) as pipelined_three'), ...big)
      await running('pipelined_three')
      await sleep(300)
      const report = await family.revoke(agent)
      const atReport = await marked(3)
      await sleep(1500)
      assert.equal(await marked(3), atReport, JSON.stringify(report))
    })

    test('between the words of a login', async () => {
      const root = await family.root()
      const child = await family.child(root, 'late')
      const { username: user, password } = new URL(await family.url(child))
      const door = { port: gateway.gateway.ports.postgres, user, password }
      const opening = Array.from({ length: 30 }, async (_, n) => {
        await sleep(n)
        return await WireCaller.open(door)
      })
      const settled = Promise.allSettled(opening)
      await sleep(20)
      await family.revoke(root)
      const at = await gateway.postgres.sql(
        "select count(*) from pg_stat_activity where application_name = 'wire'",
      )
      for (const each of await settled) {
        if (each.status === 'rejected') continue
        each.value.send(encodeQuery('insert into mark values (9)'))
      }
      await sleep(300)
      assert.equal(await marked(9), '0', at)
    })

    test('a query that comes together with its goodbye', async () => {
      const root = await family.root()
      const callers = await Promise.all(Array.from({ length: 10 }, async () => await open(root)))
      const revoked = family.revoke(root)
      for (const [n, caller] of callers.entries()) {
        await sleep(n % 3)
        caller.send(
          encodeQuery('insert into mark values (10)'),
          Buffer.from('X\0\0\0\x04', 'latin1'),
        )
      }
      await revoked
      const atReport = await marked(10)
      await sleep(300)
      assert.equal(await marked(10), atReport)
    })

    test('in the middle of a message', async () => {
      const agent = await family.root()
      await using caller = await open(agent)
      const message = encodeQuery('insert into mark values (11)')
      caller.send(message.subarray(0, 15))
      await sleep(50)
      await family.revoke(agent)
      caller.send(message.subarray(15))
      await sleep(200)
      assert.equal(await marked(11), '0')
    })

    test('batches of messages behind the one that is cancelled do not run', async () => {
      const agent = await family.root()
      await using caller = await open(agent)
      const batch = (text: string): Buffer[] => [
        encodeParse({ statement: '', text, parameterTypes: [] }),
        encodeBind({
          portal: '',
          statement: '',
          parameterFormats: [],
          parameters: [],
          resultFormats: [],
        }),
        encodeExecute({ portal: '', rowsMax: 0 }),
        encodeSync(),
      ]
      caller.send(
        ...batch('select pg_sleep(30) as pipelined_batch'),
        ...batch('insert into mark values (13)'),
        ...batch('insert into mark values (13)'),
      )
      await running('pipelined_batch')
      await family.revoke(agent)
      await idleAgain('pipelined_batch')
      await sleep(100)
      assert.equal(await marked(13), '0')
    })

    test('what was pipelined to a worker that was killed does not run when what ran is ended', async () => {
      const agent = await family.root()
      await using caller = await open(agent)
      const tail = Array.from({ length: 20 }, () =>
        encodeQuery('insert into mark select 14 from pg_sleep(0.02)'),
      )
      caller.send(encodeQuery('select pg_sleep(30) as pipelined_killed'), ...tail)
      await running('pipelined_killed')
      await sleep(200)
      for (const pid of await workerPids(gateway)) process.kill(pid, 'SIGKILL')
      const report = await family.revoke(agent)
      assert.equal(report.state, 'partial')
      await idleAgain('pipelined_killed')
      await idleAgain('select 14 from')
      assert.equal(await marked(14), '0')
      await until('a worker to be back', async () => {
        const { workers } = await gateway.gateway.status()
        return workers.every(({ state, restarts }) => state === 'ready' && restarts > 0)
      })
    })

    test('while something above it is frozen', async () => {
      const root = await family.root()
      const middle = await family.child(root, 'middle')
      const leaf = await family.child(middle, 'leaf')
      await using caller = await open(leaf)
      caller.send(encodeQuery('select pg_sleep(20) as below_frozen'))
      await running('below_frozen')
      await family.freeze(root)
      const report = await family.revoke(middle)
      assert.deepEqual(
        report.sessions.map(({ outcome }) => outcome),
        ['terminated'],
      )
      await idleAgain('below_frozen')
    })

    test('while it copies in: the report knows how it ended', async () => {
      const agent = await family.root()
      await using caller = await open(agent)
      caller.send(encodeQuery('copy mark from stdin'), encodeCopyData(Buffer.from('4\n')))
      await caller.until('CopyInResponse')
      const report = await family.revoke(agent)
      assert.deepEqual(
        report.sessions.map(({ outcome }) => outcome),
        ['terminated'],
      )
      assert.equal(await marked(4), '0')
    })

    test('an unsynced batch is rolled back', async () => {
      const agent = await family.root()
      await using caller = await open(agent)
      const text = 'insert into mark values (5)'
      caller.send(
        encodeParse({ statement: '', text, parameterTypes: [] }),
        encodeBind({
          portal: '',
          statement: '',
          parameterFormats: [],
          parameters: [],
          resultFormats: [],
        }),
        encodeExecute({ portal: '', rowsMax: 0 }),
        encodeFlush(),
      )
      await caller.until('CommandComplete')
      const report = await family.revoke(agent)
      assert.notDeepEqual(
        report.sessions.map(({ outcome }) => outcome),
        ['completed-before'],
      )
      await sleep(300)
      assert.equal(await marked(5), '0')
    })
  })

  suite('frozen', () => {
    test('data of a copy waits too', async () => {
      const agent = await family.root()
      await using caller = await open(agent)
      caller.send(encodeQuery('copy mark from stdin'))
      await caller.until('CopyInResponse')
      await family.freeze(agent)
      caller.send(encodeCopyData(Buffer.from('6\n')), Buffer.from('c\0\0\0\x04', 'latin1'))
      await sleep(300)
      assert.equal(await marked(6), '0')
      await family.unfreeze(agent)
      await caller.until('ReadyForQuery')
      assert.equal(await marked(6), '1')
    })

    test('a Sync that would commit waits too', async () => {
      const agent = await family.root()
      await using caller = await open(agent)
      caller.send(
        encodeParse({ statement: '', text: 'insert into mark values (7)', parameterTypes: [] }),
        encodeBind({
          portal: '',
          statement: '',
          parameterFormats: [],
          parameters: [],
          resultFormats: [],
        }),
        encodeExecute({ portal: '', rowsMax: 0 }),
        encodeFlush(),
      )
      await caller.until('CommandComplete')
      await family.freeze(agent)
      caller.send(encodeSync())
      await sleep(300)
      assert.equal(await marked(7), '0')
      await family.unfreeze(agent)
      await caller.until('ReadyForQuery')
      assert.equal(await marked(7), '1')
    })

    test('what waits runs in its order when it is released', async () => {
      const agent = await family.root()
      await using caller = await open(agent)
      await family.freeze(agent)
      const numbers = Array.from({ length: 50 }, (_, n) => n)
      caller.send(...numbers.map((n) => encodeQuery(`select ${n} as n`)))
      await sleep(100)
      await family.unfreeze(agent)
      await family.freeze(agent)
      await family.unfreeze(agent)
      for (const n of numbers) {
        assert.match((await caller.until('ReadyForQuery')).join('\n'), new RegExp(`\\["${n}"\\]`))
      }
    })

    test('a cancel request ends the wait of a command', async () => {
      const agent = await family.root()
      await using caller = await open(agent)
      await family.freeze(agent)
      caller.send(encodeQuery('insert into mark values (8)'))
      await sleep(100)
      await using canceller = await ScriptedPeer.connect(gateway.gateway.ports.postgres)
      sendCancel(canceller, caller)
      const lines = await Promise.race([caller.until('ReadyForQuery'), sleep(2000, ['nothing'])])
      assert.match(lines.join('\n'), /SP_AGENT_FROZEN/)
      await family.unfreeze(agent)
      const [row] = await caller.converse([])
      assert.ok(row)
      assert.equal(await marked(8), '0')
    })
  })

  suite('budgets', () => {
    test('a thousand commands in one packet pass no cap', async () => {
      const agent = await family.root({ budget: { commands: 100 } })
      await using caller = await open(agent)
      caller.send(
        ...Array.from({ length: 1000 }, () => encodeQuery('insert into mark values (20)')),
      )
      for (let n = 0; n < 1000; n += 1) await caller.until('ReadyForQuery')
      assert.equal(await marked(20), '100')
    })

    test('statements of one text count one by one', async () => {
      const agent = await family.root({ budget: { commands: 100, writes: 3 } })
      await using caller = await open(agent)
      caller.send(encodeQuery('insert into mark values (21);'.repeat(50)))
      await caller.until('ReadyForQuery')
      assert.equal(await marked(21), '0')
    })

    test('reads go on where writes are used up', async () => {
      const agent = await family.root({ budget: { commands: 300, writes: 1 } })
      await using caller = await open(agent)
      caller.send(
        encodeQuery('insert into mark values (22)'),
        encodeQuery('insert into mark values (22)'),
      )
      await caller.until('ReadyForQuery')
      await caller.until('ReadyForQuery')
      caller.send(...Array.from({ length: 200 }, () => encodeQuery('select 1')))
      for (let n = 0; n < 200; n += 1) {
        const lines = await caller.until('ReadyForQuery')
        assert.doesNotMatch(lines.join('\n'), /ErrorResponse/, `read ${n}`)
      }
    })

    test('a function call may be the first that a budget pays for', async () => {
      const agent = await family.root({ budget: { commands: 5 } })
      await using caller = await open(agent)
      // int4pl(1, 2), oid 177
      const call = Buffer.from(
        '46000000260000' +
          '00b1' +
          '0001' +
          '0000' +
          '0002' +
          '00000001' +
          '31' +
          '00000001' +
          '32' +
          '0000',
        'hex',
      )
      call.writeInt32BE(call.length - 1, 1)
      caller.send(call)
      const lines = await caller.until('ReadyForQuery')
      assert.doesNotMatch(lines.join('\n'), /ErrorResponse/)
    })
  })

  suite('row limits', () => {
    const rowsIn = (lines: readonly string[]): number =>
      lines.filter((line) => line.startsWith('DataRow')).length

    test('statements of one text share one limit', async () => {
      const agent = await family.root({ allow: ['shop:read rows<=10'] })
      await using caller = await open(agent)
      caller.send(encodeQuery('select n from item limit 10;'.repeat(5)))
      assert.ok(rowsIn(await caller.until('ReadyForQuery')) <= 10)
    })

    for (const text of [
      'copy item to stdout',
      'copy (select n from item) to stdout with csv',
      'insert into mark select 40 from item returning n',
      'explain analyze select 1; select n from item',
      'begin; declare c cursor for select n from item; fetch all from c; commit',
      'prepare r as select n from item; execute r',
      'select n from item union all select n from item',
    ]) {
      test(`no way around it: ${text}`, async () => {
        const agent = await family.root({ allow: ['shop:* rows<=10'] })
        await using caller = await open(agent)
        caller.send(encodeQuery(text))
        const lines = await caller.until('ReadyForQuery')
        assert.match(lines.join('\n'), /SP_BUDGET_ROWS/)
        const sent = lines.filter((line) => /^(?:DataRow|CopyData)/.test(line))
        assert.ok(sent.length <= 10, `${sent.length} rows`)
      })
    }

    test('a budget of bytes cuts rows and copies', async () => {
      for (const text of [
        "select repeat('x', 1000) from item",
        "copy (select repeat('x', 1000) from item) to stdout",
      ]) {
        const agent = await family.root({ budget: { bytes: 20_000 } })
        await using caller = await open(agent)
        caller.send(encodeQuery(text))
        const lines = await caller.until('ReadyForQuery')
        assert.match(lines.join('\n'), /SP_BUDGET_ROWS/)
        assert.ok(lines.filter((line) => /^(?:DataRow|CopyData)/.test(line)).length < 20)
      }
    })

    test('a portal that is suspended again and again spends one budget of rows', async () => {
      const agent = await family.root({ budget: { rows: 23 } })
      await using caller = await open(agent)
      const text = 'select n from item'
      caller.send(
        encodeParse({ statement: '', text, parameterTypes: [] }),
        encodeBind({
          portal: 'p',
          statement: '',
          parameterFormats: [],
          parameters: [],
          resultFormats: [],
        }),
        ...Array.from({ length: 10 }, () => encodeExecute({ portal: 'p', rowsMax: 5 })),
        encodeSync(),
      )
      const lines = await caller.until('ReadyForQuery')
      assert.equal(rowsIn(lines), 23)
      assert.match(lines.join('\n'), /SP_BUDGET_ROWS/)
    })

    test('what follows a cut result is not cancelled by it', async () => {
      const agent = await family.root({ allow: ['shop:read rows<=10'] })
      await using caller = await open(agent)
      for (let n = 0; n < 30; n += 1) {
        caller.send(encodeQuery('select n from item limit 11'))
        assert.match((await caller.until('ReadyForQuery')).join('\n'), /SP_BUDGET_ROWS/)
        caller.send(encodeQuery('select pg_sleep(0.02)'))
        assert.doesNotMatch((await caller.until('ReadyForQuery')).join('\n'), /ErrorResponse/)
      }
    })

    test('a batch whose result was cut ends there: what it has yet to send is dropped', async () => {
      const agent = await family.root({ allow: ['shop:rw rows<=10'] })
      await using caller = await open(agent)
      const run = (text: string): Buffer[] => [
        encodeParse({ statement: '', text, parameterTypes: [] }),
        encodeBind({
          portal: '',
          statement: '',
          parameterFormats: [],
          parameters: [],
          resultFormats: [],
        }),
        encodeExecute({ portal: '', rowsMax: 0 }),
      ]
      caller.send(...run('select n from item limit 11'), encodeFlush())
      await caller.until('ErrorResponse')
      await sleep(50)
      caller.send(...run('insert into mark values (30)'), encodeSync())
      await caller.until('ReadyForQuery')
      assert.equal(await marked(30), '0')
    })

    test('a copy in behind a cut result does not hang', async () => {
      const agent = await family.root({ allow: ['shop:rw rows<=10'] })
      await using caller = await open(agent)
      caller.send(encodeQuery('select n from item limit 11; copy mark from stdin'))
      const lines = await Promise.race([caller.until('ReadyForQuery'), sleep(3000, ['nothing'])])
      assert.match(lines.join('\n'), /SP_BUDGET_ROWS/)
    })
  })

  suite('scopes', () => {
    const refusedOf = async (allow: string, ...texts: readonly string[]): Promise<string> => {
      const root = await family.root({ allow: ['shop:*'] })
      const child = await family.child(root, 'scout', { allow: [allow] })
      await using caller = await open(child)
      caller.send(...texts.map((text) => encodeQuery(text)))
      const lines: string[] = []
      for (const _ of texts) lines.push(...(await caller.until('ReadyForQuery')))
      return lines.join('\n')
    }
    const item = 'shop:* table=item schema=public'
    for (const texts of [
      ['set search_path = other; select note from item'],
      ['set search_path = other', 'select note from item'],
      ["select set_config('search_path', 'other', false); select note from item"],
      ['prepare p as select note from item', 'set search_path = other', 'execute p'],
      ['prepare p as select note from item', 'set search_path = other; execute p'],
      ['prepare p as select note from item; set search_path = other; execute p'],
      [
        "prepare q as select set_config('search_path', 'other', false)",
        'execute q',
        'select note from item',
      ],
      [
        "prepare q as select set_config('search_path', 'other', false); execute q; select note from item",
      ],
      [
        "begin; declare c cursor for select set_config('search_path', 'other', false); fetch c",
        'select note from item',
      ],
      ['begin', 'set local search_path = other', 'select note from item', 'rollback'],
      ['select note from other . item'],
      ['select note from "other"."item"'],
      ['copy other.item to stdout'],
      ['copy (select note from other.item) to stdout'],
      ['with a as (select note from other.item) select note from a'],
      ["do $$begin raise notice '%', (select note from other.item); end$$"],
      ["select query_to_xml('select note from other.item', true, true, '')"],
      ["select table_to_xml('other.item', true, true, '')"],
      ["select schema_to_xml('other', true, true, '')"],
      ['declare c cursor with hold for select note from other.item', 'fetch c'],
      ['create temp view v as select note from other.item', 'select note from v'],
      ['table other.item'],
      ['select (select note from other.item) from item limit 1'],
      ["select ts_stat('select to_tsvector(note) from other.item')"],
      ["select lo_import('/etc/hostname')"],
      ['explain analyze select note from other.item', 'select note from other.item'],
    ]) {
      test(`never reads beyond its scope: ${texts.join(' | ')}`, async () => {
        assert.doesNotMatch(await refusedOf(item, ...texts), /hidden/)
      })
    }
    test('a statement prepared in SQL and bound by message is read anew too', async () => {
      const root = await family.root()
      const child = await family.child(root, 'scout', { allow: [item] })
      await using caller = await open(child)
      const lines = await caller.converse([
        encodeQuery('prepare p as select note from item'),
        encodeQuery('set search_path = other'),
        encodeBind({
          portal: '',
          statement: 'p',
          parameterFormats: [],
          parameters: [],
          resultFormats: [],
        }),
        encodeExecute({ portal: '', rowsMax: 0 }),
        encodeSync(),
      ])
      assert.doesNotMatch(lines.join('\n'), /hidden/)
    })

    test('a prepared statement still runs where nothing has changed', async () => {
      const lines = await refusedOf(item, 'prepare p as select count(*) from item', 'execute p')
      assert.match(lines, /"1000"/)
    })

    test('a scope of one database holds in no other', async () => {
      const root = await family.root()
      const child = await family.child(root, 'scout', { allow: ['shop:read db=elsewhere'] })
      await using caller = await open(child)
      caller.send(encodeQuery('select 1'))
      assert.match((await caller.until('ReadyForQuery')).join('\n'), /SP_NOT_GRANTED/)
    })

    test('names are told apart by case', async () => {
      assert.match(
        await refusedOf('shop:read table=item schema=public', 'select * from "Item"'),
        /SP_NOT_GRANTED/,
      )
    })
  })

  suite('races', () => {
    let disk: TestGateway
    let house: AgentFamily
    before(async () => {
      disk = await startTestGateway({ seed, plainText: true, durability: 'disk', workers: 2 })
      house = new AgentFamily(disk)
    })
    after(async () => {
      await disk[Symbol.asyncDispose]()
    })
    const enter = async (agent: TestAgent): Promise<WireCaller> => {
      const { username: user, password } = new URL(await house.url(agent))
      return await WireCaller.open({ port: disk.gateway.ports.postgres, user, password })
    }
    const rows = async (): Promise<string> => await disk.postgres.sql('select count(*) from mark')
    const running = async (): Promise<string> =>
      await disk.postgres.sql(`select count(*) from pg_stat_activity
        where state = 'active' and query like 'insert into mark%'`)
    /** Sends without end, whatever comes back. */
    const flood = (caller: WireCaller, ...messages: readonly Buffer[]): (() => void) => {
      const timer = setInterval(() => caller.send(...messages), 1)
      return () => clearInterval(timer)
    }
    const takeovers = {
      revoke: async (agent: TestAgent) => void (await house.revoke(agent)),
      freeze: async (agent: TestAgent) => void (await house.freeze(agent)),
      narrow: async (agent: TestAgent) =>
        void (await house.ask('POST', `/v1/agents/${agent.id}/narrow`, { allow: ['shop:read'] })),
    }
    const large = `insert into mark values (1) /* ${'a '.repeat(20_000)} */`
    for (const [name, act] of Object.entries(takeovers)) {
      for (const [what, messages] of [
        ['single inserts', [encodeQuery('insert into mark values (1)')]],
        ['large inserts', [encodeQuery(large)]],
      ] as const) {
        test(`${what} while disks sync: none after ${name}`, async () => {
          for (let n = 0; n < 4; n += 1) {
            const root = await house.root()
            const agent = await house.child(root, 'writer')
            await using caller = await enter(agent)
            const stop = flood(caller, ...messages)
            await sleep(60 + n * 7)
            await act(root)
            // What had left before may take its time at the target.
            await until('what runs is over', async () => (await running()) === '0')
            const then = await rows()
            await sleep(250)
            stop()
            assert.equal(await rows(), then)
          }
        })
      }
    }
  })
})

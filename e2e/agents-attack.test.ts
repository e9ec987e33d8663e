import assert from 'node:assert/strict'

import { after, before, suite, test } from 'node:test'
import { encodeBind, encodeExecute, encodeQuery, encodeSync } from '@sallyport/wire'
import { skipReason, until } from '@sallyport/testkit'
import { AgentFamily, type TestAgent } from './agent-family.ts'
import { startTestGateway, type TestGateway } from './test-gateway.ts'
import { WireCaller } from './wire-caller.ts'

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

    test('names are told apart by case', async () => {
      assert.match(
        await refusedOf('shop:read table=item schema=public', 'select * from "Item"'),
        /SP_NOT_GRANTED/,
      )
    })
  })
})

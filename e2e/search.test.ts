import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { SearchPage } from '@sallyport/gateway'
import { skipReason, until } from '@sallyport/testkit'
import { connect } from './hardship.ts'
import { guardPolicy as policy, startTestGateway, type TestGateway } from './test-gateway.ts'

suite('searching what was run', { skip: skipReason() }, () => {
  const search = async (gateway: TestGateway, query: string): Promise<SearchPage> => {
    const answer = await gateway.api('GET', `/v1/sessions?q=${encodeURIComponent(query)}`)
    assert.equal(answer.status, 200, await answer.clone().text())
    return (await answer.json()) as SearchPage
  }
  const found = async (gateway: TestGateway, query: string): Promise<string[]> =>
    (await search(gateway, query)).sessions.flatMap(({ matches }) =>
      matches.map(({ text }) => text),
    )

  test('a statement is found by its text, table, verdict, rule and what came back, and replayed from there', async () => {
    await using gateway = await startTestGateway({
      policy,
      seed: `create table customers (id int, email text); insert into customers values (1, 'a@b.example')`,
    })
    const client = await connect(gateway)
    await client.query('select 1 as marker')
    await client.query('select id, email from customers')
    await assert.rejects(client.query('drop table customers'))
    const { rows } = await client.query('select id as only from customers where id = $1', [1])
    assert.equal(rows.length, 1)
    await until('the drop is found', async () => {
      const texts = await found(gateway, 'text:"DROP table" verdict:blocked')
      return texts.length === 1
    })
    assert.deepEqual(await found(gateway, 'rule:no-drop'), ['drop table customers'])
    await until('what came back is found', async () => {
      const texts = await found(gateway, 'returned:only')
      return texts.length === 1
    })
    assert.deepEqual(await found(gateway, 'masked:emails'), ['select id, email from customers'])
    assert.deepEqual(await found(gateway, 'returned:email rows:1'), [
      'select id, email from customers',
    ])
    assert.deepEqual(
      await found(gateway, 'table:public.customers -verdict:blocked word:only rows:1'),
      ['select id as only from customers where id = $1'],
    )
    assert.deepEqual(await found(gateway, 'connection:sh* verb:select since:1h text:marker'), [
      'select 1 as marker',
    ])
    assert.deepEqual(await found(gateway, 'connection:other'), [])
    await client.end()
    const [session] = (await search(gateway, 'rule:no-drop')).sessions
    assert.equal(session?.connection, 'shop')
    assert.equal(session?.commands.blocked, 1)
    assert.deepEqual(session?.masked, [{ rule: 'guard/emails', values: 1 }])
    const at = encodeURIComponent(`#${session?.matches[0]?.seq}`)
    const replayed = await gateway.api('GET', `/v1/sessions/${session?.id}?as=text&at=${at}`)
    const text = await replayed.text()
    assert.match(text, /drop table customers/)
    assert.doesNotMatch(text, /marker/)
  })

  test('a search that cannot be read is refused with the place', async () => {
    await using gateway = await startTestGateway()
    const answer = await gateway.api('GET', '/v1/sessions?q=tre%3Aa')
    assert.equal(answer.status, 400)
    const { error } = (await answer.json()) as { error: { code: string; message: string } }
    assert.equal(error.code, 'SP_QUERY_INVALID')
    assert.match(error.message, /did you mean "tree".*\n {2}tre:a\n {2}\^\^\^/)
    for (const path of ['/v1/sessions?q=&limit=0', '/v1/sessions?q=&limit=x'])
      assert.equal((await gateway.api('GET', path)).status, 400, path)
    assert.equal((await gateway.api('GET', '/v1/sessions/s_1?at=nowhere')).status, 400)
    const all = await gateway.api('GET', '/v1/sessions')
    assert.deepEqual(await all.json(), [])
  })

  test('an index that was lost is made again from the recordings', async () => {
    await using gateway = await startTestGateway()
    for (const each of [1, 2, 3]) {
      const client = await connect(gateway)
      await client.query(`select 'again ${each}'`)
      await client.end()
    }
    await until('all are found', async () => (await found(gateway, 'text:again')).length === 3)
    assert.equal((await gateway.api('POST', '/v1/reindex')).status, 202)
    await until('it is made again', async () => {
      const { search: state } = await gateway.gateway.status()
      return state.rebuilding === undefined
    })
    assert.equal((await found(gateway, 'text:again')).length, 3)
    const client = await connect(gateway)
    await client.query(`select 'again and on'`)
    await client.end()
    await until('it goes on', async () => (await found(gateway, 'text:again')).length === 4)
  })
})

import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { after, before, suite, test } from 'node:test'
import { skipReason } from '@sallyport/testkit'
import { AgentFamily } from './agent-family.ts'
import { psql } from './hardship.ts'
import { startTestGateway, type TestGateway } from './test-gateway.ts'

const seed = `create table item(n int, note text);
  insert into item select n, 'note ' || n from generate_series(1, 1000) n;
  create table secret(n int)`

suite('what an agent may do', { skip: skipReason(), timeout: 180_000 }, () => {
  let gateway: TestGateway
  let family: AgentFamily
  before(async () => {
    gateway = await startTestGateway({ seed, workers: 2 })
    family = new AgentFamily(gateway)
  })
  after(async () => {
    await gateway[Symbol.asyncDispose]()
  })

  test('asking for more than the parent holds is refused, with what it holds', async () => {
    const root = await family.root({ allow: ['shop:read table=item'] })
    const { status, answer } = await family.tryAsk(
      'POST',
      '/v1/agents/self/children',
      { name: 'scout', allow: ['shop:read,write'] },
      root.handle,
    )
    assert.equal(status, 403)
    assert.match(JSON.stringify(answer), /SP_GRANT_EXCEEDS_PARENT.*shop:/)
  })

  test('where it may be cut, the child gets what the parent holds, and a list of what was cut', async () => {
    const root = await family.root({ allow: ['shop:read'] })
    const child = await family.child(root, 'scout', { allow: ['shop:read,write'], cut: true })
    assert.equal(child.cut.length > 0, true)
    const { err } = await psql(await family.url(child), '-c', 'delete from item')
    assert.match(err, /not in your grant: delete on shop/)
  })

  test('a child is stopped by its scope where its parent is not', async () => {
    const root = await family.root({ allow: ['shop:rw'] })
    const child = await family.child(root, 'scout', { allow: ['shop:read table=item'] })
    const refused = await psql(await family.url(child), '-c', 'select * from secret')
    assert.match(refused.err, /not in your grant: read on shop public\.secret/)
    const allowed = await psql(await family.url(root), '-Atc', 'select count(*) from secret')
    assert.equal(allowed.out.trim(), '0')
  })

  test('narrowing a parent narrows what its children do, at once', async () => {
    const root = await family.root({ allow: ['shop:rw'] })
    const child = await family.child(root, 'writer', { allow: ['shop:rw'] })
    const client = await family.session(child)
    await client.query('insert into secret values (1)')
    await family.ask('POST', `/v1/agents/${root.id}/narrow`, { allow: ['shop:read'] })
    await assert.rejects(client.query('insert into secret values (2)'), /not in your grant: write/)
    await client.end()
  })

  test('a grant with a row limit cuts the result after that many rows', async () => {
    const root = await family.root({ allow: ['shop:read rows<=10'] })
    const { out, err } = await psql(await family.url(root), '-Atc', 'select n from item')
    assert.match(err, /SP_BUDGET_ROWS/)
    assert.ok(out.trim().split('\n').length <= 10)
    const few = await psql(await family.url(root), '-Atc', 'select n from item limit 10')
    assert.equal(few.out.trim().split('\n').length, 10)
  })

  test('after a result was cut the session goes on, in and out of transactions', async () => {
    const root = await family.root({ allow: ['shop:rw rows<=5'] })
    const client = await family.session(root)
    await assert.rejects(client.query('select n from item where n > $1', [0]), /row budget reached/)
    assert.equal((await client.query('select n from item limit 2')).rows.length, 2)
    await client.query('begin')
    await assert.rejects(client.query('select n from item'), /row budget reached/)
    await client.query('rollback')
    assert.equal((await client.query('select 1')).rows.length, 1)
    await client.end()
  })

  test('a write whose rows are cut says that it may have been done', async () => {
    const root = await family.root({ allow: ['shop:rw rows<=2'] })
    const returning = 'insert into secret select n from item limit 5 returning n'
    const { err } = await psql(await family.url(root), '-c', returning)
    assert.match(err, /2 rows sent.* What the statement changed may stand/s)
  })

  test('a budget of rows is met exactly, however many sessions and workers share it', async () => {
    const root = await family.root({ budget: { rows: 1500 } })
    const children = await Promise.all(
      ['a', 'b', 'c'].map(async (name) => await family.child(root, name)),
    )
    let rows = 0
    await Promise.all(
      Array.from({ length: 6 }, async (_, n) => {
        const client = await family.session(children[n % 3] ?? root)
        client.on('error', () => undefined)
        try {
          const query = client.query({ text: 'select n from item', rowMode: 'array' })
          rows += (await query).rows.length
        } catch {
          // Rows of a result that was cut are thrown away by this client, and so not counted here.
        } finally {
          await client.end()
        }
      }),
    )
    assert.ok(rows <= 1500, `${rows} rows`)
    const { err } = await psql(await family.url(root), '-c', 'select n from item')
    assert.match(err, /rows 1500\/1500/)
  })

  test('a budget of commands is never passed, whoever of the tree spends it', async () => {
    const root = await family.root({ budget: { commands: 100 } })
    const children = await Promise.all(
      ['a', 'b', 'c', 'd'].map(async (name) => await family.child(root, name)),
    )
    const clients = await Promise.all(
      Array.from({ length: 8 }, async (_, n) => await family.session(children[n % 4] ?? root)),
    )
    let done = 0
    let refused = ''
    await Promise.all(
      clients.map(async (client) => {
        for (let n = 0; n < 30; n += 1) {
          try {
            await client.query('select 1')
            done += 1
          } catch (error) {
            refused = String(error) + JSON.stringify(error)
          }
        }
        await client.end()
      }),
    )
    assert.ok(done <= 100, `${done} commands`)
    // A worker may hold a lease that it doesn't use up.
    assert.ok(done >= 36, `${done} commands`)
    assert.match(refused, /SP_BUDGET_SPENT|udget/)
  })

  test('a budget of writes refuses the next write and no read', async () => {
    const root = await family.root({ budget: { writes: 2 } })
    const client = await family.session(root)
    await client.query('insert into secret values (10)')
    await client.query('insert into secret values (11)')
    await assert.rejects(client.query('insert into secret values (12)'), /budget/i)
    assert.equal((await client.query('select 1')).rows.length, 1)
    await client.end()
    assert.equal(await gateway.postgres.sql('select count(*) from secret where n = 12'), '0')
  })

  suite('credentials', () => {
    const refusedText = async (url: string): Promise<string> =>
      (await psql(url, '-c', 'select 1')).err

    test('wrong, of another connection and unknown: one text', async () => {
      const root = await family.root()
      const url = await family.url(root)
      const wrong = await refusedText(url.replace(/(spc_\w{13}_)\w/u, '$1%2D'))
      assert.match(wrong, /FATAL: {2}Sallyport: this credential is not valid here/)
      assert.equal(await refusedText(url.replace('//shop.', '//other.')), wrong)
      assert.equal(await refusedText(url.replace(/shop\.\w{13}/u, 'shop.0000000000000')), wrong)
    })

    test('a one-shot credential opens one session', async () => {
      const root = await family.root()
      const url = await family.url(root, { maxUses: 1 })
      assert.doesNotMatch(await refusedText(url), /FATAL/)
      assert.match(await refusedText(url), /SP_CREDENTIAL_SHARED/)
    })

    test('expired: says so to the right holder only', async () => {
      const root = await family.root()
      const url = await family.url(root, { ttl: '1s' })
      await sleep(1_200)
      assert.match(await refusedText(url), /SP_CREDENTIAL_EXPIRED/)
      assert.match(await refusedText(url.replace(/(spc_\w{13}_)\w/u, '$1%2D')), /SP_LOGIN_REFUSED/)
    })

    test('after the agent has ended it says that', async () => {
      const root = await family.root()
      const child = await family.child(root, 'short')
      const url = await family.url(child)
      await family.ask('POST', '/v1/agents/self/end', {}, child.handle)
      assert.match(await refusedText(url), /SP_AGENT_ENDED/)
    })
  })
})

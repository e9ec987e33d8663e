import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { userInfo } from 'node:os'
import { after, before, suite, test } from 'node:test'
import { Client } from 'pg'
import { skipReason, until } from '@sallyport/testkit'
import type { ApprovalView } from '@sallyport/gateway'
import { AgentFamily, type TestAgent } from './agent-family.ts'
import { psqlOnTerminal, sallyport, startPsql } from './command-line.ts'
import { workerPids } from './hardship.ts'
import { TestService } from './service-root.ts'
import { startTestGateway, type TestGateway } from './test-gateway.ts'

const policy = `apiVersion: sallyport.dev/v1
kind: Policy
metadata: {name: ask}
spec:
  owner: group:test
  rules:
    - name: ask-for-deletes
      on: sql
      when: '"delete" in op.classes'
      effect: approve
      approve: {from: [owner], selfRoot: allow}
      message: "The owner looks at deletes."
    - name: two-for-truncate
      on: sql
      when: op.objects.anyGlob("public.big")
      effect: approve
      approve: {from: [owner, "agent:reviewer@service:reviews"], count: 2, selfRoot: allow}
      message: "Two look at this."
    - name: short
      on: sql
      when: op.objects.anyGlob("public.brief")
      effect: approve
      approve: {from: [owner], within: 1s, selfRoot: allow}
      message: "Be quick."
    - name: come-again
      on: sql
      when: op.objects.anyGlob("public.later")
      effect: approve
      approve: {from: [owner], wait: return, selfRoot: allow}
      message: "Come again."
    - name: not-by-me
      on: sql
      when: op.objects.anyGlob("public.foreign_only")
      effect: approve
      approve: {from: [owner, "agent:reviewer@service:reviews", "agent:reviewer@user:${userInfo().username}"]}
      message: "Somebody else looks at this."
`
const seed = `
create table orders(id int primary key, status text);
insert into orders select g, case when g % 2 = 0 then 'stale' else 'new' end from generate_series(1, 100) g;
create table people(id int primary key, email text);
insert into people values (1, 'ana@example.com'), (2, 'ben@example.com');
create table brief(id int);
create table big(id int);
create table later(id int);
create table foreign_only(id int);
create view shown as select id from orders;
create function tell() returns int language sql as 'select 1';
`

suite('a command that needs an approval', { skip: skipReason(), timeout: 120_000 }, () => {
  let gateway: TestGateway
  let family: AgentFamily
  let root: TestAgent
  let reviews: TestService
  let count = 0
  before(async () => {
    const prepare = async (dataDir: string): Promise<void> => {
      reviews = await TestService.prepare(dataDir, 'reviews')
    }
    gateway = await startTestGateway({ policy, seed, prepare })
    family = new AgentFamily(gateway)
    root = await family.root()
  })
  after(async () => await gateway[Symbol.asyncDispose]())

  const child = async (): Promise<TestAgent> => {
    count += 1
    return await family.child(root, `fixer-${count}`)
  }
  const session = async (): Promise<Client> => await family.session(await child())
  const orders = async (): Promise<number> =>
    Number(await gateway.postgres.sql('select count(*) from orders'))
  const serverLog = async (): Promise<string> => await readFile(gateway.postgres.logFile, 'utf8')

  test('waits in psql, and runs when it is approved', async () => {
    const sql = 'delete from orders where id = 1'
    using running = startPsql(gateway, await family.url(await child()), ['-c', sql])
    const { id, chain, objects, policyVersion } = await waiting(gateway, /id = 1$/)
    assert.deepEqual(chain, ['root', 'fixer-1'])
    assert.deepEqual(objects, ['public.orders'])
    assert.ok(policyVersion > 0)
    await running.printed(/Ctrl-C cancels. The request expires in 10 min./)
    assert.match(
      running.err,
      new RegExp(`held for approval ${id} \\(1 of owner\\) sallyport approve ${id}`),
    )
    assert.match(running.err, /DELETE on public.orders. The owner looks at deletes./)
    assert.doesNotMatch(await serverLog(), /: delete.*id = 1$/m)
    assert.equal((await answer(gateway, id, 'approve', 'ok')).state, 'used')
    assert.equal(await running.ended(), 0)
    assert.equal(running.out, 'DELETE 1\n')
    assert.match(running.err, /approved by root/)
    assert.deepEqual(await story(gateway, id), [
      ['approval.asked', 'fixer-1'],
      ['approval.answered', 'root'],
      ['approval.ended', 'approvals'],
    ])
  })

  test('is refused where it is denied, and the session goes on; its transaction does not', async () => {
    const client = await session()
    await client.query('begin')
    const held = failure(client.query('delete from orders where id = 2'))
    const { id, inTransaction, askedAt, until: end } = await waiting(gateway, /id = 2$/)
    assert.ok(inTransaction)
    assert.equal(Math.round((Date.parse(end) - Date.parse(askedAt)) / 1000), 60)
    await answer(gateway, id, 'deny', 'add a LIMIT')
    const { code, message, hint } = await held
    assert.equal(code, '42501')
    assert.match(message, /^denied by root: "add a LIMIT"$/)
    assert.match(hint, new RegExp(`do not resend it unchanged.*${id}.*SP_APPROVAL_DENIED`))
    assert.match((await failure(client.query('select 1'))).message, /transaction is aborted/)
    assert.equal((await client.query('rollback')).command, 'ROLLBACK')
    assert.equal((await client.query('select 1 as one')).rows[0].one, 1)
    await client.end()
    assert.doesNotMatch(await serverLog(), /: delete.*id = 2$/m)
  })

  test('is refused where nobody answers in time', async () => {
    const client = await session()
    const { message, hint } = await failure(client.query('insert into brief values (1)'))
    assert.match(message, /^nobody answered ap_\w+ in time \(1 of owner\)$/)
    assert.match(hint, /SP_APPROVAL_EXPIRED/)
    assert.equal((await client.query('select count(*) from people where false')).rowCount, 1)
    await client.end()
    const [expired] = await list(gateway, 'expired')
    assert.match(expired?.text ?? '', /brief/)
    const { status, answer: said } = await family.tryAsk(
      'POST',
      `/v1/approvals/${expired?.id}/answer`,
      { decision: 'approve' },
    )
    assert.equal(status, 403)
    assert.match(JSON.stringify(said), /has ended: expired/)
  })

  test('is withdrawn by Ctrl-C, and what is typed next runs', async () => {
    using running = psqlOnTerminal(gateway, await family.url(await child()))
    running.type('delete from orders where id = 3;\n')
    const { id } = await waiting(gateway, /id = 3;$/)
    running.type('\u0003')
    await running.printed(/was withdrawn: its caller cancelled it/)
    running.type('select 40 + 2 as sum;\n')
    await running.printed(/42/)
    running.child.kill()
    assert.equal((await get(gateway, id)).state, 'withdrawn')
    assert.equal(await gateway.postgres.sql('select id from orders where id = 3'), '3')
  })

  test('is withdrawn where its caller goes, also one that has sent more', async () => {
    for (const more of ['', '; select 1']) {
      const client = await session()
      const held = failure(client.query(`delete from orders where id = 4${more}`))
      if (more !== '') void failure(client.query('select 2'))
      const { id } = await waiting(gateway, /id = 4/)
      destroy(client)
      await held
      await until('it is withdrawn', async () => (await get(gateway, id)).state === 'withdrawn')
    }
    assert.equal(await gateway.postgres.sql('select id from orders where id = 4'), '4')
  })

  test('is withdrawn where an agent of its chain is taken away or frozen', async () => {
    for (const act of ['revoke', 'freeze'] as const) {
      const parent = await child()
      const agent = await family.child(parent, 'below')
      const client = await family.session(agent)
      const held = failure(client.query('delete from orders where id = 5'))
      const { id } = await waiting(gateway, /id = 5$/)
      const { sessions } = await family[act](parent, 'not now')
      const outcomes = sessions.map(({ outcome }) => outcome)
      assert.deepEqual(outcomes, act === 'revoke' ? ['withdrawn'] : [])
      const { message } = await held
      assert.match(message, act === 'revoke' ? /revoked|terminat|clos/i : /frozen/)
      await until('it is withdrawn', async () => (await get(gateway, id)).state === 'withdrawn')
      const said = await family.tryAsk('POST', `/v1/approvals/${id}/answer`, {
        decision: 'approve',
      })
      assert.equal(said.status, 403)
      destroy(client)
    }
    assert.equal(await gateway.postgres.sql('select id from orders where id = 5'), '5')
  })

  test('keeps the order: what came before it is answered, what comes behind it waits', async () => {
    const client = await session()
    const seen: string[] = []
    const first = client.query('select 1 as n').then(() => seen.push('first'))
    const held = client
      .query({ text: 'delete from orders where id = $1', values: [6] })
      .then(({ rowCount }) => seen.push(`held ${rowCount}`))
    const last = client.query('select 3 as n').then(() => seen.push('last'))
    const { id, parameters } = await waiting(gateway, /id = \$1$/)
    assert.deepEqual(parameters, ['6'])
    await first
    assert.deepEqual(seen, ['first'])
    const other = await session()
    assert.equal((await other.query('select 7 as n')).rows[0].n, 7)
    await other.end()
    await answer(gateway, id, 'approve')
    await Promise.all([held, last])
    assert.deepEqual(seen, ['first', 'held 1', 'last'])
    await client.end()
  })

  test('is not asked for when it is only prepared, and each execution is asked for itself', async () => {
    const client = await session()
    const query = { name: 'del', text: 'delete from orders where id = $1' }
    for (const n of [7, 8]) {
      const held = client.query({ ...query, values: [n] })
      const { id, parameters } = await waiting(gateway, /id = \$1$/)
      assert.deepEqual(parameters, [String(n)])
      await answer(gateway, id, 'approve')
      assert.equal((await held).rowCount, 1)
    }
    await client.query('prepare p(int) as delete from orders where id = $1')
    const held = client.query('execute p(9)')
    const { id, verb } = await waiting(gateway, /execute p/)
    assert.equal(verb, 'delete')
    await answer(gateway, id, 'approve')
    assert.equal((await held).rowCount, 1)
    await client.end()
  })

  test('needs as many as the rule says, and nobody twice', async () => {
    const client = await session()
    const held = client.query('insert into big values (1)')
    const { id } = await waiting(gateway, /into big/)
    assert.equal((await answer(gateway, id, 'approve')).state, 'pending')
    assert.equal((await answer(gateway, id, 'approve')).state, 'pending')
    const reviewer = await named(family, await reviews.root(gateway), 'reviewer')
    await family.ask('POST', `/v1/approvals/${id}/answer`, { decision: 'approve' }, reviewer.handle)
    assert.equal((await held).command, 'INSERT')
    await client.end()
    const { answers } = await get(gateway, id)
    assert.deepEqual(
      answers.map(({ by, kind }) => [by, kind]),
      [
        ['root', 'owner'],
        ['reviewer', 'agent'],
      ],
    )
  })

  test('is judged again when it is approved: by the rules of then, and by what its names mean then', async () => {
    const rule = (text: string): string => `${policy}    - {on: sql, ${text}}\n`
    const client = await session()
    const blocked = failure(client.query('delete from orders where id = 20'))
    const first = await waiting(gateway, /id = 20$/)
    await load(
      gateway,
      rule(`name: no-deletes, when: '"delete" in op.classes', effect: block, message: "No."`),
    )
    await answer(gateway, first.id, 'approve')
    assert.match((await blocked).message, /no-deletes/)

    await load(gateway, policy)
    const masked = client.query('delete from people where id = 1 returning email')
    const second = await waiting(gateway, /people/)
    const mask = 'mask: [{columns: ["*.email"], with: redact}]'
    await load(gateway, rule(`name: mask, when: "true", effect: mask, ${mask}`))
    await answer(gateway, second.id, 'approve')
    const { rows } = await masked
    assert.doesNotMatch(JSON.stringify(rows), /ana@example/)
    assert.equal(rows.length, 1)
    await load(gateway, policy)

    const moved = failure(client.query('delete from shown where id = 21'))
    const third = await waiting(gateway, /from shown/)
    await gateway.postgres.sql('drop view shown; create view shown as select id from people')
    await answer(gateway, third.id, 'approve')
    const { message, hint } = await moved
    assert.match(message, /has changed since its approval was asked for/)
    assert.match(hint, /SP_APPROVAL_WITHDRAWN/)
    assert.equal(await gateway.postgres.sql('select count(*) from people'), '1')
    await client.end()
  })

  test('for callers that cannot wait: comes again, and runs once', async () => {
    const agent = await child()
    const client = await family.session(agent)
    const insert = async (n: number): Promise<string> =>
      await client.query({ text: 'insert into later values ($1)', values: [n] }).then(
        () => 'ran',
        (error: Error) => error.message,
      )
    const first = await insert(1)
    assert.match(first, /^waiting for ap_\w+ \(1 of owner\)$/)
    assert.equal(await insert(1), first, 'the same request is told again')
    const id = /ap_\w+/.exec(first)?.[0] ?? ''
    assert.notEqual(await insert(2), first, 'other values are another command')
    await answer(gateway, id, 'approve')
    assert.notEqual(await insert(2), 'ran')
    const sibling = await family.session(await child())
    const theirs = await failure(
      sibling.query({ text: 'insert into later values ($1)', values: [1] }),
    )
    assert.match(theirs.message, /^waiting for/)
    assert.doesNotMatch(theirs.message, new RegExp(id))
    await client.query('set search_path = public')
    assert.notEqual(await insert(1), 'ran', 'a session that has set something is another one')
    const again = await family.session(agent)
    const ran = await again.query({ text: 'insert into later values ($1)', values: [1] })
    assert.equal(ran.rowCount, 1)
    const spent = await failure(again.query({ text: 'insert into later values ($1)', values: [1] }))
    assert.match(spent.message, /^waiting for/)
    assert.equal(await gateway.postgres.sql('select count(*) from later'), '1')
    for (const each of [client, sibling, again]) await each.end()
  })

  test('nobody of the tree answers for it, nor whom no rule names', async () => {
    const client = await session()
    const held = failure(client.query('insert into foreign_only values (1)'))
    const { id } = await waiting(gateway, /foreign_only/)
    const path = `/v1/approvals/${id}/answer`
    const yes = { decision: 'approve' }
    const own = await family.tryAsk('POST', path, yes)
    assert.equal(own.status, 403)
    assert.match(JSON.stringify(own.answer), /nobody answers a request of the own tree/)
    const sibling = await family.child(root, 'reviewer')
    const bySibling = await family.tryAsk('POST', path, yes, sibling.handle)
    assert.deepEqual(
      [bySibling.status, JSON.stringify(bySibling.answer).includes('own tree')],
      [403, true],
    )
    const stranger = await family.root({})
    const unseen = await family.tryAsk('POST', path, yes, stranger.handle)
    assert.equal(unseen.status, 404)
    const bad = await family.tryAsk('POST', path, { decision: 'approve', force: true })
    assert.equal(bad.status, 400)
    const impostor = await named(family, stranger, 'reviewer')
    const byImpostor = await family.tryAsk('POST', path, yes, impostor.handle)
    assert.equal(byImpostor.status, 403, 'an agent of the same person')
    const reviewer = await named(family, await reviews.root(gateway), 'reviewer')
    await family.ask('POST', path, { decision: 'deny', note: 'no' }, reviewer.handle)
    assert.match((await held).message, /^denied by reviewer: "no"$/)
    const twice = await family.tryAsk('POST', path, yes, reviewer.handle)
    assert.equal(twice.status, 403)
    await client.end()
    const facts = (await (
      await gateway.api('GET', `/v1/ledger?q=what:approval.refused`)
    ).json()) as {
      facts: unknown[]
    }
    assert.ok(facts.facts.length > 0)
  })

  test('is on record from its question to its end, and is found by that', async () => {
    const client = await session()
    const held = client.query('delete from orders where id = 30')
    const { id, session: recorded } = await waiting(gateway, /id = 30$/)
    await answer(gateway, id, 'approve', 'seen with Ben')
    await held
    await client.end()
    using replay = sallyport(gateway, ['export', recorded, '--as', 'text', '--file', '-'])
    await replay.ended()
    assert.match(replay.out, new RegExp(`held for ${id} \\(1 of owner\\) until`))
    assert.match(replay.out, new RegExp(`approved by root \\(${id}\\): seen with Ben`))
    await until('it is in the index', async () => {
      const query = encodeURIComponent('verdict:approved text:"id = 30"')
      return (await (await gateway.api('GET', `/v1/sessions?q=${query}`)).text()).includes(recorded)
    })
    using verified = sallyport(gateway, ['verify', recorded])
    assert.equal(await verified.ended(), 0)
  })

  test('is answered on the command line', async () => {
    const client = await session()
    const held = failure(client.query('delete from orders where id = 31'))
    const { id } = await waiting(gateway, /id = 31$/)
    using listed = sallyport(gateway, ['approvals', '-o', 'table'])
    assert.equal(await listed.ended(), 0)
    assert.match(listed.out, new RegExp(`${id}.*delete from orders where id = 31`))
    using shown = sallyport(gateway, ['approvals', 'show', id.slice(0, 8), '-o', 'table'])
    await shown.ended()
    assert.match(shown.out, /WHO +root › fixer-\d+/)
    assert.match(shown.out, /WHY +ask\/ask-for-deletes: The owner looks at deletes\./)
    using denied = sallyport(gateway, ['deny', id, '--note', 'not today', '-o', 'table'])
    assert.equal(await denied.ended(), 0)
    assert.match((await held).message, /not today/)
    using late = sallyport(gateway, ['approve', id])
    assert.equal(await late.ended(), 4)
    assert.match(late.err + late.out, /SP_APPROVAL_REFUSED/)
    await client.end()
  })

  test('is withdrawn where its worker dies, and where the gateway ends', async () => {
    const client = await session()
    void failure(client.query('delete from orders where id = 40'))
    const { id } = await waiting(gateway, /id = 40$/)
    for (const pid of await workerPids(gateway)) process.kill(pid, 'SIGKILL')
    await until('it is withdrawn', async () => (await get(gateway, id)).state === 'withdrawn')
    assert.equal(await gateway.postgres.sql('select id from orders where id = 40'), '40')
    assert.ok((await orders()) > 0)
  })
})

interface Refused {
  readonly code: string
  readonly message: string
  readonly hint: string
}

async function failure(query: Promise<unknown>): Promise<Refused> {
  return await query.then(
    () => assert.fail('it ran'),
    (error: Refused) => ({ code: error.code, message: error.message, hint: error.hint ?? '' }),
  )
}

function destroy(client: Client): void {
  const { connection } = client as unknown as { connection: { stream: { destroy(): void } } }
  connection.stream.destroy()
}

async function named(family: AgentFamily, parent: TestAgent, name: string): Promise<TestAgent> {
  return await family.child(parent, name)
}

async function list(gateway: TestGateway, state: string): Promise<ApprovalView[]> {
  return (await (await gateway.api('GET', `/v1/approvals?state=${state}`)).json()) as ApprovalView[]
}

async function get(gateway: TestGateway, id: string): Promise<ApprovalView> {
  return (await (await gateway.api('GET', `/v1/approvals/${id}`)).json()) as ApprovalView
}

async function waiting(gateway: TestGateway, text: RegExp): Promise<ApprovalView> {
  return await until(`${text} waits`, async () =>
    (await list(gateway, 'pending')).find((each) => text.test(each.text)),
  )
}

async function answer(
  gateway: TestGateway,
  id: string,
  decision: 'approve' | 'deny',
  note = '',
): Promise<ApprovalView> {
  const response = await gateway.api('POST', `/v1/approvals/${id}/answer`, { decision, note })
  assert.ok(response.ok, await response.clone().text())
  return (await response.json()) as ApprovalView
}

/** Resolves when every worker decides by this policy. */
async function load(gateway: TestGateway, text: string): Promise<void> {
  const before = await versions(gateway)
  await gateway.writePolicy(text)
  await until('it is in force', async () =>
    (await versions(gateway)).every((version, n) => version > (before[n] ?? 0)),
  )
}

async function versions({ gateway }: TestGateway): Promise<number[]> {
  const { policies, workers } = await gateway.status()
  return [policies.version, ...workers.map(({ snapshotVersion }) => snapshotVersion)]
}

/** What the ledger tells of a request, oldest first. */
async function story(gateway: TestGateway, id: string): Promise<string[][]> {
  const page = (await (await gateway.api('GET', `/v1/ledger?q=subject:${id}`)).json()) as {
    facts: { what: string; actor: string; chain: string[] }[]
  }
  // When the target is looked at does not matter here.
  const told = page.facts.filter(({ what }) => what !== 'approval.previewed')
  return told.toReversed().map(({ what, actor, chain }) => [what, chain.at(-1) ?? actor])
}

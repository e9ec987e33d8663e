import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { startGateway, type RetentionPlan } from '@sallyport/gateway'
import { skipReason, until } from '@sallyport/testkit'
import { sallyport } from './command-line.ts'
import { connect } from './hardship.ts'
import { startTestGateway, type TestGateway } from './test-gateway.ts'

async function ran(
  gateway: TestGateway,
  ...words: string[]
): Promise<{ code: number; out: string; err: string }> {
  using running = sallyport(gateway, words)
  const code = await running.ended()
  return { code, out: running.out, err: running.err }
}

suite('retention', { skip: skipReason() }, () => {
  test('erases what is due but for what is held, and verify goes by the ledger', async () => {
    await using gateway = await startTestGateway()
    for (const text of ['one', 'two']) {
      const client = await connect(gateway)
      await client.query(`select 'marker-${text}'`)
      await client.end()
    }
    const listed = async (): Promise<{ id: string; closedAt?: string }[]> =>
      (await (await gateway.api('GET', '/v1/sessions')).json()) as never
    const [two, one] = await until('both have ended', async () => {
      const all = await listed()
      return all.length === 2 && all.every(({ closedAt }) => closedAt !== undefined) ? all : false
    })
    assert.ok(one !== undefined && two !== undefined)
    const nothing = await ran(gateway, 'retention', 'plan', '-o', 'table')
    assert.match(nothing.out, /^0 to erase, 0 kept/u, nothing.err)
    // Its journals are shipped and removed with the next start.
    await gateway.gateway.stop(0)
    await using stack = new AsyncDisposableStack()
    const again = await startGateway({
      dataDir: gateway.dataDir,
      ports: { api: gateway.gateway.ports.api, postgres: 0 },
      host: '127.0.0.1',
      workers: 1,
      durability: 'process',
      demo: false,
      onEvent: () => undefined,
    })
    stack.defer(async () => await again.stop(0))
    const file = join(gateway.dataDir, 'retention.yaml')
    const rules = 'apiVersion: sallyport.dev/v1\nkind: Retention\nspec:\n  default: '
    await writeFile(file, `${rules}soon\n`)
    const wrong = await ran(gateway, 'retention', 'apply')
    assert.deepEqual([wrong.code, /retention\.yaml:4:12/u.test(wrong.err + wrong.out)], [2, true])
    await writeFile(file, `${rules}1s\n`)
    const held = await ran(gateway, 'hold', 'add', two.id, '--reason', 'case 4711', '-o', 'name')
    assert.match(held.out, /^ho_/u, held.err)
    const unknown = await ran(gateway, 'hold', 'add', 's_nothere', '--reason', 'x')
    assert.equal(unknown.code, 2)
    const plan = await until('the journals are done with', async () => {
      const found = JSON.parse(
        (await ran(gateway, 'retention', 'plan', '-o', 'json')).out,
      ) as unknown
      const { sessions } = found as RetentionPlan
      return sessions.some(({ action }) => action === 'erase') ? sessions : false
    })
    assert.deepEqual(
      plan.map(({ session, action, because }) => [session, action, because?.slice(0, 7)]),
      [
        [one.id, 'erase', undefined],
        [two.id, 'keep', 'held by'],
      ],
    )
    const applied = await ran(gateway, 'retention', 'apply', '-o', 'json')
    assert.deepEqual(JSON.parse(applied.out), { erased: [one.id], failed: [], approvals: 0 })
    assert.deepEqual(
      (await listed()).map(({ id }) => id),
      [two.id],
    )
    const gone = await gateway.api('GET', `/v1/sessions/${one.id}`)
    assert.equal(gone.status, 404)
    const found = await gateway.api(
      'GET',
      `/v1/sessions?q=${encodeURIComponent('text:marker-one')}`,
    )
    assert.deepEqual(((await found.json()) as { sessions: unknown[] }).sessions, [])
    const proven = await ran(gateway, 'verify', '-o', 'table')
    assert.equal(proven.code, 0, proven.out)
    const said = new RegExp(
      `${one.id} was erased by retention on [\\d-]+, as the ledger says: the default keeps 1s`,
      'u',
    )
    assert.match(proven.out, said)
    const alone = await ran(gateway, 'verify', one.id, '-o', 'table')
    assert.match(alone.out, said)
    const facts = await ran(gateway, 'ledger', 'what:retention.*,hold.*', '-o', 'name')
    assert.equal(facts.out, 'retention.erased\nhold.added\n')
    const released = await ran(gateway, 'hold', 'remove', held.out.trim(), '--reason', 'closed')
    assert.equal(released.code, 0, released.err)
    const rest = await ran(gateway, 'retention', 'apply', '-o', 'json')
    assert.deepEqual(JSON.parse(rest.out), { erased: [two.id], failed: [], approvals: 0 })
    assert.equal((await ran(gateway, 'verify')).code, 0)
  })
})

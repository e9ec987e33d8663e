import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sql } from 'kysely'
import { type Bench, layer, onBothStores } from './agents.fixture.ts'

/** Changes that must never happen to the row of an agent `x`, whoever tries. `%` is its id. */
const forbidden: readonly (readonly [name: string, change: string])[] = [
  ['its id', `update agent set id = 'a_other' where id = '%'`],
  ['its root', `update agent set root_id = '%' where id = '%'`],
  ['its parent', `update agent set parent_id = '%' where id = '%'`],
  ['its parent, taken away', `update agent set parent_id = null where id = '%'`],
  ['its path', `update agent set path = array['%'] where id = '%'`],
  ['its depth', `update agent set depth = 0 where id = '%'`],
  ['its principal', `update agent set principal = 'user:eve' where id = '%'`],
  ['its birth', `update agent set born = 'login' where id = '%'`],
  [
    'the time of its birth',
    `update agent set created_at = now() - interval '1 year' where id = '%'`,
  ],
  [
    'a later end than its parent',
    `update agent set expires_at = (select p.expires_at + interval '1 s' from agent p where p.id = agent.parent_id) where id = '%'`,
  ],
  [
    'a root that ends later',
    `update agent set expires_at = expires_at + interval '1 s' where id = (select root_id from agent where id = '%')`,
  ],
  ['a budget that is reserved later', `update budget set reserved = true where agent_id = '%'`],
  ['a layer less', `update agent set layers = layers - 0 where id = '%'`],
  ['no layers', `update agent set layers = '[]' where id = '%'`],
  [
    'a wider layer',
    `update agent set layers = jsonb_set(layers, '{0,permits,0,classes}', '["*"]') where id = '%'`,
  ],
  [
    'layers in another order',
    `update agent set layers = jsonb_build_array(layers -> 1, layers -> 0) where id = '%'`,
  ],
  ['more levels', `update agent set limits = jsonb_set(limits, '{depth}', '9') where id = '%'`],
  [
    'more children',
    `update agent set limits = jsonb_set(limits, '{children}', '99') where id = '%'`,
  ],
  ['more agents', `update agent set limits = jsonb_set(limits, '{agents}', '999') where id = '%'`],
  [
    'longer children',
    `update agent set limits = jsonb_set(limits, '{ttlMs}', '9e9') where id = '%'`,
  ],
  [
    'leave to detach',
    `update agent set limits = jsonb_set(limits, '{detach}', 'true') where id = '%'`,
  ],
  ['a limit less', `update agent set limits = limits - 'depth' where id = '%'`],
  ['being detached', `update agent set on_parent_end = 'detach' where id = '%'`],
  ['no row at all', `delete from agent where id = '%'`],
  ['a higher cap', `update budget set cap = cap + 1 where agent_id = '%'`],
  [
    'a budget of another agent',
    `update budget set agent_id = (select root_id from agent where id = '%') where agent_id = '%'`,
  ],
  ['a budget of another kind', `update budget set kind = 'rows' where agent_id = '%'`],
  ['no budget', `delete from budget where agent_id = '%'`],
  ['more spent than the cap', `update budget set used = cap + 1 where agent_id = '%'`],
  ['another ledger', `update agent_event set by_name = 'eve' where agent_id = '%'`],
  ['no ledger', `delete from agent_event where agent_id = '%'`],
  [
    'a sibling of its name',
    `insert into agent select (jsonb_populate_record(agent, '{"id": "a_twin"}')).* from agent where id = '%'`,
  ],
]

onBothStores('what the tables refuse', (bench: Bench) => {
  const made = async (): Promise<string> => {
    await sql`insert into principal values ('user:eve', 'human', 'eve', '[]') on conflict do nothing`.execute(
      bench.store.db,
    )
    const root = await bench.root({ budget: { commands: 10 } })
    const more = {
      layers: [layer('orders:read'), layer('orders:read,explain')],
      budget: { commands: 5 },
    }
    const { agent } = await bench.child(root.agent.id, 'worker', more)
    return agent.id
  }
  const run = async (change: string, id: string): Promise<void> => {
    await sql.raw(change.replaceAll('%', id)).execute(bench.store.db)
  }

  for (const [name, change] of forbidden) {
    test(`an agent never gets ${name}`, async () => {
      const id = await made()
      await assert.rejects(run(change, id), (error: unknown) => {
        assert.ok(error instanceof Error && 'code' in error, String(error))
        assert.ok(
          ['23514', '23505', '23503'].includes(String(error.code)),
          `${String(error.code)} ${error.message}`,
        )
        return true
      })
    })
  }

  for (const state of ['ended', 'expired', 'revoked']) {
    test(`an agent that is ${state} stays so`, async () => {
      const id = await made()
      await run(`update agent set state = '${state}', ended_at = now() where id = '%'`, id)
      for (const next of ['active', 'frozen', 'ended', 'expired', 'revoked'].filter(
        (each) => each !== state,
      ))
        await assert.rejects(run(`update agent set state = '${next}' where id = '%'`, id), /final/)
      await assert.rejects(run(`update agent set ended_at = null where id = '%'`, id), /final/)
      const later = `update agent set expires_at = expires_at + interval '1 s' where id = '%'`
      await assert.rejects(run(later, id), /lives no longer/)
    })
  }

  test('what narrows is taken', async () => {
    const id = await made()
    await run(`update agent set expires_at = expires_at - interval '1 s' where id = '%'`, id)
    await run(`update agent set layers = layers || '[{"permits": []}]' where id = '%'`, id)
    await run(`update agent set limits = jsonb_set(limits, '{children}', '0') where id = '%'`, id)
    await run(`update budget set cap = 1 where agent_id = '%'`, id)
    const { rows } = await sql<{ n: number }>`
      select jsonb_array_length(layers) as n from agent where id = ${id}`.execute(bench.store.db)
    assert.deepEqual(rows, [{ n: 3 }])
  })

  test('what a credential or a ticket was made for stays, and neither is used anew', async () => {
    const id = await made()
    const credential = await bench.credential(id, { maxUses: 2 })
    await bench.admit({ id }, credential)
    const { ticket } = await bench.service.createTicket(id, {
      name: 'far',
      layers: [],
      born: 'ticket',
      handle: true,
    })
    await bench.service.redeemTicket(ticket)
    const other = '(select root_id from agent where id = agent_id)'
    for (const change of [
      'uses = 0',
      'max_uses = 9',
      'max_uses = null',
      'level = 4',
      `agent_id = ${other}`,
      `secret_sha256 = 'x'`,
      'pin = null',
      `expires_at = expires_at + interval '1 s'`,
    ])
      await assert.rejects(run(`update credential set ${change} where agent_id = '%'`, id), {
        code: '23514',
      })
    for (const change of ['redeemed_at = null', 'redeemed_by = null', `request = '{}'`])
      await assert.rejects(run(`update ticket set ${change} where parent_id = '%'`, id), {
        code: '23514',
      })
    for (const table of ['agent', 'agent_event', 'revocation', 'budget'])
      await assert.rejects(run(`truncate ${table} cascade`, id), { code: '23514' })
  })

  test('a revocation is not rewritten; its report may follow', async () => {
    const id = await made()
    await bench.service.revoke(id, 'dana', 'runaway')
    await assert.rejects(
      run(`update revocation set reason = 'nothing' where agent_id = '%'`, id),
      /stays/,
    )
    await assert.rejects(run(`delete from revocation where agent_id = '%'`, id), /stays/)
    const { rows } = await sql<{ report: { state: string } }>`
      select report from revocation where agent_id = ${id}`.execute(bench.store.db)
    assert.equal(rows[0]?.report.state, 'closed')
  })
})

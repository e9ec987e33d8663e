import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sql } from 'kysely'
import type { Admission } from '../../boundary/agents.ts'
import { type Bench, hasCode, layer, onBothStores } from './agents.fixture.ts'

const minuteMs = 60_000

onBothStores('admissions', (bench: Bench) => {
  const codeOf = (admission: Admission): string =>
    admission.kind === 'admitted' ? 'admitted' : admission.code
  const findings = async (agent: string): Promise<string[]> => {
    await bench.service.stop()
    const rows = await bench.store.db
      .selectFrom('sharing_finding')
      .select('rule')
      .where('agent_id', '=', agent)
      .orderBy('at')
      .execute()
    return rows.map(({ rule }) => rule)
  }

  test('a one-shot credential opens one session, also of many at once and after a restart', async () => {
    const { agent } = await bench.root()
    const credential = await bench.credential(agent.id)
    const tries = await Promise.all(
      Array.from({ length: 10 }, () => bench.admit(agent, credential)),
    )
    assert.deepEqual(tries.map(codeOf).toSorted(), [
      ...Array.from({ length: 9 }, () => 'SP_CREDENTIAL_SHARED'),
      'admitted',
    ])
    await bench.restart()
    assert.equal(codeOf(await bench.admit(agent, credential)), 'SP_CREDENTIAL_SHARED')
    assert.equal(bench.service.get(agent.id)?.state, 'active')
  })

  test('a credential for twenty sessions opens twenty', async () => {
    const { agent } = await bench.root()
    const credential = await bench.credential(agent.id, { maxUses: 20 })
    const tries = await Promise.all(
      Array.from({ length: 30 }, () => bench.admit(agent, credential)),
    )
    assert.equal(tries.map(codeOf).filter((code) => code === 'admitted').length, 20)
  })

  test('a second address is refused and freezes the agent, with both pieces of evidence', async () => {
    const { agent } = await bench.root()
    const credential = await bench.credential(agent.id, { maxUses: 5 })
    assert.equal(codeOf(await bench.admit(agent, credential, 's_pin1', '10.0.0.1')), 'admitted')
    assert.equal(
      codeOf(await bench.admit(agent, credential, 's_pin2', '::ffff:10.0.0.1')),
      'admitted',
    )
    const elsewhere = await bench.admit(agent, credential, 's_pin3', '10.0.0.2')
    assert.equal(codeOf(elsewhere), 'SP_CREDENTIAL_SHARED')
    assert.ok(
      elsewhere.kind === 'refused' && !elsewhere.detail.includes('10.0.0'),
      'no address is told',
    )
    assert.deepEqual(await findings(agent.id), ['S1'])
    assert.equal(bench.service.get(agent.id)?.state, 'frozen')
    const row = await bench.store.db
      .selectFrom('sharing_finding')
      .selectAll()
      .where('agent_id', '=', agent.id)
      .executeTakeFirstOrThrow()
    assert.match(JSON.stringify(row.evidence_a), /10\.0\.0\.1/)
    assert.match(JSON.stringify(row.evidence_b), /10\.0\.0\.2/)
    assert.equal(codeOf(await bench.admit(agent, credential)), 'SP_AGENT_FROZEN')
  })

  test('an IPv6 network counts as one address', async () => {
    const { agent } = await bench.root()
    const credential = await bench.credential(agent.id, { maxUses: 5 })
    const from = async (source: string): Promise<string> =>
      codeOf(await bench.admit(agent, credential, undefined, source))
    assert.equal(await from('2001:db8:1:2::7'), 'admitted')
    assert.equal(await from('2001:db8:1:2:ffff:1:2:3'), 'admitted')
    assert.equal(await from('2001:db8:1:3::7'), 'SP_CREDENTIAL_SHARED')
    await bench.service.stop()
  })

  test('five sessions at once on one credential are noted, four are not', async () => {
    const { agent } = await bench.root()
    const credential = await bench.credential(agent.id, { maxUses: 9 })
    for (let count = 0; count < 4; count += 1) await bench.admit(agent, credential)
    assert.deepEqual(await findings(agent.id), [])
    await bench.admit(agent, credential)
    assert.deepEqual(await findings(agent.id), ['S2'])
    assert.equal(bench.service.get(agent.id)?.live.sessions, 5)
    bench.service.workerLost(0)
    assert.equal(bench.service.get(agent.id)?.live.sessions, 0)
  })

  test('a client that calls itself something else is noted, and let in', async () => {
    const { agent } = await bench.root()
    const credential = await bench.credential(agent.id, { maxUses: 9 })
    const as = async (application: string): Promise<string> =>
      codeOf(await bench.admit(agent, credential, undefined, undefined, application))
    assert.equal(await as('psql'), 'admitted')
    assert.equal(await as('psql'), 'admitted')
    assert.deepEqual(await findings(agent.id), [])
    assert.equal(await as('pgbench'), 'admitted')
    assert.deepEqual(await findings(agent.id), ['S3'])
    assert.equal(bench.service.get(agent.id)?.state, 'active')
  })

  test('use after the end is noted', async () => {
    const { agent } = await bench.root()
    const credential = await bench.credential(agent.id)
    await bench.service.end(agent.id, 'dana')
    assert.equal(codeOf(await bench.admit(agent, credential)), 'SP_AGENT_ENDED')
    assert.deepEqual(await findings(agent.id), ['S4'])
  })

  test('what is expired, foreign or unknown opens nothing', async () => {
    const { agent } = await bench.root()
    const other = await bench.root()
    const credential = await bench.credential(agent.id)
    assert.equal(codeOf(await bench.admit(other.agent, credential)), 'SP_LOGIN_REFUSED')
    assert.equal(codeOf(await bench.admit(agent, { id: 'none' as never })), 'SP_LOGIN_REFUSED')
    bench.nowMs += 15 * minuteMs
    assert.equal(codeOf(await bench.admit(agent, credential)), 'SP_CREDENTIAL_EXPIRED')
    bench.nowMs += 10 * minuteMs
    await bench.service.sweep()
    assert.equal(codeOf(await bench.admit(agent, credential)), 'SP_LOGIN_REFUSED')
  })

  test('a credential is minted for what the whole chain may open, within its bounds', async () => {
    const { agent } = await bench.root()
    const child = await bench.child(agent.id, 'x', {
      layers: [{ ...layer('orders:read'), window: { beforeMs: 0 } }],
    })
    await bench.service.narrow(agent.id, layer('stock:read'))
    await assert.rejects(
      bench.credential(child.agent.id),
      hasCode('SP_NOT_GRANTED', /^orders is not in the grant/),
    )
    const ask = { connection: 'stock', protocol: 'postgres' } as const
    const { agent: wide } = await bench.root({ layers: [layer('*:*')] })
    await assert.rejects(
      bench.service.mintCredential(wide.id, ask),
      hasCode('SP_NOT_GRANTED', /^stock is not in the grant/),
    )
    const wrong = [
      { maxUses: 0 },
      { maxUses: 21 },
      { ttlMs: 16 * minuteMs },
      { level: 4 },
      { level: 2, maxUses: 2 },
    ]
    for (const each of wrong)
      await assert.rejects(
        bench.service.mintCredential(wide.id, { ...ask, connection: 'orders', ...each }),
        hasCode('SP_CONFIG_INVALID'),
      )
    const short = await bench.root({ ttlMs: minuteMs })
    assert.equal((await bench.credential(short.agent.id)).expiresAtMs, bench.nowMs + minuteMs)
  })

  test('the sessions of a subtree have one budget, also for those that come at once', async () => {
    const { agent } = await bench.root({ budget: { sessions: 7 } })
    const children = await Promise.all(
      ['a', 'b', 'c'].map((name) => bench.child(agent.id, name, { budget: { sessions: 4 } })),
    )
    const credentials = await Promise.all(
      children.map((child) => bench.credential(child.agent.id, { maxUses: 20 })),
    )
    const tries = await Promise.all(
      Array.from({ length: 24 }, (_, at) => {
        const child = children[at % 3]?.agent
        const credential = credentials[at % 3]
        assert.ok(child !== undefined && credential !== undefined)
        return bench.admit(child, credential)
      }),
    )
    const codes = tries.map(codeOf)
    assert.equal(codes.filter((code) => code === 'admitted').length, 7)
    assert.equal(codes.filter((code) => code === 'SP_BUDGET_SPENT').length, 17)
    assert.equal(bench.service.budgetOf(agent.id)[0]?.used, 7)
    const { rows } = await sql<{ uses: string }>`
      select sum(uses) as uses from credential where agent_id = any(${children.map((child) => child.agent.id)}::text[])`.execute(
      bench.store.db,
    )
    assert.equal(Number(rows[0]?.uses), 7, 'a refused session is no use')
  })

  test('in a storm of connections none is let in once the revocation is in force', async () => {
    for (let round = 0; round < 5; round += 1) {
      const root = await bench.root({ budget: { sessions: 1000 } })
      const child = await bench.child(root.agent.id, 'x')
      const credentials = await Promise.all(
        Array.from({ length: 8 }, () => bench.credential(child.agent.id, { maxUses: 20 })),
      )
      let inForce = false
      let after = 0
      let storming = true
      let admitted = 0
      bench.service.onChange(({ agents }) => {
        if (agents.some(({ id, state }) => id === root.agent.id && state === 'revoked'))
          inForce = true
      })
      const storm = credentials.map(async (credential) => {
        while (storming) {
          const { kind } = await bench.admit(child.agent, credential)
          // The answer and the change leave in one order on one channel: what follows the change is too late.
          if (kind === 'admitted') {
            admitted += 1
            if (inForce) after += 1
          }
          await new Promise((resolve) => setImmediate(resolve))
        }
      })
      await new Promise((resolve) => setTimeout(resolve, 5 * round))
      await bench.service.revoke(root.agent.id, 'dana', 'storm')
      const late = await Promise.all(
        credentials.map((credential) => bench.admit(child.agent, credential)),
      )
      assert.ok(late.every(({ kind }) => kind === 'refused'))
      storming = false
      await Promise.all(storm)
      assert.equal(after, 0, `of ${admitted} admitted`)
      bench.service.workerLost(0)
    }
  })
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Bench, hasCode, layer, onBothStores } from './agents.fixture.ts'

const hourMs = 3600_000

onBothStores('births', (bench: Bench) => {
  test('a child names its chain, its parent and what it holds', async () => {
    const root = await bench.root()
    const more = { layers: [layer('orders:read')], purpose: 'look around' }
    const { agent, handle } = await bench.child(root.agent.id, 'scout', more)
    assert.deepEqual(agent.chain, ['dana', 'scout'])
    assert.deepEqual(agent.path, [root.agent.id, agent.id])
    assert.deepEqual(agent.grant, ['orders:read'])
    assert.equal(agent.purpose, 'look around')
    assert.equal(agent.owner, 'user:dana')
    assert.equal(bench.service.authenticateHandle(handle ?? '')?.id, agent.id)
    assert.equal(bench.service.get(root.agent.id)?.live.agents, 1)
  })

  test('a living sibling keeps its name, a dead one gives it up', async () => {
    const root = await bench.root()
    const names = async (): Promise<string> => (await bench.child(root.agent.id, 'a')).agent.name
    assert.deepEqual([await names(), await names(), await names()], ['a', 'a#2', 'a#3'])
    const second = bench.service.tree(root.agent.id).children[1]?.agent.id ?? ''
    await bench.service.end(second, 'dana')
    assert.equal(await names(), 'a#2')
  })

  test('a name that would mislead is refused', async () => {
    const root = await bench.root()
    for (const name of ['', '-a', 'A', 'a b', 'a#2', 'a'.repeat(33), 'x › y'])
      await assert.rejects(bench.child(root.agent.id, name), hasCode('SP_CONFIG_INVALID'))
  })

  test('asking for more than the parent holds is refused, or cut where that was asked for', async () => {
    const root = await bench.root({ layers: [layer('orders:read')], budget: { commands: 100 } })
    const ask = { layers: [layer('orders:read,write')], budget: { commands: 200 } }
    await assert.rejects(
      bench.child(root.agent.id, 'x', { layers: ask.layers }),
      hasCode(
        'SP_GRANT_EXCEEDS_PARENT',
        /orders:write, which dana does not hold. Held: orders:read/,
      ),
    )
    await assert.rejects(
      bench.child(root.agent.id, 'x', { budget: ask.budget }),
      hasCode('SP_GRANT_EXCEEDS_PARENT', /commands=200/),
    )
    await assert.rejects(
      bench.child(root.agent.id, 'x', { ttlMs: 9 * hourMs }),
      hasCode('SP_GRANT_EXCEEDS_PARENT', /ttl 9h/),
    )
    const cut = await bench.child(root.agent.id, 'x', { ...ask, ttlMs: 9 * hourMs, cut: true })
    assert.deepEqual(cut.cut, ['orders:write', 'commands=200', 'ttl 9h'])
    assert.deepEqual(cut.agent.grant, ['orders:read'])
    assert.deepEqual(cut.agent.budget, [{ kind: 'commands', cap: 100, used: 0 }])
    assert.equal(cut.agent.expiresAt, root.agent.expiresAt)
  })

  test('a child lives an hour, or as long as its parent has left', async () => {
    const root = await bench.root()
    const child = await bench.child(root.agent.id, 'x')
    assert.equal(Date.parse(child.agent.expiresAt), bench.nowMs + hourMs)
    const grandchild = await bench.child(child.agent.id, 'y', { ttlMs: hourMs + 1000 })
    assert.equal(grandchild.agent.expiresAt, child.agent.expiresAt)
  })

  test('depth has an end, at 8 by default and at what a grant says', async () => {
    const deepest = async (delegate: { depth?: number }, levels: number): Promise<void> => {
      let { agent } = await bench.root({ delegate })
      for (let depth = 1; depth <= levels; depth += 1)
        agent = (await bench.child(agent.id, 'x')).agent
      assert.equal(agent.depth, levels)
      const text = new RegExp(`depth ${levels} is the limit`)
      await assert.rejects(bench.child(agent.id, 'x'), hasCode('SP_SPAWN_DEPTH', text))
    }
    await deepest({}, 8)
    await deepest({ depth: 2 }, 2)
    await deepest({ depth: 0 }, 0)
    await deepest({ depth: 16 }, 16)
    await assert.rejects(bench.root({ delegate: { depth: 17 } }), hasCode('SP_CONFIG_INVALID'))
  })

  test('children have an end, and a dead one makes room', async () => {
    const root = await bench.root()
    const born = await Promise.all(
      Array.from({ length: 32 }, () => bench.child(root.agent.id, 'x')),
    )
    const full = hasCode('SP_SPAWN_LIMIT', /dana has 32 live children \(limit 32\)/)
    await assert.rejects(bench.child(root.agent.id, 'x'), full)
    await bench.service.end(born[0]?.agent.id ?? '', 'dana')
    await bench.child(root.agent.id, 'x')
    await assert.rejects(bench.child(root.agent.id, 'x'), full)
  })

  test('spawns that come at once never make a tree larger than its limit', async () => {
    const root = await bench.root({ delegate: { agents: 10, children: 100 } })
    const tries = Array.from({ length: 30 }, () => bench.child(root.agent.id, 'x'))
    const done = await Promise.allSettled(tries)
    assert.equal(done.filter(({ status }) => status === 'fulfilled').length, 9)
    assert.equal(bench.service.get(root.agent.id)?.live.agents, 9)
    const names = bench.service.tree(root.agent.id).children.map(({ agent }) => agent.name)
    assert.equal(new Set(names).size, 9)
  })

  test('a tree spawns ten times in a second, and other trees are not kept waiting', async () => {
    bench.spawnsPerSecond = 10
    await bench.restartService()
    const root = await bench.root()
    const other = await bench.root()
    const tries = (): Promise<number> =>
      Promise.allSettled(Array.from({ length: 20 }, () => bench.child(root.agent.id, 'x'))).then(
        (done) => done.filter(({ status }) => status === 'fulfilled').length,
      )
    assert.equal(await tries(), 10)
    await bench.child(other.agent.id, 'x')
    bench.nowMs += 500
    assert.equal(await tries(), 5)
    bench.spawnsPerSecond = 1_000_000
    await bench.restartService()
  })

  test('no child is named so that a message reads as if a person or the gateway had acted', async () => {
    const root = await bench.root({
      name: 'd-root',
      principal: { id: 'user:d', kind: 'human', name: 'Dana.Scully@example.com', groups: [] },
    })
    for (const name of ['gateway', 'owner', 'security', 's9', 'd-root', 'dana-scully'])
      await assert.rejects(
        bench.child(root.agent.id, name),
        hasCode('SP_CONFIG_INVALID', /reads as/),
      )
    const ticket = { name: 'heartbeat', layers: [], born: 'ticket', handle: true } as const
    await assert.rejects(
      bench.service.createTicket(root.agent.id, ticket),
      hasCode('SP_CONFIG_INVALID'),
    )
    const far = await bench.service.createTicket(root.agent.id, { ...ticket, name: 'far' })
    const renamed = bench.service.redeemTicket(far.ticket, { name: 'security' })
    await assert.rejects(renamed, hasCode('SP_CONFIG_INVALID'))
    // A platform's own name for a job is changed, not refused.
    const job = await bench.child(root.agent.id, 'security', { born: 'attach' })
    assert.equal(job.agent.name, 'agent-security')
    for (const name of ['gateway-2', 'dana', 's', 's9x']) await bench.child(root.agent.id, name)
  })

  test('a birth that is sent again gives the same agent, and its lost handle opens nothing', async () => {
    const key = `run ${bench.nowMs}`
    const [first, second] = await Promise.all([bench.root({ key }), bench.root({ key })])
    assert.equal(first.agent.id, second.agent.id)
    assert.equal(bench.service.authenticateHandle(first.handle ?? ''), undefined)
    assert.equal(bench.service.authenticateHandle(second.handle ?? '')?.id, first.agent.id)
    const child = await bench.child(first.agent.id, 'x', { key: 'k' })
    const again = await bench.child(first.agent.id, 'x', { key: 'k' })
    assert.equal(child.agent.id, again.agent.id)
    assert.notEqual(
      (await bench.child(second.agent.id, 'x', { key: 'l' })).agent.id,
      child.agent.id,
    )
    await bench.service.end(child.agent.id, 'dana')
    assert.notEqual((await bench.child(first.agent.id, 'x', { key: 'k' })).agent.id, child.agent.id)
  })

  test('of all who redeem a ticket at once one gets a child', async () => {
    const root = await bench.root()
    const ticket = await bench.service.createTicket(root.agent.id, {
      name: 'far',
      layers: [layer('orders:read')],
      born: 'ticket',
      handle: true,
    })
    const tries = Array.from({ length: 5 }, () =>
      bench.service.redeemTicket(ticket.ticket, { name: 'near' }),
    )
    const done = await Promise.allSettled(tries)
    const born = done.flatMap((each) => (each.status === 'fulfilled' ? each.value : []))
    assert.equal(born.length, 1)
    assert.equal(born[0]?.agent.born, 'ticket')
    assert.deepEqual(born[0]?.agent.chain, ['dana', 'near'])
    assert.deepEqual(born[0]?.agent.grant, ['orders:read'])
    await assert.rejects(bench.service.redeemTicket(ticket.ticket), hasCode('SP_TICKET_SPENT'))
  })

  test('a ticket fits those who show what it expects, for ten minutes, under a living parent', async () => {
    const root = await bench.root()
    const make = (): Promise<{ ticket: string }> =>
      bench.service.createTicket(root.agent.id, {
        name: 'far',
        layers: [],
        born: 'ticket',
        handle: true,
        expect: { ns: 'a' },
      })
    const { ticket } = await make()
    await assert.rejects(bench.service.redeemTicket(ticket), hasCode('SP_TICKET_SPENT'))
    await assert.rejects(
      bench.service.redeemTicket(ticket, { proven: { ns: 'b' } }),
      hasCode('SP_TICKET_SPENT'),
    )
    await bench.service.redeemTicket(ticket, { proven: { ns: 'a' } })
    const late = await make()
    bench.nowMs += 10 * 60_000
    await assert.rejects(
      bench.service.redeemTicket(late.ticket, { proven: { ns: 'a' } }),
      hasCode('SP_TICKET_SPENT'),
    )
    const orphan = await make()
    await bench.service.revoke(root.agent.id, 'dana', 'x')
    await assert.rejects(
      bench.service.redeemTicket(orphan.ticket, { proven: { ns: 'a' } }),
      hasCode('SP_AGENT_REVOKED'),
    )
  })

  test('a changed group reaches the whole tree at once', async () => {
    const root = await bench.root()
    const { agent } = await bench.child(root.agent.id, 'x')
    const from = bench.service.changesSince(0).version
    await bench.service.setGroups('user:dana', ['dev'])
    const { agents } = bench.service.changesSince(from)
    const changed = agents.find(({ id }) => id === agent.id)
    assert.deepEqual(changed?.principal.groups, ['dev'])
    await bench.restart()
    assert.deepEqual(
      bench.service.liveRoots().find(({ id }) => id === root.agent.id)?.principal.groups,
      ['dev'],
    )
  })

  test('a root without a grant is no root', async () => {
    await assert.rejects(bench.root({ layers: [] }), hasCode('SP_CONFIG_INVALID'))
    const { agent } = await bench.root({ layers: [], entitlement: [layer('orders:read')] })
    assert.deepEqual(agent.grant, ['orders:read'])
    await bench.service.setEntitlement(agent.id, [layer('orders:explain')])
    const { agents } = bench.service.changesSince(0)
    assert.deepEqual(agents.find(({ id }) => id === agent.id)?.layers, [layer('orders:explain')])
  })
})

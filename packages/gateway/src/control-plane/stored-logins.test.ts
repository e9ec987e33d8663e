import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { type AgentId, Secret } from '@sallyport/core'
import { type Bench, onBothStores } from './agents/agents.fixture.ts'
import { StoredLogins } from './stored-logins.ts'

const root = 'a_0000000000001' as AgentId
const login = {
  provider: 'idp',
  principal: { id: 'oidc:https://idp|u1', kind: 'human', name: 'dana', groups: ['dev'] },
  subject: 'u1',
  refreshToken: new Secret('refresh-token-of-dana'),
} as const

onBothStores('logins that are kept', (bench: Bench) => {
  const key = new Secret(randomBytes(32))
  const logins = (kek = key, faults: unknown[] = []): StoredLogins =>
    new StoredLogins(bench.store, kek, (error) => faults.push(error))

  test('come back after a restart, and the table holds no token', async () => {
    await logins().save(root, login)
    const next = { ...login, refreshToken: new Secret('another-token') }
    await logins().save(root, next)
    await bench.restart()
    const known = await logins().all()
    assert.equal(known.get(root)?.refreshToken.expose(), 'another-token')
    assert.deepEqual(known.get(root)?.principal, login.principal)
    const rows = await bench.store.db.selectFrom('sealed_secret').selectAll().execute()
    for (const { sealed } of rows) assert.doesNotMatch(sealed.toString('latin1'), /token|dana/)
  })

  test('that another key sealed, or that were moved to another agent, do not open, and keep nobody out', async () => {
    const faults: unknown[] = []
    assert.equal((await logins(new Secret(randomBytes(32)), faults).all()).size, 0)
    assert.equal(faults.length, 1)
    await bench.store.db
      .updateTable('sealed_secret')
      .set({ name: 'login/a_0000000000002' })
      .where('name', '=', `login/${root}`)
      .execute()
    assert.equal((await logins(key, faults).all()).size, 0)
    assert.equal(faults.length, 2)
    await logins().forget('a_0000000000002' as AgentId)
    assert.equal((await logins(key, faults).all()).size, 0)
    assert.equal(faults.length, 2)
  })
})

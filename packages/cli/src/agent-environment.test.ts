import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { AgentId } from '@sallyport/core'
import { agentEnvironment, socketUrl } from './agent-environment.ts'
import type { HomeReply } from './broker/protocol.ts'
import { refusalMessage } from './broker/refusal-message.ts'
import { runFolderOf, socketPath } from './broker/run-folder.ts'

const connections = ['shop', 'orders-db'].map((name) => ({
  name,
  database: `${name}-data`,
  folder: `/run/sallyport/a_1/${name}`,
}))
const home: HomeReply = {
  agent: {
    id: 'a_1' as AgentId,
    name: 'scout',
    chain: ['dana', 'scout'],
    path: [],
    principal: { id: 'user:dana', kind: 'human', name: 'dana' },
    owner: 'user:dana',
    born: 'mint',
    budget: [],
    limits: { depth: 1, children: 1, agents: 1, ttlMs: 1, detach: false },
    live: { sessions: 0, children: 0, agents: 0 },
    depth: 1,
    state: 'active',
    grant: ['*:*'],
    expiresAt: '2026-01-01T00:00:00Z',
    createdAt: '2026-01-01T00:00:00Z',
  },
  folder: '/run/sallyport/a_1',
  connections,
  level: 3,
}
const none = { keep: [], set: [] }

suite("the environment of an agent's program", () => {
  test('has sockets, and no password or address from outside', () => {
    const outside = {
      PATH: '/bin',
      PGPASSWORD: 'x',
      PGHOSTADDR: '10.0.0.1',
      PGPORT: '6432',
      DATABASE_URL: 'postgres://u:p@h/d',
      AWS_SECRET_ACCESS_KEY: 'k',
      PGOPTIONS: '-c a=b',
    }
    const { env, stripped } = agentEnvironment(outside, home, none)
    assert.deepEqual(stripped, [
      'AWS_SECRET_ACCESS_KEY',
      'DATABASE_URL',
      'PGHOSTADDR',
      'PGPASSWORD',
    ])
    assert.deepEqual(
      [env['PGHOST'], env['PGPORT'], env['PGDATABASE'], env['PGOPTIONS'], env['PATH']],
      ['/run/sallyport/a_1/shop', '5432', 'shop-data', '-c a=b', '/bin'],
    )
  })

  test('keeps what is named, and loses secrets of Sallyport under any name', () => {
    const outside = { KUBECONFIG: '/k', SSH_AUTH_SOCK: '/s', NOTE: 'spa_0123456789abc_x' }
    const { env, stripped } = agentEnvironment(outside, home, { keep: ['KUBECONFIG'], set: [] })
    assert.deepEqual(stripped, ['NOTE', 'SSH_AUTH_SOCK'])
    assert.equal(env['KUBECONFIG'], '/k')
  })

  test('has an address under a chosen name, which drivers read as folder and database', () => {
    const { env } = agentEnvironment({ DATABASE_URL: 'old' }, home, {
      keep: [],
      set: ['DATABASE_URL=orders-db'],
    })
    const url = new URL(env['DATABASE_URL'] ?? '')
    assert.equal(url.searchParams.get('host'), '/run/sallyport/a_1/orders-db')
    assert.equal(url.pathname, '/orders-db-data')
    assert.equal(url.hostname, '')
    assert.ok(connections[0] !== undefined && socketUrl(home, connections[0]).includes('shop'))
    assert.throws(
      () => agentEnvironment({}, home, { keep: [], set: ['X=other'] }),
      /no connection "other"/,
    )
    assert.throws(() => agentEnvironment({}, home, { keep: [], set: ['X'] }), /--set takes/)
  })
})

test('a path that the system would cut is refused, at its 108th byte', () => {
  assert.ok(Buffer.byteLength(socketPath('/x', 'y')) < 107)
  const exact = `/${'a'.repeat(106)}`
  assert.equal(socketPath(exact), exact)
  assert.throws(() => socketPath(`${exact}a`), /108 bytes/)
  assert.throws(() => socketPath(`/${'é'.repeat(54)}`), /bytes/)
})

test('the folder is under XDG_RUNTIME_DIR, else at home', () => {
  assert.equal(runFolderOf({ XDG_RUNTIME_DIR: '/run/user/7' }), '/run/user/7/sallyport')
  assert.match(runFolderOf({ XDG_RUNTIME_DIR: '' }), /\/\.sallyport\/run$/)
})

test('a refusal is one whole FATAL message with its code', () => {
  const message = refusalMessage('SP_AGENT_ENDED', 'because')
  assert.equal(message.toString('latin1', 0, 1), 'E')
  assert.equal(message.readInt32BE(1), message.length - 1)
  assert.match(
    message.toString(),
    /SFATAL\0VFATAL\0C\w{5}\0MSallyport: .*\0Dbecause\0RSP_AGENT_ENDED\0\0$/,
  )
})

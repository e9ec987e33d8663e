import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type AgentId, Secret } from '@sallyport/core'
import { MemoryLogins } from '../memory-logins.fixture.ts'
import { openGate } from '../open-gate.fixture.ts'
import { LoginRefused } from './identity.ts'
import { Rechecks } from './rechecks.ts'

const root = 'a_1' as AgentId
const principal = { id: 'oidc:https://idp|u1', kind: 'human', name: 'dana', groups: [] } as const

test('each look uses the token that the look before was given, also when two are asked for at once', async () => {
  const logins = new MemoryLogins()
  const used: string[] = []
  const provider = {
    name: 'idp',
    groupsClaim: 'groups',
    userClaim: 'sub',
    allowedGroups: [],
    allowedDomains: [],
  }
  const options = {
    config: () => ({ providers: new Map([['idp', provider]]) }) as never,
    client: {
      renew: async (_: unknown, token: Secret<string>) => {
        used.push(token.expose())
        await new Promise((resolve) => setImmediate(resolve))
        return { claims: { sub: 'u1' }, refreshToken: new Secret(`t${used.length}`) }
      },
    },
    agents: {
      get: () => ({ state: 'active' }) as never,
      revoke: async () => assert.fail('revoked'),
    },
    entitlements: { setGroups: async () => undefined },
    logins,
    gate: openGate,
    onFault: (error: unknown) => assert.fail(String(error)),
  }
  const first = await Rechecks.open(options)
  await first.watch(root, { provider: 'idp', principal } as never, new Secret('t0'))
  await Promise.all([first.run(), first.run()])
  await first.run()
  first.close()
  const second = await Rechecks.open(options)
  await second.run()
  second.close()
  assert.deepEqual(used, ['t0', 't1', 't2'])
  assert.equal(logins.known.get(root)?.refreshToken.expose(), 't3')
})

test('what a provider says when it is asked again is told to whom others speak for, also where the login ends', async () => {
  const logins = new MemoryLogins()
  const told: unknown[] = []
  let isKnown = true
  const provider = {
    name: 'idp',
    groupsClaim: 'groups',
    userClaim: 'sub',
    allowedGroups: [],
    allowedDomains: [],
  }
  const rechecks = await Rechecks.open({
    config: () => ({ providers: new Map([['idp', provider]]) }) as never,
    client: {
      renew: async () => {
        if (!isKnown) throw new LoginRefused('who is that?')
        return { claims: { sub: 'u1', groups: ['ops'] } } as never
      },
    },
    agents: { get: () => ({ state: 'active' }) as never, revoke: async () => undefined as never },
    entitlements: { setGroups: async () => undefined },
    logins,
    gate: { askedAgain: async (...what) => void told.push(what) },
    onFault: (error: unknown) => assert.fail(String(error)),
  })
  await rechecks.watch(root, { provider: 'idp', principal } as never, new Secret('t0'))
  await rechecks.run()
  isKnown = false
  await rechecks.run()
  rechecks.close()
  assert.equal(told.length, 2)
  assert.deepEqual((told[0] as unknown[])[1], ['ops'])
  assert.deepEqual(told[1], [principal.id, undefined])
})

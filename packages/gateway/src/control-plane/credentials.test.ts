import assert from 'node:assert/strict'
import { createHash, createHmac, pbkdf2Sync } from 'node:crypto'
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { SallyportError, Secret } from '@sallyport/core'
import fc from 'fast-check'
import { openPgliteStore } from './adapters/pglite-store.ts'
import { gatewayBy } from './ledger/ledger.ts'
import { MemoryLedger } from './ledger/memory-ledger.fixture.ts'
import { AgentService } from './agents/agent-service.ts'
import { Connections, type NewConnection } from './connections.ts'
import { credentialIdOf, makeCredentialText } from './credential-text.ts'
import { Credentials } from './credentials.ts'
import { scramVerifier } from '@sallyport/core'
import { accepted } from './api/refusal.ts'
import { newConnection } from './contract/connections.ts'
import type { Store } from './ports/store.ts'

suite('the form of a credential', () => {
  test('is 50 characters that are safe in URLs and shells', () => {
    const { id, text } = makeCredentialText()
    assert.match(text, /^spc_[0-9a-z]{13}_[0-9A-Za-z]{32}$/)
    assert.equal(text.length, 4 + 13 + 1 + 26 + 6)
    assert.equal(credentialIdOf(text), id)
  })

  test('a changed character breaks the checksum', () => {
    const { text } = makeCredentialText()
    fc.assert(
      fc.property(
        fc.nat(text.length - 1),
        fc.constantFrom('a', 'b', 'X', 'Z', '0', '9'),
        (at, character) => {
          fc.pre(text.charAt(at) !== character)
          assert.equal(
            credentialIdOf(text.slice(0, at) + character + text.slice(at + 1)),
            undefined,
          )
        },
      ),
    )
  })
})

test('the verifier is the one that RFC 7677 gives for its example', async () => {
  const verifier = await scramVerifier(
    'pencil',
    Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64'),
    4096,
  )
  const salted = pbkdf2Sync(
    'pencil',
    Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64'),
    4096,
    32,
    'sha256',
  )
  const message =
    'n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0'
  const signature = createHmac('sha256', Buffer.from(verifier.serverKey, 'base64'))
    .update(message)
    .digest('base64')
  assert.equal(signature, '6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=')
  const clientKey = createHmac('sha256', salted).update('Client Key').digest()
  assert.equal(verifier.storedKey, createHash('sha256').update(clientKey).digest('base64'))
})

suite('connections and credentials', () => {
  const dir = mkdtempSync(join(tmpdir(), 'sallyport-credentials-'))
  const kek = new Secret(Buffer.alloc(32, 7))
  let store: Store
  let connections: Connections
  let credentials: Credentials
  let agents: AgentService
  let nowMs = Date.now()
  before(async () => {
    store = await openPgliteStore(dir)
    const ledger = new MemoryLedger()
    connections = new Connections(store, kek, ledger)
    agents = await AgentService.open(store, {
      ledger,
      onFault: assert.ifError,
      now: () => nowMs,
    })
    credentials = new Credentials(store, agents, 'dana')
    await connections.put(connection('shop-db'), gatewayBy())
  })
  after(async () => {
    await store.close()
    rmSync(dir, { recursive: true, force: true })
  })

  test('a password is in no file of the data folder in clear', async () => {
    await store.db.executeQuery(store.db.selectFrom('connection').selectAll().compile())
    const found = filesBelow(dir).filter((path) =>
      readFileSync(path).includes('correct-horse-battery'),
    )
    assert.deepEqual(found, [])
    assert.ok(
      filesBelow(dir).some((path) => readFileSync(path).includes('db.internal')),
      'the search sees rows',
    )
  })

  test('the data plane gets the password back', async () => {
    assert.equal((await connections.config('shop-db')).login.password, 'correct-horse-battery')
    assert.deepEqual(Object.keys(await connections.get('shop-db')).includes('password'), false)
  })

  test('a credential stands for everything but unknown on its own connection unless narrowed', async () => {
    const wide = await credentials.issue({ connection: 'shop-db' })
    const narrow = await credentials.issue({
      connection: 'shop-db',
      allow: ['shop-db:read schema=public'],
    })
    const records = agents.changesSince(0)
    const permits = (id: string): unknown =>
      records.agents.find((agent) =>
        records.credentials.some((each) => each.id === id && each.agent === agent.id),
      )?.layers[0]?.permits
    assert.deepEqual(permits(wide.id), [
      { connections: ['shop-db'], classes: ['*'], dimensions: {} },
    ])
    assert.deepEqual(permits(narrow.id), [
      { connections: ['shop-db'], classes: ['read'], dimensions: { schema: ['public'] } },
    ])
    assert.equal(wide.user, `shop-db.${wide.id}`)
    assert.equal(records.agents[0]?.principal.name, 'dana')
    assert.equal(JSON.stringify(records).includes(wide.secret), false)
  })

  test('an expired credential is still told apart for ten minutes, then purged', async () => {
    const { id } = await credentials.issue({ connection: 'shop-db', ttlMs: 1000 })
    const isKnown = (): boolean => agents.changesSince(0).credentials.some((each) => each.id === id)
    nowMs += 9 * 60_000
    await agents.sweep()
    assert.equal(isKnown(), true)
    nowMs += 2 * 60_000
    await agents.sweep()
    assert.equal(isKnown(), false)
    const rows = await store.db.selectFrom('credential').select('id').where('id', '=', id).execute()
    assert.deepEqual(rows, [])
  })

  test('refuses a connection, a grant and a lifetime that do not exist', async () => {
    await assert.rejects(credentials.issue({ connection: 'nope' }), hasCode('SP_NOT_FOUND'))
    await assert.rejects(
      credentials.issue({ connection: 'shop-db', allow: ['shop-db:fly'] }),
      hasCode('SP_CONFIG_INVALID'),
    )
    await assert.rejects(
      credentials.issue({ connection: 'shop-db', ttlMs: -1 }),
      hasCode('SP_CONFIG_INVALID'),
    )
  })

  test('removing a connection ends its credentials and forgets its password', async () => {
    await connections.put(connection('old'), gatewayBy())
    const { id } = await credentials.issue({ connection: 'old' })
    await connections.remove('old', gatewayBy())
    agents.connectionRemoved('old')
    assert.equal(
      agents.changesSince(0).credentials.some((each) => each.id === id),
      false,
    )
    const sealed = await store.db.selectFrom('sealed_secret').select('name').execute()
    assert.deepEqual(
      sealed.map((row) => row.name),
      ['connection/shop-db'],
    )
    await assert.rejects(connections.remove('old', gatewayBy()), hasCode('SP_NOT_FOUND'))
  })
})

test('every wrong field of a connection is named at once', () => {
  assert.throws(
    () =>
      accepted(newConnection, {
        name: 'A.b',
        host: '',
        user: 'u',
        port: 0,
        tls: 'maybe',
        extra: 1,
      }),
    (error: unknown) =>
      error instanceof SallyportError &&
      ['extra', 'name', 'host', 'port', 'tls'].every((field) => error.message.includes(field)),
  )
})

function connection(name: string): NewConnection {
  const target = { host: 'db.internal', port: 5432, user: 'app', password: 'correct-horse-battery' }
  return { name, labels: { env: 'test' }, ...target, database: 'shop', tls: { mode: 'full' } }
}

function hasCode(code: string): (error: unknown) => boolean {
  return (error) => error instanceof SallyportError && error.code === code
}

function filesBelow(dir: string): string[] {
  return readdirSync(dir, { recursive: true, encoding: 'utf8' })
    .map((name) => join(dir, name))
    .filter((path) => statSync(path).isFile())
}

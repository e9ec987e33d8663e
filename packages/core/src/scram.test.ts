import assert from 'node:assert/strict'
import { test } from 'node:test'
import { md5Password } from './md5-password.ts'
import { ScramClientExchange } from './scram-client.ts'
import { ScramServerExchange } from './scram-server.ts'
import { ScramError, mockVerifier, saslPrep, scramVerifier } from './scram.ts'

const salt = Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64')
const clientNonce = 'rOprNGfwEbeRWgbNEkqO'
const serverNonce = '%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0'
const plain = ['SCRAM-SHA-256']
const both = ['SCRAM-SHA-256-PLUS', 'SCRAM-SHA-256']
const certificate = Buffer.alloc(32, 1)
const other = Buffer.alloc(32, 2)

async function exchanges(options: {
  readonly password?: string
  readonly offered?: readonly string[]
  readonly callerSees?: Buffer
  readonly weHave?: Buffer
}): Promise<{ caller: ScramClientExchange; server: ScramServerExchange }> {
  const { password = 'pencil', offered = plain, callerSees, weHave } = options
  const verifier = await scramVerifier('pencil', salt, 4096)
  const caller = new ScramClientExchange({
    password,
    clientNonce,
    offered,
    user: 'user',
    ...(callerSees === undefined ? {} : { channelBinding: callerSees }),
  })
  const server = new ScramServerExchange({
    verifier,
    serverNonce,
    plusOffered: weHave !== undefined,
    ...(weHave === undefined ? {} : { channelBinding: weHave }),
  })
  return { caller, server }
}

test('both sides write the messages of RFC 7677 section 3', async () => {
  const { caller, server } = await exchanges({})
  const { mechanism, message } = caller.first()
  assert.equal(message, 'n,,n=user,r=rOprNGfwEbeRWgbNEkqO')
  const serverFirst = server.first(mechanism, message)
  assert.equal(
    serverFirst,
    'r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096',
  )
  const clientFinal = await caller.continue(serverFirst)
  assert.equal(
    clientFinal,
    'c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=',
  )
  const serverFinal = 'v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4='
  assert.deepEqual(server.final(clientFinal), { ok: true, serverFinal })
  assert.equal(caller.final(serverFinal), true)
  assert.equal(caller.final('v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4='), false)
  assert.equal(caller.final('e=other-error'), false)
})

test('a wrong password is refused, and so is any password for a mock verifier', async () => {
  const { caller, server } = await exchanges({ password: 'pen' })
  const { mechanism, message } = caller.first()
  const final = await caller.continue(server.first(mechanism, message))
  assert.equal(server.final(final).ok, false)

  const verifier = mockVerifier('cred_x', Buffer.alloc(32))
  const mock = new ScramServerExchange({ verifier, serverNonce, plusOffered: false })
  assert.equal(mock.final(await caller.continue(mock.first(mechanism, message))).ok, false)
})

test('a mock verifier is the same every time and looks like a real one', async () => {
  const real = await scramVerifier('pencil', salt, 4096)
  const mock = mockVerifier('cred_x', Buffer.alloc(32))
  assert.deepEqual(mock, mockVerifier('cred_x', Buffer.alloc(32)))
  assert.notEqual(mock.salt, mockVerifier('cred_y', Buffer.alloc(32)).salt)
  assert.notEqual(mock.salt, mockVerifier('cred_x', Buffer.alloc(32, 1)).salt)
  assert.equal(mock.salt.length, real.salt.length)
  assert.equal(mock.iterations, real.iterations)
})

test('channel binding holds where both see one certificate, and fails where they see two', async () => {
  for (const [callerSees, ok] of [
    [certificate, true],
    [other, false],
  ] as const) {
    const { caller, server } = await exchanges({ offered: both, callerSees, weHave: certificate })
    const { mechanism, message } = caller.first()
    assert.equal(mechanism, 'SCRAM-SHA-256-PLUS')
    assert.equal(server.final(await caller.continue(server.first(mechanism, message))).ok, ok)
  }
})

test('an offer of channel binding that was taken away on the way is noticed', async () => {
  const { caller, server } = await exchanges({
    offered: plain,
    callerSees: certificate,
    weHave: certificate,
  })
  const { mechanism, message } = caller.first()
  assert.ok(message.startsWith('y,,'))
  assert.throws(() => server.first(mechanism, message), ScramError)
})

const badFirsts: readonly [string, string][] = [
  ['SCRAM-SHA-1', 'n,,n=,r=abc'],
  ['SCRAM-SHA-256-PLUS', 'p=tls-server-end-point,,n=,r=abc'],
  ['SCRAM-SHA-256', 'p=tls-server-end-point,,n=,r=abc'],
  ['SCRAM-SHA-256', 'n,a=admin,n=,r=abc'],
  ['SCRAM-SHA-256', 'n,,m=x,n=,r=abc'],
  ['SCRAM-SHA-256', 'n,,n=,r='],
  ['SCRAM-SHA-256', 'n,,r=abc'],
  ['SCRAM-SHA-256', ''],
]
for (const [mechanism, message] of badFirsts) {
  test(`a caller cannot open ${mechanism} with "${message}"`, async () => {
    const { server } = await exchanges({})
    assert.throws(() => server.first(mechanism, message), ScramError)
  })
}

test('a final message must repeat nonce and binding, and comes once', async () => {
  const nonce = `abc${serverNonce}`
  const proof = Buffer.alloc(32).toString('base64')
  for (const final of [`c=biws,r=abc,p=${proof}`, `c=eSws,r=${nonce},p=${proof}`]) {
    const { server } = await exchanges({})
    server.first('SCRAM-SHA-256', 'n,,n=,r=abc')
    const outcome = server.final(final)
    assert.ok(!outcome.ok && outcome.reason !== 'a wrong password')
    assert.throws(() => server.final(final), ScramError)
  }
  for (const final of [
    '',
    `c=biws,r=${nonce}`,
    `c=biws,r=${nonce},p=AAAA`,
    `c=b!ws,r=${nonce},p=${proof}`,
  ]) {
    const { server } = await exchanges({})
    server.first('SCRAM-SHA-256', 'n,,n=,r=abc')
    assert.throws(() => server.final(final), ScramError)
  }
})

test('a target cannot reuse our nonce, skip fields or make us work without end', async () => {
  const bad = [
    `r=${clientNonce},s=QUJD,i=4096`,
    'r=other,s=QUJD,i=4096',
    `r=${clientNonce}x,i=4096`,
    `r=${clientNonce}x,s=QUJD,i=0`,
    `r=${clientNonce}x,s=QUJD,i=10000001`,
    `m=x,r=${clientNonce}x,s=QUJD,i=4096`,
  ]
  for (const message of bad) {
    const caller = new ScramClientExchange({ password: 'p', clientNonce, offered: plain })
    await assert.rejects(caller.continue(message), ScramError)
    assert.throws(() => caller.final('v=AAAA'), ScramError)
  }
  const offered = ['SCRAM-SHA-1']
  assert.throws(() => new ScramClientExchange({ password: 'p', clientNonce, offered }), ScramError)
})

test('passwords are prepared as PostgreSQL prepares them', () => {
  assert.equal(saslPrep('I\u00adX'), 'IX')
  assert.equal(saslPrep('\u2168'), 'IX')
  assert.equal(saslPrep('a\u00a0b'), 'a b')
  assert.equal(saslPrep('\u2168\u0007'), '\u2168\u0007')
  assert.equal(saslPrep('\u00ad'), '\u00ad')
})

test('an MD5 password is the hash of the stored hash and the salt', () => {
  const answer = md5Password('postgres', 'secret', Buffer.from([1, 2, 3, 4]))
  assert.equal(answer, 'md5bb41a296aab6baccb36ff243a562abff')
})

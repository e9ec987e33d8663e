import assert from 'node:assert/strict'
import { X509Certificate, createPrivateKey, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, suite, test } from 'node:test'
import { connect, createServer } from 'node:tls'
import { Secret } from '@sallyport/core'
import fc from 'fast-check'
import { loadDataKeys } from './data-keys.ts'
import { currentCertificate, selfSignedCertificate } from './listener-certificate.ts'
import { seal, unseal } from './seal.ts'

const key = new Secret(randomBytes(32))

suite('sealing', () => {
  test('what was sealed opens again, and shows nothing of the text', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 8, unit: 'grapheme' }), fc.string(), (plain, name) => {
        const sealed = seal(key, name, plain)
        assert.equal(unseal(key, name, sealed), plain)
        assert.equal(sealed.includes(Buffer.from(plain)), false)
      }),
    )
  })

  test('a changed byte, another name or another key does not open', () => {
    const sealed = seal(key, 'connection/a', 'hunter2')
    assert.throws(() => unseal(key, 'connection/b', sealed), /does not open/)
    assert.throws(
      () => unseal(new Secret(randomBytes(32)), 'connection/a', sealed),
      /does not open/,
    )
    for (let at = 0; at < sealed.length; at += 1) {
      const changed = Buffer.from(sealed)
      changed[at] = (changed[at] ?? 0) ^ 1
      assert.throws(() => unseal(key, 'connection/a', changed), /does not open/)
    }
  })
})

suite('the key files', () => {
  const dir = mkdtempSync(join(tmpdir(), 'sallyport-keys-'))
  after(() => rmSync(dir, { recursive: true, force: true }))

  test('stay the same over starts and can be read by their owner only', async () => {
    const first = await loadDataKeys(dir)
    const second = await loadDataKeys(dir)
    assert.deepEqual(second.kek.expose(), first.kek.expose())
    assert.equal(second.ownerToken.expose(), first.ownerToken.expose())
    assert.deepEqual(second.tls, first.tls)
    for (const file of ['kek', 'recording.key', 'mask.key', 'owner.token', 'listener.pem']) {
      assert.equal(statSync(join(dir, file)).mode & 0o777, 0o600, file)
    }
  })

  test('a certificate about to expire is replaced', async () => {
    const old = await currentCertificate(dir)
    const later = await currentCertificate(dir, new Date(Date.now() + 5 * 365 * 24 * 3600 * 1000))
    assert.notEqual(later.cert, old.cert)
  })
})

suite('the listener certificate', () => {
  const { cert, key: privateKey } = selfSignedCertificate(new Date())

  test('is valid, signed by its own key, and names this machine', () => {
    const parsed = new X509Certificate(cert)
    assert.equal(parsed.verify(parsed.publicKey), true)
    assert.equal(parsed.checkPrivateKey(createPrivateKey(privateKey)), true)
    assert.equal(parsed.checkHost('localhost'), 'localhost')
    assert.equal(parsed.checkIP('127.0.0.1'), '127.0.0.1')
    assert.equal(parsed.checkHost('example.com'), undefined)
    assert.equal(parsed.ca, true)
  })

  test('a client that trusts it completes a verified handshake', async () => {
    const listener = createServer({ cert, key: privateKey }, (socket) => socket.end())
    listener.listen(0, '127.0.0.1')
    await once(listener, 'listening')
    const { port } = listener.address() as AddressInfo
    const socket = connect({ host: '127.0.0.1', port, ca: cert, servername: 'localhost' })
    await once(socket, 'secureConnect')
    assert.equal(socket.authorized, true)
    socket.destroy()
    listener.close()
  })
})

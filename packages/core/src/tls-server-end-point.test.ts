import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { tlsServerEndPoint } from './tls-server-end-point.ts'

/** Self-signed, ecdsa-with-SHA384. */
const ecdsaSha384 =
  'MIIBbTCCAROgAwIBAgIUb6KjrVYjrsWTsnD3sqiHdl2GfpcwCgYIKoZIzj0EAwMwDDEKMAgGA1UEAwwBeDAeFw0yNj' +
  'ExMjExNTA2NDFaFw0zNjExMTgxNTA2NDFaMAwxCjAIBgNVBAMMAXgwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAATB' +
  '4LudyWeGjmEIYVvl1eQ9I78UsMe1hqpCmJuI4qWnZ1PJdwK/RjpzZA+3PUB6Ct90BUYCEacWm0D/1nBBaNGXo1MwUT' +
  'AdBgNVHQ4EFgQURb/FsSICG7vXYutGDzcH+UtV8hswHwYDVR0jBBgwFoAURb/FsSICG7vXYutGDzcH+UtV8hswDwYD' +
  'VR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAwNIADBFAiEAmbkFcHU966QEkxl4Axq79L3EWQ+w6folw/PyWpyQ0+sCIB' +
  'ZfqryBjDQXxNwexmoQECcF9z3EQNUWCbuueipuXxUp'

test('a real certificate is hashed with the hash of its signature', () => {
  const binding = tlsServerEndPoint(Buffer.from(ecdsaSha384, 'base64'))
  assert.equal(
    binding.toString('hex'),
    'e6762457678d08624ee13799106cdec17b05e35ea2997f562da8299089d6204be15094cc58af27bbe15b69413f9abaa2',
  )
})

const rows: readonly [string, string, string, string][] = [
  ['MD5 with RSA', '2a864886f70d010104', '', 'sha256'],
  ['SHA-1 with RSA', '2a864886f70d010105', '', 'sha256'],
  ['SHA-256 with RSA', '2a864886f70d01010b', '', 'sha256'],
  ['SHA-512 with RSA', '2a864886f70d01010d', '', 'sha512'],
  ['SHA-512 with ECDSA', '2a8648ce3d040304', '', 'sha512'],
  ['Ed25519', '2b6570', '', 'sha256'],
  ['RSA-PSS without parameters', '2a864886f70d01010a', '', 'sha256'],
  ['RSA-PSS of SHA-384', '2a864886f70d01010a', '300fa00d300b0609608648016503040202', 'sha384'],
]
for (const [what, oid, parameters, hash] of rows) {
  test(`a certificate signed by ${what} is hashed with ${hash}`, () => {
    const algorithm = [element(0x06, Buffer.from(oid, 'hex')), Buffer.from(parameters, 'hex')]
    // As long as real ones are, so that lengths take more than one byte.
    const tbs = element(0x30, Buffer.alloc(700))
    const certificate = element(0x30, Buffer.concat([tbs, element(0x30, Buffer.concat(algorithm))]))
    assert.deepEqual(tlsServerEndPoint(certificate), createHash(hash).update(certificate).digest())
  })
}

function element(tag: number, contents: Buffer): Buffer {
  const { length } = contents
  const header = length < 128 ? [tag, length] : [tag, 0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from(header), contents])
}

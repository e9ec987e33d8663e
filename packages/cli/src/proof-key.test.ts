import assert from 'node:assert/strict'
import { createHash, createPublicKey, verify } from 'node:crypto'
import { inspect } from 'node:util'
import { test } from 'node:test'
import { ProofKey } from './proof-key.ts'

function read(proof: string): { head: { jwk: object }; claims: Record<string, unknown> } {
  const [head = '', claims = '', signature = ''] = proof.split('.')
  const parse = <T>(text: string): T => JSON.parse(Buffer.from(text, 'base64url').toString()) as T
  const { jwk } = parse<{ jwk: object }>(head)
  const key = createPublicKey({ key: jwk as never, format: 'jwk' })
  const bytes = Buffer.from(signature, 'base64url')
  const signed = Buffer.from(`${head}.${claims}`)
  assert.ok(verify('sha256', signed, { key, dsaEncoding: 'ieee-p1363' }, bytes))
  return { head: parse(head), claims: parse(claims) }
}

test('a proof names its request and its handle, is signed by its key, and is made anew each time', () => {
  const key = ProofKey.make()
  const one = read(key.proof('POST', 'https://gw.example.com/v1/a?b=c#d', 'spa_x'))
  assert.equal(one.claims['htu'], 'https://gw.example.com/v1/a')
  assert.equal(one.claims['htm'], 'POST')
  assert.equal(one.claims['ath'], createHash('sha256').update('spa_x').digest('base64url'))
  const two = read(ProofKey.fromText(key.toText()).proof('GET', 'https://gw.example.com/'))
  assert.deepEqual(two.head.jwk, one.head.jwk)
  assert.notEqual(two.claims['jti'], one.claims['jti'])
  assert.equal(two.claims['ath'], undefined)
})

test('the secret half is in no proof and is not printed', () => {
  const key = ProofKey.make()
  assert.ok(!('d' in read(key.proof('GET', 'http://127.0.0.1/')).head.jwk))
  const secret = key.toText().slice(48, 90)
  assert.ok(!inspect(key, { depth: 9, showHidden: true }).includes(secret))
  assert.ok(!JSON.stringify(key).includes(secret))
})

test('a clock that is off follows the gateway, once', () => {
  const key = ProofKey.make()
  const ahead = new Date(Date.now() + 3_600_000).toUTCString()
  assert.equal(key.setClock(ahead), true)
  assert.equal(key.setClock(ahead), false)
  const { claims } = read(key.proof('GET', 'http://127.0.0.1/'))
  assert.ok(Math.abs(Number(claims['iat']) - Date.now() / 1000 - 3600) < 10)
  assert.equal(key.setClock(null), false)
  assert.equal(key.setClock('yesterday'), false)
})

import assert from 'node:assert/strict'
import { createHash, randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { DpopProofs } from './dpop.ts'
import { MemoryProofUses } from './memory-proof-uses.fixture.ts'

const urls = ['https://gw.example.com/v1/x', 'http://127.0.0.1:8700/v1/x']
const target = { method: 'POST', urls, token: 'spa_x' }
const { privateKey, publicKey } = await generateKeyPair('ES256')
const jwk = await exportJWK(publicKey)
const ath = createHash('sha256').update('spa_x').digest('base64url')

async function proof(
  change: Record<string, unknown> = {},
  head: Record<string, unknown> = {},
): Promise<string> {
  const claims = { jti: randomUUID(), htm: 'POST', htu: urls[0], ath, ...change }
  return await new SignJWT(claims)
    .setProtectedHeader({ alg: 'ES256', typ: 'dpop+jwt', jwk, ...head })
    .setIssuedAt()
    .sign(privateKey)
}
const refusal = { code: 'SP_PROOF_REFUSED' }

test('a proof is good for its request by any name of the gateway, and once', async () => {
  const proofs = new DpopProofs(new MemoryProofUses())
  for (const htu of [...urls, `${urls[0]}?a=b#c`]) await proofs.check(await proof({ htu }), target)
  const jti = 'one'
  const [first, second] = [await proof({ jti }), await proof({ jti, htu: urls[1] })]
  await (await proofs.check(first, target)).use()
  // Signed anew, it is the same proof.
  for (const again of [first, second])
    await assert.rejects(async () => await (await proofs.check(again, target)).use(), refusal)
})

test('a proof for another handle, or for none, is refused', async () => {
  const proofs = new DpopProofs(new MemoryProofUses())
  for (const other of [
    undefined,
    '',
    'x',
    createHash('sha256').update('spa_y').digest('base64url'),
  ])
    await assert.rejects(proofs.check(await proof({ ath: other }), target), refusal)
  // Where a handle is asked for there is none to be bound to yet.
  const { token: _, ...birth } = target
  await proofs.check(await proof({ ath: undefined }), birth)
})

test('keys that are private or shared, and types of other tokens, are refused', async () => {
  const proofs = new DpopProofs(new MemoryProofUses())
  const { privateKey: extractable } = await generateKeyPair('ES256', { extractable: true })
  for (const head of [
    { jwk: await exportJWK(extractable) },
    { jwk: { kty: 'oct', k: 'AAAA' } },
    { jwk: undefined },
    { typ: 'JWT' },
    { typ: undefined },
  ])
    await assert.rejects(proofs.check(await proof({}, head), target), refusal)
  for (const text of ['', 'a.b.c', 'x'.repeat(9000), `${await proof()}, ${await proof()}`])
    await assert.rejects(proofs.check(text, target), refusal)
})

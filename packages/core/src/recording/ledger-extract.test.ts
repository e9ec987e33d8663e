import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { generateKeyPairSync, hash, sign, type KeyObject } from 'node:crypto'
import { test } from 'node:test'
import { TrustedKeys } from './key-changes.ts'
import {
  checkExtract,
  extractName,
  extractSealName,
  type ExtractCheck,
  type LedgerExtract,
} from './ledger-extract.ts'
import { SigningKeys, thumbprint } from './signed.ts'

interface TestKey {
  readonly pem: string
  readonly id: string
  readonly privateKey: KeyObject
}

function newKey(): TestKey {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  const pem = publicKey.export({ type: 'spki', format: 'pem' }).toString()
  return { pem, id: thumbprint(pem) ?? '', privateKey }
}

function signed({ id, privateKey }: TestKey, payload: object): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const text = `${part({ alg: 'EdDSA', kid: id })}.${part(payload)}`
  return `${text}.${sign(undefined, Buffer.from(text), privateKey).toString('base64url')}`
}

const own = newKey()
const stranger = newKey()
const facts = [0, 4].map((position) => ({
  ledger: 'l_one',
  part: '9-1-7',
  position,
  what: 'login',
}))
const lines = facts.map((fact) => `${JSON.stringify(fact)}\n`).join('')
const extract: LedgerExtract = {
  type: 'sallyport.extract.1',
  at: '2026-11-22T02:00:00.000Z',
  sessions: ['s_a', 's_b'],
  ledgers: [{ session: 'l_one', part: '9-1-7', entries: 5, head: 'aa' }],
  facts: 2,
  sha256: hash('sha256', lines),
}

async function check(
  files: Readonly<Record<string, string>>,
  of: Partial<Pick<ExtractCheck, 'sessions' | 'anchored'>> = {},
): Promise<string> {
  const keys = new SigningKeys()
  for (const { pem } of [own, stranger]) keys.add(pem)
  const found = await checkExtract({
    source: {
      get: async (key) =>
        await Promise.resolve(files[key] === undefined ? undefined : Buffer.from(files[key])),
      list: () => assert.fail('nothing is listed'),
    },
    keys,
    trusted: new TrustedKeys([own.id]),
    sessions: new Set(['s_b', 's_a']),
    anchored: new Map(),
    ...of,
  })
  if (found === undefined) return 'none'
  return 'what' in found ? found.what : `${found.facts} of ${found.ledgers} by ${found.signedBy}`
}

const archive = (change: object = {}, text = lines, key = own): Record<string, string> => ({
  [extractName]: text,
  [extractSealName]: signed(key, { ...extract, sha256: hash('sha256', text), ...change }),
})

test('facts that the node signed for these recordings are proven, and an archive may have none', async () => {
  assert.equal(await check(archive()), `2 of 1 by ${own.id}`)
  assert.equal(await check({}), 'none')
  assert.equal(await check(archive({ facts: 0 }, '')), `0 of 1 by ${own.id}`)
})

test('no byte of the facts or of what is signed of them can be changed, nor one of the two left out', async () => {
  const whole = archive()
  for (const name of [extractName, extractSealName]) {
    const { [name]: text = '', ...rest } = whole
    assert.match(await check(rest), /missing|nothing that is signed/)
    for (let at = 0; at < text.length; at += 1) {
      const other = text.slice(0, at) + (text[at] === 'x' ? 'y' : 'x') + text.slice(at + 1)
      assert.doesNotMatch(await check({ ...rest, [name]: other }), / by /, `${name} at ${at}`)
    }
    assert.doesNotMatch(await check({ ...rest, [name]: `${text}\n` }), / by /)
  }
  assert.match(await check({ ...whole, [extractName]: `${JSON.stringify(facts[0])}\n` }), /changed/)
})

test('facts that were signed for other recordings, by another key, or as something else, prove nothing', async () => {
  for (const sessions of [[], ['s_a'], ['s_a', 's_b', 's_c'], ['s_a', 's_a'], 'all', undefined])
    assert.match(await check(archive({ sessions })), /other recordings/, String(sessions))
  assert.match(await check(archive({}, lines, stranger)), /nothing leads there/)
  assert.match(await check(archive({ type: 'sallyport.seal.1' })), /something else/)
  for (const facts of [1, 3, '2', undefined])
    assert.match(await check(archive({ facts })), /were signed/)
})

test('a fact of a place that was not verified, or of a ledger that an anchor contradicts, is found', async () => {
  const place = /a fact is of a ledger, or of a place/
  assert.match(await check(archive({ ledgers: [{ ...extract.ledgers[0], entries: 4 }] })), place)
  assert.match(await check(archive({ ledgers: [] })), place)
  assert.match(await check(archive({ facts: 1 }, '{"ledger":"l_one","part":"9-1-7"}\n')), place)
  assert.match(await check(archive({ facts: 1 }, 'no fact\n')), /no JSON/)
  const anchored = (head: string): ExtractCheck['anchored'] =>
    new Map([
      [
        'l_one/9-1-7',
        { session: 'l_one', hashes: new Map([[5, head]]), entries: 5, shipped: 5, anchor: '' },
      ],
    ])
  assert.match(await check(archive(), { anchored: anchored('aa') }), / by /)
  assert.match(await check(archive(), { anchored: anchored('bb') }), /an anchor names another hash/)
})

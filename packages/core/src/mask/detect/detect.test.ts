import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { MaskKey } from '../mask-key.ts'
import { DETECTORS, validateDetector } from './detectors.ts'
import { findDetections } from './find-detections.ts'
import { DetectorSet, maskDetections } from './mask-detections.ts'

const key = new MaskKey(Buffer.alloc(32, 7))
const run = (length: number): string => 'aB3dE6gH9jK2'.repeat(30).slice(0, length)

/** One value each. Those that scanners of source code look for are put together here. */
const samples: Record<string, string[]> = {
  email: ['anna.meier+x@mail.example.co.uk'],
  phone: ['+49 30 1234567', '+14155552671'],
  credit_card: ['4111111111111111', '4111 1111 1111 1111', '378282246310005'],
  iban: ['DE89370400440532013000', 'GB82 WEST 1234 5698 7654 32'],
  ssn_us: ['123-45-6789'],
  nino_uk: ['AB123456C', 'AB 12 34 56 C'],
  tax_id_de: ['86095742719'],
  insee_fr: ['255081416802538', '2 55 08 14 168 025 38'],
  dni_es: ['12345678Z', 'X1234567L'],
  passport_mrz: [
    'P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<\nL898902C36UTO7408122F1204159ZE184226B<<<<<10',
  ],
  ip: ['192.168.10.254', '2001:db8::8a2e:370:7334', 'fe80:0:0:0:1:2:3:4'],
  mac: ['00:1a:2b:3c:4d:5e', '00-1A-2B-3C-4D-5E', '001a.2b3c.4d5e'],
  private_key: [`-----BEGIN RSA ${'PRIVATE'} KEY-----\nMIIabc\n-----END RSA PRIVATE KEY-----`],
  jwt: [`${'eyJ'}hbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.${run(43)}`],
  aws_key: [`${'AKIA'}IOSFODNN7EXAMPLE`],
  gcp_key: [`${'AIza'}${run(35)}`, `${'GOCSPX'}-${run(28)}`],
  azure_key: [`AccountKey=${run(86)}==`],
  github_token: [`${'ghp'}_${run(36)}`, `${'github'}_pat_${run(40)}`],
  gitlab_token: [`${'glpat'}-${run(20)}`],
  slack_token: [`${'xoxb'}-1234567890-${run(20)}`],
  stripe_key: [`${'sk'}_live_${run(24)}`],
  openai_key: [`${'sk'}-proj-${run(48)}`],
  anthropic_key: [`${'sk'}-ant-api03-${run(60)}`],
  npm_token: [`${'npm'}_${run(36)}`],
  connection_url: [
    'postgres://app:hunter2@db.example.com/shop',
    'redis://:hunter2@cache.example.com',
  ],
  basic_auth: ['Basic YW5uYTpzZWNyZXQ='],
  bearer_token: [`Bearer ${run(40)}`, `bearer ${run(20)}==`],
  generic_secret: [
    'password=hunter22',
    'passwd: correct-h0rse',
    'api_key => abcdefgh',
    'client-secret:s3cr3tvalue',
    `SECRET_ACCESS_KEY=${run(40)}`,
  ],
  high_entropy: [
    'Zk3vQ9xT1bL7nR5wY2sD8fJ4mC6h',
    '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08',
  ],
}

test('every detector finds its values whole, alone and in a sentence', () => {
  assert.deepEqual(Object.keys(samples).toSorted(), [...DETECTORS.keys()].toSorted())
  for (const [name, values] of Object.entries(samples)) {
    for (const value of values) {
      for (const text of [value, `see (${value}), thanks`, `é ${value}\nnext`]) {
        const start = text.indexOf(value)
        const found = findDetections(text, [name])[0]
        assert.ok(found !== undefined && found.start === start, `${name}: ${text}`)
        assert.ok(found.end >= start + value.length, `${name}: ${text}`)
      }
    }
  }
})

test('the quick look over the bytes misses nothing that a detector finds', () => {
  for (const [name, values] of Object.entries(samples)) {
    const set = new DetectorSet([{ detect: [name], with: 'redact' }], key)
    for (const value of values) {
      const bytes = Buffer.from(value)
      assert.ok(set.mayMatch(bytes, 0, bytes.length, 'plain'), name)
      assert.equal(set.mask(value, 'plain')?.text, '•••', name)
    }
  }
})

test('a wrong checksum or structure is no finding', () => {
  const wrong: Record<string, string> = {
    credit_card: '4111111111111112',
    iban: 'DE88370400440532013000',
    ssn_us: '000-45-6789',
    nino_uk: 'BG123456C',
    tax_id_de: '86095742718',
    insee_fr: '255081416802539',
    dni_es: '12345678A',
    passport_mrz: 'L898902C30UTO7408122F1204159ZE184226B<<<<<10',
    ip: '999.1.1.1',
  }
  for (const [name, value] of Object.entries(wrong))
    assert.deepEqual(findDetections(value, [name]), [], name)
  assert.deepEqual(findDetections('at 10:15:30 of 2024-02-03', ['pii']), [])
})

test('words are no secrets, nor is what stands in their place', () => {
  for (const text of [
    'the secret: information about it',
    'password = ${DB_PASSWORD}',
    'token: null',
    'passwords=2',
  ])
    assert.deepEqual(findDetections(text, ['generic_secret']), [], text)
  for (const text of [
    'an ordinary sentence of words, some-of-them-with-dashes-between',
    'https://example.com/a/path',
  ])
    assert.deepEqual(findDetections(text, ['high_entropy']), [], text)
})

test('in JSON the key beside a secret names it', () => {
  const set = new DetectorSet([{ detect: ['generic_secret'], with: 'redact' }], key)
  const masked = set.mask(
    '{"db": {"password": "hunter22", "user": "anna"}, "n": ["hunter22"]}',
    'json',
  )
  assert.equal(masked?.text, '{"db": {"password": "•••", "user": "anna"}, "n": ["hunter22"]}')
  assert.equal(set.mask('{"password": null, "tokens": 12}', 'json'), undefined)
})

test('what is guessed is looked for by name alone', () => {
  assert.deepEqual(findDetections('Zk3vQ9xT1bL7nR5wY2sD8fJ4mC6h', ['pii', 'secret']), [])
})

test('a long run in front hides neither an address nor a URL', () => {
  const address = `${'x'.repeat(500)}@mail.example`
  assert.deepEqual(findDetections(address, ['email']), [
    { name: 'email', start: 0, end: address.length },
  ])
  const url = `${'1'.repeat(500)}postgres://app:hunter2@db.example.com/shop`
  assert.equal(findDetections(url, ['connection_url'])[0]?.end, url.length)
})

test('a card number is found however its digits are grouped', () => {
  const group = fc.array(fc.constantFrom('', ' ', '-'), { minLength: 15, maxLength: 15 })
  fc.assert(
    fc.property(group, fc.nat(99), (gaps, before) => {
      const card = Array.from('4111111111111111', (digit, at) => digit + (gaps[at] ?? '')).join('')
      const text = `${before}: ${card}.`
      assert.deepEqual(findDetections(text, ['credit_card']), [
        { name: 'credit_card', start: text.indexOf(card), end: text.length - 1 },
      ])
    }),
  )
})

test('a text that is too long to be searched is withheld whole', () => {
  const set = new DetectorSet([{ detect: ['email'], with: 'redact', rule: 'r' }], key)
  const long = `${' '.repeat(1024 * 1024)}a@b.example`
  assert.deepEqual(set.mask(long, 'plain'), { text: null, rules: ['r'] })
  assert.equal(set.mask(long.slice(100), 'plain')?.text?.toString().endsWith('•••'), true)
})

// A pattern that reads a text again from each place in it would need minutes for one of these.
test('hostile texts come to an end', { timeout: 60_000 }, () => {
  const parts = [
    'a',
    '1',
    '-',
    '.',
    '@',
    'a@',
    'a.',
    '1 ',
    '+1',
    'eyJ',
    'eyJa.',
    '-----BEGIN PRIVATE KEY-----',
    'P<',
    'DE12',
  ]
    .concat([
      'a:b@',
      'http://a:',
      'a://',
      'Basic ',
      'Bearer a',
      'sk-',
      'ghp_',
      'AccountKey=',
      '00:',
      '1.',
      '::',
      'f:',
      '4 ',
    ])
    .concat([
      '4111 1111 1111 1112 ',
      'password=',
      'password: ',
      'token',
      'a/',
      '"',
      '\\',
      '{"a":',
      '1-',
    ])
  const names = [...DETECTORS.keys()]
  const set = new DetectorSet([{ detect: names, with: 'redact' }], key)
  for (const part of parts) {
    const text = part.repeat(Math.ceil(65_536 / part.length))
    for (const tail of ['', '!', '@', ' a@b.example']) {
      set.mask(text + tail, 'plain')
      set.mask(text + tail, 'json')
    }
  }
})

test('a token is found behind other starts of tokens', () => {
  const token = samples['jwt']?.[0] ?? ''
  const text = `${'eyJ'.repeat(50)} ${token}`
  assert.deepEqual(findDetections(text, ['jwt']), [{ name: 'jwt', start: 151, end: text.length }])
})

test('a card is found between other numbers', () => {
  const [found] = findDetections('order 12 4111 1111 1111 1111 99', ['credit_card'])
  assert.deepEqual(found, { name: 'credit_card', start: 9, end: 28 })
})

test('JSON stays JSON, and an escape hides nothing', () => {
  const set = new DetectorSet([{ detect: ['email', 'credit_card'], with: 'redact' }], key)
  const masked = set.mask(
    '{"a@b.example": 1, "n":4111111111111111, "x":"c\\u0040d.example", "k": [1.50]}',
    'json',
  )
  assert.equal(masked?.text, '{"•••": 1, "n":null, "x":"•••", "k": [1.50]}')
})

test('overlapping findings are masked as one, by the strongest function', () => {
  const rules = [
    { detect: ['email'], with: 'partial' },
    { detect: ['connection_url'], with: 'redact' },
  ] as const
  assert.equal(maskDetections('at postgres://app:pw@db.example.com now', rules, key), 'at ••• now')
})

test('a text without findings is left alone, and unknown names are refused', () => {
  assert.equal(
    maskDetections('nothing to see', [{ detect: ['pii', 'secret'], with: 'redact' }], key),
    undefined,
  )
  assert.match(validateDetector('e-mail') ?? '', /no detector "e-mail"/)
  assert.throws(() => findDetections('x', ['nope']), RangeError)
})

test('masking what was masked finds no planted value in any text around it', () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), (before, after) => {
      const planted = 'planted.value@mail.example'
      const masked = maskDetections(
        `${before} ${planted} ${after}`,
        [{ detect: ['email'], with: 'redact' }],
        key,
      )
      assert.ok(typeof masked === 'string' && !masked.includes(planted))
    }),
  )
})

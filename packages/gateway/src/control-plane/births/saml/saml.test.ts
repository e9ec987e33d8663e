import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inflateRawSync } from 'node:zlib'
import { after, afterEach, before, beforeEach, test } from 'node:test'
import fc from 'fast-check'
import { DpopProofs } from '../../dpop.ts'
import { MemoryProofUses } from '../../memory-proof-uses.fixture.ts'
import { SourceRates } from '../../source-rates.ts'
import { type BirthsPart, openBirths } from '../births.ts'
import { FakeAgents } from '../fake-agents.fixture.ts'
import { MemoryLogins } from '../memory-logins.fixture.ts'
import { MemoryTokenUses } from '../memory-token-uses.fixture.ts'
import { openGate } from '../open-gate.fixture.ts'
import type { BirthEvent, ConfirmedLogin } from '../ports.ts'
import { consentId, TestBrowser, type Visited } from '../test-browser.fixture.ts'
import { type Answering, LocalSamlProvider, makeKeyPair } from './local-saml-provider.fixture.ts'

const gatewayUrl = 'http://127.0.0.1:8700'
const loopback = 'http://127.0.0.1:45123/cb'
const stranger = makeKeyPair()

let provider: LocalSamlProvider
let dir: string
let births: BirthsPart
let agents: FakeAgents
let uses: MemoryTokenUses
let events: BirthEvent[]
let faults: unknown[]
let remembered: ConfirmedLogin[]
let browser: TestBrowser
let metadata: string
let clock = 0

before(() => {
  provider = new LocalSamlProvider()
})
beforeEach(async () => {
  clock = 0
  events = []
  faults = []
  remembered = []
  agents = new FakeAgents()
  uses = new MemoryTokenUses(agents)
  dir = await mkdtemp(join(tmpdir(), 'saml-'))
  await open()
})
afterEach(async () => {
  births.close()
  assert.deepEqual(faults, [])
  await rm(dir, { recursive: true })
})
after(() => {
  provider = undefined as never
})

async function open(spec = ''): Promise<void> {
  births?.close()
  await mkdir(join(dir, 'identity'), { recursive: true })
  await writeFile(join(dir, 'identity', 'idp.pem'), provider.keys.certificate)
  await writeFile(
    join(dir, 'identity', 'a.yaml'),
    `apiVersion: sallyport.dev/v1
kind: SamlProvider
metadata: {name: adfs}
spec:
  entityId: ${provider.entityId}
  ssoUrl: "${provider.ssoUrl}"
  certificateFile: idp.pem
${spec}
---
apiVersion: sallyport.dev/v1
kind: Grant
metadata: {name: devs}
spec: {to: ["group:dev"], on: [{connections: [stage-*]}], allow: [rw]}
`,
  )
  births = await openBirths({
    approvals: {
      card: async (approval) =>
        await Promise.resolve({ title: `${approval}?`, facts: [], text: 'delete from t' }),
      answer: async () => await Promise.resolve('done'),
    },
    logins: new MemoryLogins(),
    dataDir: dir,
    gatewayUrl: () => gatewayUrl,
    agents,
    connections: async () => [],
    uses,
    gate: {
      ...openGate,
      remember: async (_root, login) => {
        remembered.push(login)
      },
    },
    proofs: new DpopProofs(new MemoryProofUses(), () => Date.now() + clock),
    ownUrls: () => [gatewayUrl],
    sources: new SourceRates(() => 0, {
      logins: { perSecond: 1, burst: 10_000 },
      births: { perSecond: 1, burst: 10_000 },
    }),
    onEvent: (event) => events.push(event),
    onConfig: () => {},
    onFault: (error) => faults.push(error),
    now: () => Date.now() + clock,
  })
  browser = new TestBrowser(gatewayUrl, births.routes)
  metadata = await (await births.routes.request('/saml/metadata')).text()
}

const verifier = randomBytes(32).toString('base64url')

/** As far as the provider's page. */
async function begin(from = browser): Promise<URL> {
  const challenge = createHash('sha256').update(verifier).digest('base64url')
  const query = new URLSearchParams({ redirect: loopback, challenge }).toString()
  const page = await from.visit(`${gatewayUrl}/login?${query}`, [])
  return new URL(page.url)
}

/** Brings an answer in the browser that the provider sends. */
async function bring(response: string, from = browser): Promise<Visited> {
  return from.visit(`${gatewayUrl}/saml/acs`, [], { SAMLResponse: response, RelayState: 'x' })
}

async function attempt(answering: Answering = {}): Promise<Visited> {
  return bring(await provider.answer(await begin(), metadata, answering))
}

async function finish(page: Visited): Promise<Record<string, unknown>> {
  const form = { id: consentId(page), decision: 'allow' }
  const back = await browser.visit(`${gatewayUrl}/login/confirm`, [], form)
  const answer = await births.routes.request('/oauth/token', {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({
      grant_type: 'authorization_code',
      code: new URL(back.url).searchParams.get('code') ?? '',
      code_verifier: verifier,
      redirect_uri: loopback,
    }).toString(),
  })
  return (await answer.json()) as Record<string, unknown>
}

function assertRefused(page: Visited, why?: RegExp): void {
  assert.equal(page.status, 400, page.text)
  assert.match(page.text, /Not logged in/u)
  if (why !== undefined) assert.match(page.text, why)
  assert.equal(agents.all.size, 0)
}

test('an answer to a login makes a root of the person, with the groups that were signed', async () => {
  const page = await attempt()
  assert.equal(page.status, 200, page.text)
  assert.match(page.text, /Log in as u-dana\?/u)
  assert.equal(agents.all.size, 0)
  const born = await finish(page)
  assert.ok(born['access_token'], JSON.stringify(born))
  const [root] = [...agents.liveRoots()]
  assert.equal(root?.principal.id, `saml:${provider.entityId}|u-dana`)
  assert.deepEqual(root.principal.groups, ['dev', 'oncall'])
  assert.match(JSON.stringify([...agents.all.values()][0]?.entitlement), /stage-\*/u)
  assert.equal(remembered[0]?.session, '_s1')
  const expiresIn = Number(born['expires_in'])
  assert.ok(expiresIn > 3500 && expiresIn <= 3600, `${expiresIn}`)
})

test('a request for approval is answered by a login of the moment alone', async () => {
  const beginFresh = async (): Promise<URL> =>
    new URL((await browser.visit(`${gatewayUrl}/a/ap_1`, [])).url)
  const asked = await beginFresh()
  const deflated = Buffer.from(asked.searchParams.get('SAMLRequest') ?? '', 'base64')
  assert.match(inflateRawSync(deflated).toString(), / ForceAuthn="true"/u)
  const ordinary = Buffer.from((await begin()).searchParams.get('SAMLRequest') ?? '', 'base64')
  assert.doesNotMatch(inflateRawSync(ordinary).toString(), /ForceAuthn/u)
  const page = await bring(await provider.answer(await beginFresh(), metadata))
  assert.match(page.text, /ap_1\?/u)
  const old = new Date(Date.now() - 400_000).toISOString()
  for (const said of [` AuthnInstant="${old}"`, '', ' AuthnInstant="now"']) {
    const before = (xml: string): string => xml.replace(/ AuthnInstant="[^"]*"/u, said)
    const answer = await provider.answer(await beginFresh(), metadata, { before })
    assertRefused(await bring(answer), /did not ask you again/u)
    // For a login it may be as old as the provider likes.
    const login = await provider.answer(await begin(), metadata, { before })
    assert.equal((await bring(login)).status, 200, said)
  }
  // A page of one kind is not answered as one of the other kind.
  const form = { id: consentId(page), decision: 'allow' }
  assertRefused(await browser.visit(`${gatewayUrl}/login/confirm`, [], form))
  const login = await attempt()
  const wrong = { id: consentId(login), decision: 'approve', note: '' }
  assertRefused(await browser.visit(`${gatewayUrl}/a/answer`, [], wrong))
  const right = { id: consentId(page), decision: 'approve', note: '' }
  assert.match((await browser.visit(`${gatewayUrl}/a/answer`, [], right)).text, /done/u)
})

test('a provider that signs the response too is taken', async () => {
  assert.equal((await attempt({ sign: 'both' })).status, 200)
})

test('who is called by an attribute has its one value, and only members log in', async () => {
  await open('  userAttribute: email\n  allowedGroups: [dev]\n  allowedDomains: [example.com]')
  assert.match((await attempt()).text, /Log in as dana@example\.com\?/u)
  const many = { email: ['dana@example.com', 'root@example.com'], groups: ['dev'] }
  assertRefused(await attempt({ say: { attributes: many } }), /one value/u)
  assertRefused(await attempt({ say: { attributes: { email: ['d@example.com'] } } }), /groups/u)
  const elsewhere = { email: ['d@example.com.evil.org'], groups: ['dev'] }
  assertRefused(await attempt({ say: { attributes: elsewhere } }), /domain/u)
})

const soon = Date.now() + 300_000
const wrong: readonly (readonly [string, Answering])[] = [
  ['that is not signed', { sign: 'nothing' }],
  ['whose assertion is not signed, but its response', { sign: 'response' }],
  ['that another key has signed', { key: stranger }],
  ['with SHA-1', { algorithm: 'http://www.w3.org/2000/09/xmldsig#rsa-sha1' }],
  ['for another audience', { say: { audience: 'https://other.example.com' } }],
  ['for another address', { say: { acsUrl: 'https://other.example.com/saml/acs' } }],
  ['of another provider', { say: { issuer: 'https://other.example.com/metadata' } }],
  [
    'to another login',
    { before: (xml) => xml.replace(/(Recipient="[^"]*" InResponseTo=")[^"]*/u, '$1_other') },
  ],
  [
    'to no login in its assertion',
    { before: (xml) => xml.replace(/ InResponseTo="[^"]*"\/>/u, '/>') },
  ],
  ['that nobody asked for', { before: (xml) => xml.replaceAll(/ InResponseTo="[^"]*"/gu, '') }],
  [
    'that has expired',
    { say: { issuedAtMs: Date.now() - 600_000, endsAtMs: Date.now() - 60_000 } },
  ],
  [
    'that is older than a login takes',
    { say: { issuedAtMs: Date.now() - 3_600_000, endsAtMs: soon } },
  ],
  [
    'that is not valid yet',
    { say: { issuedAtMs: Date.now() + 3_600_000, endsAtMs: Date.now() + 7_200_000 } },
  ],
  [
    'without conditions',
    { before: (xml) => xml.replace(/<saml:Conditions.*<\/saml:Conditions>/u, '') },
  ],
  [
    'without an audience',
    {
      before: (xml) => xml.replace(/<saml:AudienceRestriction>.*<\/saml:AudienceRestriction>/u, ''),
    },
  ],
  [
    'without a statement',
    { before: (xml) => xml.replace(/<saml:AuthnStatement.*<\/saml:AuthnStatement>/u, '') },
  ],
  [
    'without a confirmation',
    {
      before: (xml) => xml.replace(/<saml:SubjectConfirmation .*<\/saml:SubjectConfirmation>/u, ''),
    },
  ],
  [
    'that somebody else holds the key of',
    { before: (xml) => xml.replace('cm:bearer', 'cm:holder-of-key') },
  ],
  [
    'without an end',
    { before: (xml) => xml.replace(/(<saml:SubjectConfirmationData) NotOnOrAfter="[^"]*"/u, '$1') },
  ],
  [
    'with an end in another form',
    { before: (xml) => xml.replaceAll(/NotOnOrAfter="[^"]*"/gu, 'NotOnOrAfter="never"') },
  ],
  [
    'with a session that is over',
    {
      before: (xml) =>
        xml.replace('SessionIndex=', 'SessionNotOnOrAfter="2020-01-01T00:00:00Z" SessionIndex='),
    },
  ],
  [
    'with a name for one login',
    { say: { format: 'urn:oasis:names:tc:SAML:2.0:nameid-format:transient' } },
  ],
  ['without a name', { say: { nameId: '' } }],
  ['with a name that is no name', { say: { nameId: 'x'.repeat(600) } }],
  [
    'with two names',
    {
      before: (xml) =>
        xml.replace(/<saml:NameID.*<\/saml:NameID>/u, '$&<saml:NameID>root</saml:NameID>'),
    },
  ],
  [
    'of version 1.1',
    { before: (xml) => xml.replace(/(<saml:Assertion [^>]*Version=")2\.0/u, '$11.1') },
  ],
  [
    'that says that nobody logged in',
    {
      before: (xml) =>
        xml
          .replace(/<saml:Assertion .*<\/saml:Assertion>/u, '')
          .replace('status:Success', 'status:Responder'),
      sign: 'response',
    },
  ],
]
for (const [what, answering] of wrong) {
  test(`an answer ${what} logs nobody in`, async () => {
    assertRefused(await attempt(answering))
  })
}

const assertionOf = (xml: string): string =>
  /<saml:Assertion .*<\/saml:Assertion>/u.exec(xml)?.[0] ?? assert.fail(xml)
const signatureOf = (xml: string): string =>
  /<ds:Signature .*<\/ds:Signature>/u.exec(xml)?.[0] ?? assert.fail(xml)
/** An assertion that nobody signed, with another name. */
const evil = (xml: string, id = '_evil'): string =>
  assertionOf(xml)
    .replace(signatureOf(xml), '')
    .replace(/ID="[^"]*"/u, `ID="${id}"`)
    .replace('u-dana', 'u-root')

const changes: readonly (readonly [string, (xml: string) => string])[] = [
  ['the name is another', (xml) => xml.replace('u-dana', 'u-root')],
  ['a group was added', (xml) => xml.replace('>dev<', '>admins<')],
  ['the name is cut by a comment', (xml) => xml.replace('u-dana', 'u-<!-- -->dana')],
  ['the name is cut by an instruction', (xml) => xml.replace('u-dana', 'u-<?x y?>dana')],
  ['the name is a section of text', (xml) => xml.replace('u-dana', '<![CDATA[u-root]]>')],
  [
    'there is a document type',
    (xml) => `<!DOCTYPE x [<!ENTITY a "u-root">]>${xml.replace('u-dana', '&a;')}`,
  ],
  [
    'there are entities of entities',
    (xml) =>
      `<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>${xml}`,
  ],
  ['the signature is gone', (xml) => xml.replace(signatureOf(xml), '')],
  [
    'the signature is empty',
    (xml) => xml.replace(/<ds:SignatureValue>[^<]*/u, '<ds:SignatureValue>'),
  ],
  [
    'the digest is a comment',
    (xml) => xml.replace(/<ds:DigestValue>/u, '<ds:DigestValue><!--x-->'),
  ],
  ['the digests are two', (xml) => xml.replace(/<ds:DigestValue>[^<]*<\/ds:DigestValue>/u, '$&$&')],
  [
    'what was signed is described twice',
    (xml) => xml.replace(/<ds:SignedInfo>.*<\/ds:SignedInfo>/u, '$&$&'),
  ],
  ['the reference is to all', (xml) => xml.replace(/URI="#[^"]*"/u, 'URI=""')],
  [
    'the method is a secret key',
    (xml) => xml.replace('2001/04/xmldsig-more#rsa-sha256', '2000/09/xmldsig#hmac-sha256'),
  ],
  [
    'the transform is a program',
    (xml) =>
      xml.replace(
        'http://www.w3.org/2001/10/xml-exc-c14n#',
        'http://www.w3.org/TR/1999/REC-xslt-19991116',
      ),
  ],
  ['comments are kept', (xml) => xml.replaceAll('xml-exc-c14n#"', 'xml-exc-c14n#WithComments"')],
  // Wrapping: what was signed is kept somewhere, and something else stands where it is read (Somorovsky et al., 2012).
  [
    'wrapping 1: the signed response is inside of its signature',
    (xml) =>
      `${xml.replace('u-dana', 'u-root').replace('</ds:Signature>', `<ds:Object>${xml}</ds:Object></ds:Signature>`)}`,
  ],
  [
    'wrapping 2: the signed response comes after',
    (xml) =>
      xml.replace('u-dana', 'u-root').replace('</samlp:Response>', `${xml}</samlp:Response>`),
  ],
  [
    'wrapping 3: another assertion comes before',
    (xml) => xml.replace('<saml:Assertion ', `${evil(xml)}<saml:Assertion `),
  ],
  [
    'wrapping 4: the signed assertion is inside of another',
    (xml) =>
      xml.replace(
        assertionOf(xml),
        evil(xml).replace('</saml:Assertion>', `${assertionOf(xml)}</saml:Assertion>`),
      ),
  ],
  [
    'wrapping 5: the signature moves to another assertion',
    (xml) =>
      xml.replace(
        assertionOf(xml),
        `${evil(xml).replace('</saml:Issuer>', `</saml:Issuer>${signatureOf(xml)}`)}${assertionOf(xml).replace(signatureOf(xml), '')}`,
      ),
  ],
  [
    'wrapping 6: the signed assertion is inside of the moved signature',
    (xml) =>
      xml.replace(
        assertionOf(xml),
        evil(xml).replace(
          '</saml:Issuer>',
          `</saml:Issuer>${signatureOf(xml).replace('</ds:Signature>', `<ds:Object>${assertionOf(xml).replace(signatureOf(xml), '')}</ds:Object></ds:Signature>`)}`,
        ),
      ),
  ],
  [
    'wrapping 7: the signed assertion is in an extension',
    (xml) =>
      xml.replace(
        assertionOf(xml),
        `<samlp:Extensions>${assertionOf(xml)}</samlp:Extensions>${evil(xml)}`,
      ),
  ],
  [
    'wrapping 8: another assertion is in an object of the signature',
    (xml) => xml.replace('</ds:Signature>', `<ds:Object>${evil(xml)}</ds:Object></ds:Signature>`),
  ],
  [
    'wrapping: both have one id',
    (xml) =>
      xml.replace(
        '<saml:Assertion ',
        `${evil(xml, /<saml:Assertion [^>]*ID="([^"]*)"/u.exec(xml)?.[1])}<saml:Assertion `,
      ),
  ],
  [
    'wrapping: with another prefix',
    (xml) =>
      xml.replace(
        '<saml:Assertion ',
        `${evil(xml).replaceAll('saml:', 'a:').replace('<a:Assertion ', '<a:Assertion xmlns:a="urn:oasis:names:tc:SAML:2.0:assertion" ')}<saml:Assertion `,
      ),
  ],
  [
    'wrapping: the other is called like it in another language',
    (xml) =>
      xml.replace('<saml:Assertion ', `${evil(xml).replaceAll('saml:', '')}<saml:Assertion `),
  ],
  [
    'there is an encrypted one beside it',
    (xml) => xml.replace('<saml:Assertion ', '<saml:EncryptedAssertion/><saml:Assertion '),
  ],
]
for (const [what, after] of changes) {
  test(`an answer that was signed and changed logs nobody in: ${what}`, async () => {
    assertRefused(await attempt({ after }))
    assertRefused(await attempt({ after, sign: 'both' }))
  })
}

test('an algorithm that is not quoted is no way around the list of those that are accepted', async () => {
  const unquoted = (xml: string): string =>
    xml.replaceAll(/Algorithm="([^"]*sha1)"/gu, 'Algorithm=$1 ')
  const algorithm = 'http://www.w3.org/2000/09/xmldsig#rsa-sha1'
  assertRefused(await attempt({ algorithm, after: unquoted }), /algorithms/u)
})

test('a stranger whose certificate stands in the answer is no provider', async () => {
  assertRefused(await attempt({ key: stranger, sign: 'both' }), /not accepted/u)
})

test('an answer works once, also where its login is told again and after a restart', async () => {
  const login = await begin()
  const response = await provider.answer(login, metadata)
  assert.equal((await bring(response)).status, 200)
  assertRefused(await bring(response), /not begun here, was used/u)
  // Nor is there a second answer to one request.
  assertRefused(await bring(await provider.answer(login, metadata)), /not begun here, was used/u)
  // The same assertion as the answer to another request would need its signature; with its id alone it is refused too.
  const say = { assertionId: '_same' }
  assert.equal((await attempt({ say })).status, 200)
  assertRefused(await attempt({ say }), /used already/u)
  await open()
  assertRefused(await attempt({ say }), /used already/u)
})

test('an answer in another browser, or brought late, logs nobody in', async () => {
  const other = new TestBrowser(gatewayUrl, births.routes)
  assertRefused(await bring(await provider.answer(await begin(), metadata), other), /this browser/u)
  const login = await begin()
  const response = await provider.answer(login, metadata)
  clock = 11 * 60_000
  assertRefused(await bring(response), /too long/u)
})

test('what is no answer is refused: empty, huge, twice, not XML, not text', async () => {
  for (const response of [
    '',
    'x',
    '%%%',
    Buffer.from('<a>').toString('base64'),
    Buffer.from([0xff, 0xfe]).toString('base64'),
  ])
    assertRefused(await bring(response))
  assertRefused(await bring('A'.repeat(800_000)))
  assertRefused(await bring('A'.repeat(2_000_000)), /too large/u)
  const twice = await births.routes.request('/saml/acs', {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: 'SAMLResponse=a&SAMLResponse=b',
  })
  assert.equal(twice.status, 400)
})

test('an answer that is deep or long ends with its thread', async () => {
  const deep = (xml: string): string =>
    xml.replace(
      '</samlp:Response>',
      `${'<a>'.repeat(30_000)}${'</a>'.repeat(30_000)}</samlp:Response>`,
    )
  assertRefused(await attempt({ after: deep, sign: 'both' }))
  const many = (xml: string): string =>
    xml.replace(
      '<samlp:Response ',
      `<samlp:Response ${Array.from({ length: 9000 }, (_, n) => `a${n}="x"`).join(' ')} `,
    )
  assertRefused(await attempt({ after: many, sign: 'both' }))
  assert.equal((await attempt()).status, 200)
})

test('one changed character of what is signed logs nobody else in', async () => {
  const login = await provider.answer(await begin(), metadata)
  const { length } = assertionOf(Buffer.from(login, 'base64').toString())
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 0, max: length - 1 }),
      fc.constantFrom('x', '0', '<', ' '),
      async (at, mark) => {
        const page = await attempt({
          after: (xml) => {
            const assertion = assertionOf(xml)
            return xml.replace(
              assertion,
              () => assertion.slice(0, at) + mark + assertion.slice(at + 1),
            )
          },
        })
        // Some characters stand between attributes, or in what the signature does not count.
        if (page.status === 200) assert.match(page.text, /Log in as u-dana\?/u)
        else assertRefused(page)
      },
    ),
    { numRuns: 25 },
  )
})

test('the log says which provider answered wrongly', async () => {
  await attempt({ key: stranger })
  const [event] = events
  assert.equal(event?.kind, 'login.refused')
  assert.equal(event.provider, 'adfs')
})

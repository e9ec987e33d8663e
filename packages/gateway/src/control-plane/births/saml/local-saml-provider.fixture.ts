import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as samlify from 'samlify'

const protocol = 'urn:oasis:names:tc:SAML:2.0:protocol'
const bindings = 'urn:oasis:names:tc:SAML:2.0:bindings'

/** A key and a certificate for it, which nobody but its owner has signed. */
export interface KeyPair {
  readonly key: string
  readonly certificate: string
}

export function makeKeyPair(): KeyPair {
  const dir = mkdtempSync(join(tmpdir(), 'saml-'))
  try {
    const files = ['-keyout', join(dir, 'key'), '-out', join(dir, 'cert')]
    const kind = ['-newkey', 'rsa:2048', '-nodes', '-sha256', '-days', '2', '-subj', '/CN=idp']
    execFileSync('openssl', ['req', '-x509', ...kind, ...files], { stdio: 'ignore' })
    const [key, certificate] = ['key', 'cert'].map((name) => readFileSync(join(dir, name), 'utf8'))
    return { key: key ?? '', certificate: certificate ?? '' }
  } finally {
    rmSync(dir, { recursive: true })
  }
}

/** What an answer says, before it is signed. */
export interface Answer {
  readonly requestId: string
  readonly acsUrl: string
  readonly audience: string
  readonly issuer: string
  readonly nameId: string
  readonly format: string
  readonly assertionId: string
  readonly issuedAtMs: number
  readonly endsAtMs: number
  readonly attributes: Readonly<Record<string, readonly string[]>>
}

export interface Answering {
  /** Changes what it says. */
  readonly say?: Partial<Answer>
  /** Changes the text before it is signed. */
  readonly before?: (xml: string) => string
  /** Changes the text after it was signed. */
  readonly after?: (xml: string) => string
  readonly sign?: 'assertion' | 'response' | 'both' | 'nothing'
  readonly algorithm?: string
  readonly key?: KeyPair
}

/** A provider of SAML 2.0 by another implementation, samlify: it reads our request and metadata, and signs answers. */
export class LocalSamlProvider {
  readonly entityId = 'https://idp.example.com/metadata'
  readonly ssoUrl = 'https://idp.example.com/sso'
  readonly keys = makeKeyPair()

  constructor() {
    // Its schemas would need a program of their own.
    samlify.setSchemaValidator({ validate: async () => 'not validated' })
  }

  /** Answers the request that a browser was sent with, in base64. */
  async answer(login: URL, metadata: string, answering: Answering = {}): Promise<string> {
    const sp = samlify.ServiceProvider({ metadata })
    const { sign = 'assertion' } = answering
    const idp = this.#idp(answering)
    const query = Object.fromEntries(login.searchParams)
    const { extract } = await idp.parseLoginRequest(sp, 'redirect', { query })
    const request = extract as { readonly request: { readonly id: string } }
    const answer: Answer = {
      requestId: request.request.id,
      acsUrl: String(sp.entityMeta.getAssertionConsumerService('post')),
      audience: sp.entityMeta.getEntityID(),
      issuer: this.entityId,
      nameId: 'u-dana',
      format: 'urn:oasis:names:tc:SAML:2.0:nameid-format:persistent',
      assertionId: `_${randomBytes(16).toString('hex')}`,
      issuedAtMs: Date.now(),
      endsAtMs: Date.now() + 5 * 60_000,
      attributes: { email: ['dana@example.com'], groups: ['dev', 'oncall'] },
      ...answering.say,
    }
    const text = (answering.before ?? same)(responseXml(answer))
    const signed = this.#sign(text, sign, answering)
    return Buffer.from((answering.after ?? same)(signed)).toString('base64')
  }

  #idp({ key = this.keys }: Answering): ReturnType<typeof samlify.IdentityProvider> {
    return samlify.IdentityProvider({
      entityID: this.entityId,
      privateKey: key.key,
      signingCert: key.certificate,
      singleLogoutService: [{ Binding: `${bindings}:HTTP-Redirect`, Location: this.ssoUrl }],
      singleSignOnService: [{ Binding: `${bindings}:HTTP-Redirect`, Location: this.ssoUrl }],
    })
  }

  #sign(text: string, what: Answering['sign'], { key = this.keys, algorithm }: Answering): string {
    let signed = text
    const one = (path: string, after: string): string =>
      String(
        samlify.SamlLib.constructSAMLSignature({
          rawSamlMessage: signed,
          referenceTagXPath: path,
          privateKey: key.key,
          signingCert: key.certificate.replaceAll(/-----[^-]+-----|\s/gu, ''),
          signatureAlgorithm: algorithm ?? 'http://www.w3.org/2001/04/xmldsig-more#rsa-sha256',
          isBase64Output: false,
          signatureConfig: { prefix: 'ds', location: { reference: after, action: 'after' } },
        }),
      )
    const assertion = "/*[local-name(.)='Response']/*[local-name(.)='Assertion']"
    if (what === 'assertion' || what === 'both')
      signed = one(assertion, `${assertion}/*[local-name(.)='Issuer']`)
    if (what === 'response' || what === 'both')
      signed = one('/*', "/*[local-name(.)='Response']/*[local-name(.)='Issuer']")
    return signed
  }
}

function same(text: string): string {
  return text
}

function responseXml(answer: Answer): string {
  const { requestId, acsUrl, issuer, assertionId, nameId, format, audience } = answer
  const at = new Date(answer.issuedAtMs).toISOString()
  const end = new Date(answer.endsAtMs).toISOString()
  const attributes = Object.entries(answer.attributes)
    .map(([name, values]) => {
      const all = values.map((value) => `<saml:AttributeValue>${value}</saml:AttributeValue>`)
      return `<saml:Attribute Name="${name}">${all.join('')}</saml:Attribute>`
    })
    .join('')
  return `<samlp:Response xmlns:samlp="${protocol}" xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="_${randomBytes(16).toString('hex')}" Version="2.0" IssueInstant="${at}" Destination="${acsUrl}" InResponseTo="${requestId}"><saml:Issuer>${issuer}</saml:Issuer><samlp:Status><samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Success"/></samlp:Status><saml:Assertion xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="${assertionId}" Version="2.0" IssueInstant="${at}"><saml:Issuer>${issuer}</saml:Issuer><saml:Subject><saml:NameID Format="${format}">${nameId}</saml:NameID><saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer"><saml:SubjectConfirmationData NotOnOrAfter="${end}" Recipient="${acsUrl}" InResponseTo="${requestId}"/></saml:SubjectConfirmation></saml:Subject><saml:Conditions NotBefore="${at}" NotOnOrAfter="${end}"><saml:AudienceRestriction><saml:Audience>${audience}</saml:Audience></saml:AudienceRestriction></saml:Conditions><saml:AuthnStatement AuthnInstant="${at}" SessionIndex="_s1"><saml:AuthnContext><saml:AuthnContextClassRef>urn:oasis:names:tc:SAML:2.0:ac:classes:Password</saml:AuthnContextClassRef></saml:AuthnContext></saml:AuthnStatement><saml:AttributeStatement>${attributes}</saml:AttributeStatement></saml:Assertion></samlp:Response>`
}

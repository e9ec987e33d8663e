import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { FieldReader } from '../../policies/field-reader.ts'
import type { SamlProvider } from './identity-config.ts'
import { readSignals } from './read-signals.ts'
import { readDuration, readUrl } from './read-values.ts'

const fields =
  'entityId ssoUrl certificateFile groupsAttribute userAttribute allowedGroups allowedDomains ttl signals'.split(
    ' ',
  )
const ttlMaxMs = 8 * 3_600_000
/** A provider of SAML can't be asked again whether somebody is still there, so it has to report it for longer logins. */
const ttlDefaultMs = 3_600_000
const entityIdCharactersMax = 1024
/** A provider that changes its key has two for a while. */
const certificatesMax = 4
const certificateCharactersMax = 64 * 1024

/** Reads the `spec` of a `SamlProvider`. */
export function readSamlProvider(name: string, node: unknown, spec: FieldReader): SamlProvider {
  const read = new FieldReader(spec.source, node, 'spec', fields)
  for (const field of ['entityId', 'ssoUrl', 'certificateFile']) read.require(field)
  const issuer = readEntityId(read)
  const signals = readSignals(read, issuer)
  const isReported = signals?.scim !== undefined || signals?.events !== undefined
  const provider = {
    name,
    issuer,
    ssoUrl: readUrl(read, 'ssoUrl') ?? '',
    certificates: readCertificates(read),
    groupsClaim: read.text('groupsAttribute') ?? 'groups',
    userClaim: read.text('userAttribute') ?? 'nameId',
    allowedGroups: read.texts('allowedGroups'),
    allowedDomains: read.texts('allowedDomains').map((domain) => domain.toLowerCase()),
    ttlMs: readDuration(read, 'ttl', ttlMaxMs) ?? (isReported ? ttlMaxMs : ttlDefaultMs),
    ...(signals === undefined ? {} : { signals }),
  }
  for (const list of ['allowedGroups', 'allowedDomains'] as const) {
    if (read.has(list) && provider[list].length === 0) read.report(list, 'nobody could log in')
  }
  return provider
}

/** A URI of any kind. A bar divides it from names in the ids of people. */
function readEntityId(read: FieldReader): string {
  const text = read.text('entityId') ?? ''
  if (read.has('entityId') && (!/^[^\s|]+$/u.test(text) || text.length > entityIdCharactersMax))
    read.report('entityId', 'an entity id has no blanks and no bar')
  return text
}

/** The certificates of the file, of which only the keys count: SAML has them replaced, not renewed. */
function readCertificates(read: FieldReader): readonly string[] {
  const path = read.text('certificateFile')
  if (path === undefined) return []
  let text: string
  try {
    text = readFileSync(resolve(dirname(read.source.file), path), 'utf8')
  } catch {
    read.report('certificateFile', `${path} cannot be read`)
    return []
  }
  const found =
    text
      .slice(0, certificateCharactersMax)
      .match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/gu) ?? []
  if (found.length === 0 || found.length > certificatesMax)
    read.report('certificateFile', `${path} must have 1 to ${certificatesMax} certificates in PEM`)
  for (const pem of found) {
    const problem = certificateProblem(pem)
    if (problem !== undefined) read.report('certificateFile', problem)
  }
  return found
}

function certificateProblem(pem: string): string | undefined {
  try {
    const { asymmetricKeyType, asymmetricKeyDetails } = new X509Certificate(pem).publicKey
    if (asymmetricKeyType !== 'rsa') return 'the key of the certificate must be RSA'
    const { modulusLength = 0 } = asymmetricKeyDetails ?? {}
    return modulusLength < 2048 ? 'the key of the certificate must have 2048 bits' : undefined
  } catch {
    return 'a certificate of the file cannot be read'
  }
}

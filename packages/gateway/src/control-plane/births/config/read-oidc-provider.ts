import { FieldReader } from '../../policies/field-reader.ts'
import type { OidcProvider } from './identity-config.ts'
import { readSecret } from './read-secret.ts'
import { readSignals } from './read-signals.ts'
import { readDuration, readUrl } from './read-values.ts'

const fields =
  'issuer clientId clientSecret scopes groupsClaim userClaim allowedGroups allowedDomains ttl signals'.split(
    ' ',
  )
/** A working day; whoever works longer logs in again. */
const ttlMaxMs = 8 * 3_600_000

/** Reads the `spec` of an `OidcProvider`. */
export function readOidcProvider(name: string, node: unknown, spec: FieldReader): OidcProvider {
  const read = new FieldReader(spec.source, node, 'spec', fields)
  for (const field of ['issuer', 'clientId']) read.require(field)
  const clientSecret = readSecret(read, 'clientSecret')
  const scopes = read.has('scopes') ? read.texts('scopes') : ['openid', 'profile', 'email']
  if (!scopes.includes('openid')) read.report('scopes', 'scopes must name openid')
  const issuer = readUrl(read, 'issuer') ?? ''
  const signals = readSignals(read, issuer)
  const provider = {
    name,
    issuer,
    clientId: read.text('clientId') ?? '',
    ...(clientSecret === undefined ? {} : { clientSecret }),
    scopes,
    groupsClaim: read.text('groupsClaim') ?? 'groups',
    userClaim: read.text('userClaim') ?? 'email',
    allowedGroups: read.texts('allowedGroups'),
    allowedDomains: read.texts('allowedDomains').map((domain) => domain.toLowerCase()),
    ttlMs: readDuration(read, 'ttl', ttlMaxMs) ?? ttlMaxMs,
    ...(signals === undefined ? {} : { signals }),
  }
  for (const list of ['allowedGroups', 'allowedDomains'] as const) {
    if (read.has(list) && provider[list].length === 0) read.report(list, 'nobody could log in')
  }
  lintIssuer(read, provider)
  return provider
}

/** Providers that know everybody need a limit, and one name for many tenants is no issuer. */
function lintIssuer(read: FieldReader, provider: Omit<OidcProvider, 'clientSecret'>): void {
  if (
    /^https:\/\/login\.microsoftonline\.com\/(?:common|organizations|consumers)(?:\/|$)/u.test(
      provider.issuer,
    )
  ) {
    read.report(
      'issuer',
      'this issuer stands for all tenants',
      'name yours: https://login.microsoftonline.com/<tenant id>/v2.0',
    )
  }
  if (provider.issuer === 'https://accounts.google.com' && provider.allowedDomains.length === 0) {
    read.report(
      'issuer',
      'everybody has an account at this issuer',
      'add allowedDomains: [example.com]',
    )
  }
}

import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { Secret } from '@sallyport/core'
import { isScalar } from 'yaml'
import { FieldReader } from '../../policies/field-reader.ts'
import type { OidcProvider } from './identity-config.ts'
import { readDuration, readUrl } from './read-values.ts'

const fields =
  'issuer clientId clientSecret scopes groupsClaim userClaim allowedGroups allowedDomains ttl'.split(
    ' ',
  )
/** A working day; whoever works longer logs in again. */
const ttlMaxMs = 8 * 3_600_000
const secretCharactersMax = 4096

/** Reads the `spec` of an `OidcProvider`. */
export function readOidcProvider(name: string, node: unknown, spec: FieldReader): OidcProvider {
  const read = new FieldReader(spec.source, node, 'spec', fields)
  for (const field of ['issuer', 'clientId']) read.require(field)
  const clientSecret = readSecret(read)
  const scopes = read.has('scopes') ? read.texts('scopes') : ['openid', 'profile', 'email']
  if (!scopes.includes('openid')) read.report('scopes', 'scopes must name openid')
  const provider = {
    name,
    issuer: readUrl(read, 'issuer') ?? '',
    clientId: read.text('clientId') ?? '',
    ...(clientSecret === undefined ? {} : { clientSecret }),
    scopes,
    groupsClaim: read.text('groupsClaim') ?? 'groups',
    userClaim: read.text('userClaim') ?? 'email',
    allowedGroups: read.texts('allowedGroups'),
    allowedDomains: read.texts('allowedDomains').map((domain) => domain.toLowerCase()),
    ttlMs: readDuration(read, 'ttl', ttlMaxMs) ?? ttlMaxMs,
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

/** A secret is a reference, `{from: env:NAME}` or `{from: file:path}`; a value in the file would end up in its history. */
function readSecret(read: FieldReader): Secret<string> | undefined {
  if (!read.has('clientSecret')) return undefined
  if (isScalar(read.get('clientSecret'))) {
    read.report(
      'clientSecret',
      'a secret must be a reference, not a value',
      'use {from: env:NAME} or {from: file:path}',
    )
    return undefined
  }
  const path = read.at('clientSecret')
  const reference = new FieldReader(read.source, read.get('clientSecret'), path, ['from'])
  reference.require('from')
  const from = reference.text('from')
  if (from === undefined) return undefined
  const [scheme, ...rest] = from.split(':')
  const place = rest.join(':')
  const value =
    scheme === 'env' ? process.env[place] : scheme === 'file' ? fileText(read, place) : undefined
  if (scheme !== 'env' && scheme !== 'file') reference.report('from', 'env: and file: are possible')
  else if (value === undefined || value.trim() === '')
    reference.report('from', `${from} has no value`)
  else return new Secret(value.trim())
  return undefined
}

/** Relative paths begin at the folder of the file that names them. */
function fileText(read: FieldReader, path: string): string | undefined {
  try {
    return readFileSync(resolve(dirname(read.source.file), path), 'utf8').slice(
      0,
      secretCharactersMax,
    )
  } catch {
    return undefined
  }
}

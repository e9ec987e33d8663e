import type { Secret } from '@sallyport/core'
import { FieldReader } from '../../policies/field-reader.ts'
import type { EventSource, ProviderSignals } from './identity-config.ts'
import { readSecret } from './read-secret.ts'
import { readKeyPlace } from './read-trust-rule.ts'
import { readUrl } from './read-values.ts'

/** 128 bits in hexadecimal digits: whoever guesses one can end everybody's work. */
const tokenCharactersMin = 32

/** Reads `signals` of a provider. */
export function readSignals(provider: FieldReader, issuer: string): ProviderSignals | undefined {
  if (!provider.has('signals')) return undefined
  const read = new FieldReader(provider.source, provider.get('signals'), provider.at('signals'), [
    'mode',
    'scim',
    'events',
  ])
  const scim = readToken(read, 'scim')
  const events = readEvents(read, issuer)
  return {
    mode: read.oneOf('mode', ['revoke', 'freeze']) ?? 'revoke',
    ...(scim === undefined ? {} : { scim }),
    ...(events === undefined ? {} : { events }),
  }
}

function readEvents(signals: FieldReader, provider: string): EventSource | undefined {
  if (!signals.has('events')) return undefined
  const known = ['issuer', 'jwksUri', 'jwksFile', 'audience', 'pushToken', 'poll']
  const read = new FieldReader(signals.source, signals.get('events'), signals.at('events'), known)
  const issuer = readUrl(read, 'issuer') ?? provider
  const audience = read.text('audience')
  const pushToken = readSecret(read, 'pushToken')
  const poll = readPoll(read)
  return {
    issuer,
    keys: readKeyPlace(read),
    ...(audience === undefined ? {} : { audience }),
    ...(pushToken === undefined ? {} : { pushToken }),
    ...(poll === undefined ? {} : { poll }),
  }
}

function readPoll(events: FieldReader): EventSource['poll'] {
  if (!events.has('poll')) return undefined
  const at = events.at('poll')
  const read = new FieldReader(events.source, events.get('poll'), at, ['url', 'token'])
  for (const field of ['url', 'token']) read.require(field)
  const url = readUrl(read, 'url')
  const token = readSecret(read, 'token')
  return url === undefined || token === undefined ? undefined : { url, token }
}

/** `{token: {from: …}}` */
function readToken(signals: FieldReader, name: string): Secret<string> | undefined {
  if (!signals.has(name)) return undefined
  const read = new FieldReader(signals.source, signals.get(name), signals.at(name), ['token'])
  read.require('token')
  const token = readSecret(read, 'token')
  if (token !== undefined && token.expose().length < tokenCharactersMin)
    read.report('token', `a token has at least ${tokenCharactersMin} characters`)
  return token
}

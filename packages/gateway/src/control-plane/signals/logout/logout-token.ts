import type { OidcProvider } from '../../births/config/identity-config.ts'
import { humanId } from '../../births/entitlements.ts'
import type { IssuerKeys } from '../../births/workload/issuer-keys.ts'
import { plainText } from '../plain-text.ts'
import type { Signal, Whom } from '../signal.ts'
import { SignalRefused, verifySet } from '../verify-set.ts'

const logoutEvent = 'http://schemas.openid.net/event/backchannel-logout'
/** A provider sends it at once; one that comes later was kept by somebody. */
const ageSecondsMax = 600

export interface LogoutCheck {
  readonly provider: OidcProvider
  readonly issuerKeys: IssuerKeys
  readonly nowMs: number
}

/** Validates a logout token (OpenID Connect Back-Channel Logout 1.0, section 2.6) and says whose agents it ends. */
export async function readLogoutToken(token: string, check: LogoutCheck): Promise<Signal> {
  const { provider, issuerKeys, nowMs } = check
  const { claims, jti, iat, events, digest } = await verifySet(token, {
    issuer: provider.issuer,
    keys: { kind: 'discovery' },
    audience: provider.clientId,
    // Providers that are older than the type send none.
    types: ['logout+jwt', 'jwt', ''],
    issuerKeys,
    nowMs,
  })
  if (iat < nowMs / 1000 - ageSecondsMax) throw new SignalRefused('iat is too long ago')
  if (!Object.hasOwn(events, logoutEvent)) throw new SignalRefused('events names no logout')
  // An ID token has one: it must not pass for a logout token.
  if (claims['nonce'] !== undefined) throw new SignalRefused('a logout token has no nonce')
  return {
    source: `logout ${provider.issuer}`,
    id: jti,
    digest,
    provider: provider.name,
    kind: 'logout',
    whom: [whomOf(provider.issuer, textOf(claims.sub, 'sub'), textOf(claims['sid'], 'sid'))],
    effect: { kind: 'end' },
    why: `${provider.name} ended the login`,
  }
}

function whomOf(issuer: string, sub: string | undefined, sid: string | undefined): Whom {
  const person = sub === undefined ? {} : { person: humanId(issuer, sub) }
  if (sid !== undefined) return { kind: 'session', issuer, session: sid, ...person }
  if (sub === undefined) throw new SignalRefused('it has neither sub nor sid')
  return { kind: 'person', id: humanId(issuer, sub) }
}

function textOf(value: unknown, name: string): string | undefined {
  if (value === undefined) return undefined
  const text = plainText(value)
  if (text !== undefined) return text
  throw new SignalRefused(`${name} is no text of use`)
}

import {
  type EventSource,
  type LoginProvider,
  loginProviders,
} from '../../births/config/identity-config.ts'
import { humanId, samlId } from '../../births/entitlements.ts'
import type { SignalParts } from '../signal-parts.ts'
import { verifySet } from '../verify-set.ts'
import { readEvent } from './read-event.ts'

/** A provider that transmits shared signals. */
export interface Transmitter {
  readonly provider: LoginProvider
  readonly events: EventSource
}

/** All transmitters of the configuration. */
export function transmittersOf({ config }: Pick<SignalParts, 'config'>): Transmitter[] {
  return loginProviders(config()).flatMap((provider) => {
    const events = provider.signals?.events
    return events === undefined ? [] : [{ provider, events }]
  })
}

/** Verifies a security event token and acts upon it. Returns its `jti`. */
export async function receiveEvent(
  token: string,
  { provider, events }: Transmitter,
  parts: SignalParts,
): Promise<string> {
  const set = await verifySet(token, {
    issuer: events.issuer,
    keys: events.keys,
    audience: events.audience ?? parts.gatewayUrl(),
    types: ['secevent+jwt'],
    issuerKeys: parts.issuerKeys,
    nowMs: parts.now(),
  })
  const { name, issuer, groupsClaim, userClaim } = provider
  const isSaml = parts.config().samlProviders.has(name)
  const names = {
    provider: name,
    issuer,
    issuers: [issuer, events.issuer],
    personId: (subject: string) => (isSaml ? samlId : humanId)(issuer, subject),
    groupsClaim,
    userClaim,
  }
  const signal = readEvent(`events ${events.issuer}`, set, names)
  if (signal.whom.some((whom) => whom.kind === 'named' && whom.names.length > 0))
    parts.onEvent({ kind: 'signal.by-name', provider: name, signal: signal.kind })
  await parts.inbox.accept(signal)
  return set.jti
}

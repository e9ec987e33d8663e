import { plainText } from '../plain-text.ts'
import type { Effect, Signal, Whom } from '../signal.ts'
import type { CheckedSet } from '../verify-set.ts'
import { readSubject, type SubjectNames } from './subject.ts'

const base = 'https://schemas.openid.net/secevent/'
const kindCharactersMax = 100
const groupsMax = 2000

type Event = Readonly<Record<string, unknown>>

/** The provider that an event is about. */
export interface EventNames extends SubjectNames {
  readonly provider: string
  /** The claims that say what a person may do. */
  readonly groupsClaim: string
  readonly userClaim: string
}

interface Meaning {
  readonly effect: Effect
  readonly why: string
}

const nothing: Effect = { kind: 'none' }
const end: Effect = { kind: 'end' }

/** What each event does; one that is not here is recorded, and does nothing. */
const meanings: Readonly<Record<string, (event: Event, names: EventNames) => Meaning>> = {
  // CAEP 1.0, section 3.
  'caep/event-type/session-revoked': () => ({ effect: end, why: 'revoked the session' }),
  'caep/event-type/credential-change': ({ change_type: type }) => ({
    // Somebody who adds a second factor has lost nothing.
    effect: type === 'create' ? nothing : end,
    why: 'reports that a credential has changed',
  }),
  'caep/event-type/token-claims-change': (event, names) => ({
    effect: claimsEffect(event['claims'], names),
    why: 'reports that the claims of the login have changed',
  }),
  // RISC 1.0, section 2.
  'risc/event-type/account-disabled': () => ({ effect: end, why: 'disabled the account' }),
  'risc/event-type/account-purged': () => ({ effect: end, why: 'deleted the account' }),
  'risc/event-type/account-credential-change-required': () => ({
    effect: end,
    why: 'wants the person to change credentials',
  }),
  'risc/event-type/credential-compromise': () => ({
    effect: end,
    why: 'reports that a credential is known to others',
  }),
  'risc/event-type/identifier-changed': () => ({ effect: end, why: 'changed a name' }),
  'risc/event-type/identifier-recycled': () => ({
    effect: end,
    why: 'gave the name to somebody else',
  }),
  'risc/event-type/sessions-revoked': () => ({ effect: end, why: 'revoked all sessions' }),
  // As Google sends them.
  'oauth/event-type/tokens-revoked': () => ({ effect: end, why: 'revoked all tokens' }),
  'oauth/event-type/token-revoked': () => ({ effect: end, why: 'revoked a token' }),
}

/** Which of several effects of one token counts. */
const weights: Readonly<Record<Effect['kind'], number>> = { end: 3, narrow: 2, lose: 1, none: 0 }

/** Says what a token of a transmitter means. */
export function readEvent(source: string, set: CheckedSet, names: EventNames): Signal {
  const signals = Object.entries(set.events).map(([uri, event]): Signal => {
    const name = uri.startsWith(base) ? uri.slice(base.length) : uri
    const meaning = Object.hasOwn(meanings, name) ? meanings[name]?.(event, names) : undefined
    const effect = meaning?.effect ?? nothing
    const whom = effect.kind === 'none' ? [] : whomOf(set, event, names)
    return {
      source,
      id: set.jti,
      digest: set.digest,
      provider: names.provider,
      kind: plainText(name.split('/').at(-1), kindCharactersMax) ?? 'unknown',
      whom,
      effect: whom.length === 0 ? nothing : effect,
      why: `${names.provider} ${meaning?.why ?? 'sent an event without effect here'}`,
    }
  })
  return signals.reduce((strongest, each) =>
    weights[each.effect.kind] > weights[strongest.effect.kind] ? each : strongest,
  )
}

/** `sub_id` of the token, or `subject` of the event before SSF 1.0. */
function whomOf({ claims }: CheckedSet, event: Event, names: EventNames): readonly Whom[] {
  return readSubject(claims['sub_id'] ?? event['subject'], names)
}

/** New groups narrow; a new name is one that grants do not mean. */
function claimsEffect(value: unknown, { groupsClaim, userClaim }: EventNames): Effect {
  if (typeof value !== 'object' || value === null) return nothing
  const claims = value as Event
  if (Object.hasOwn(claims, userClaim)) return end
  if (!Object.hasOwn(claims, groupsClaim)) return nothing
  const stated = claims[groupsClaim]
  const list: readonly unknown[] = Array.isArray(stated) ? stated : [stated]
  const groups = list.map((group) => plainText(group)).filter((group) => group !== undefined)
  // What can't be read keeps nothing.
  return { kind: 'narrow', groups: groups.length > groupsMax ? [] : groups }
}

import { createHash } from 'node:crypto'
import { SallyportError } from '@sallyport/core'
import { decodeJwt, errors, jwtVerify, type JWTPayload } from 'jose'
import type { KeyPlace } from '../births/config/identity-config.ts'
import type { IssuerKeys } from '../births/workload/issuer-keys.ts'
import { leewaySeconds, tokenAlgorithms } from '../births/workload/verify-token.ts'
import { plainText } from './plain-text.ts'

/** A signal names a person and a reason. */
const tokenCharactersMax = 16_384
const quotedCharactersMax = 100

/** What a security event token (RFC 8417) is held against. */
export interface SetCheck {
  readonly issuer: string
  readonly keys: KeyPlace
  readonly audience: string
  /** Accepted types, in lower case; the empty text is a token without one. */
  readonly types: readonly string[]
  readonly issuerKeys: IssuerKeys
  readonly nowMs: number
}

/** A token whose signature, issuer, audience and times are right. */
export interface CheckedSet {
  readonly claims: JWTPayload
  readonly jti: string
  readonly iat: number
  readonly events: Readonly<Record<string, Readonly<Record<string, unknown>>>>
  readonly digest: string
}

/** Which of the words of RFC 8935, section 2.4, say what is wrong. */
export type SetProblem =
  | 'invalid_request'
  | 'invalid_key'
  | 'invalid_issuer'
  | 'invalid_audience'
  | 'authentication_failed'

/** Why a signal is refused, for operators; the sender reads only the catalogue's words. */
export class SignalRefused extends SallyportError {
  readonly problem: SetProblem
  readonly provider: string | undefined

  constructor(why: string, problem: SetProblem = 'invalid_request', provider?: string) {
    super('SP_SIGNAL_REFUSED', why)
    this.problem = problem
    this.provider = provider
  }
}

/** Text of a stranger, fit for a log. */
export function quoted(text: string): string {
  return JSON.stringify(text.slice(0, quotedCharactersMax))
}

/** Who a token says that it is from. Nothing of it is verified. */
export function statedIssuer(token: string): string {
  if (token.length > tokenCharactersMax) throw new SignalRefused('the token is too large')
  try {
    const { iss }: { readonly iss?: unknown } = decodeJwt(token)
    if (typeof iss === 'string') return iss
  } catch {
    throw new SignalRefused('this is not a signed JSON Web Token')
  }
  throw new SignalRefused('it names no issuer', 'invalid_issuer')
}

/** Verifies a security event token; throws `SP_SIGNAL_REFUSED`, or `SP_TARGET_UNREACHABLE` where the keys can't be had. */
export async function verifySet(token: string, check: SetCheck): Promise<CheckedSet> {
  const { issuer, audience, types, nowMs } = check
  try {
    const { payload, protectedHeader } = await jwtVerify(
      token,
      check.issuerKeys.keyOf({ issuer, keys: check.keys }),
      {
        algorithms: tokenAlgorithms,
        issuer,
        audience,
        clockTolerance: leewaySeconds,
        requiredClaims: ['iat', 'jti', 'events'],
        currentDate: new Date(nowMs),
      },
    )
    const type = (protectedHeader.typ ?? '').toLowerCase().replace(/^application\//u, '')
    // Another kind of token from the same keys (of an identity, of access) must not pass for a signal.
    if (!types.includes(type)) throw new SignalRefused(`its type is ${quoted(type)}`)
    const { iat, jti } = payload
    if (iat === undefined || iat > nowMs / 1000 + leewaySeconds)
      throw new SignalRefused('iat is in the future')
    const id = plainText(jti)
    if (id === undefined) throw new SignalRefused('jti is no text of use')
    return {
      claims: payload,
      jti: id,
      iat,
      events: eventsOf(payload['events']),
      digest: digest(token),
    }
  } catch (error) {
    if (error instanceof errors.JWTClaimValidationFailed)
      throw new SignalRefused(error.message, claimProblems[error.claim] ?? 'invalid_request')
    if (
      error instanceof errors.JWKSNoMatchingKey ||
      error instanceof errors.JWKSMultipleMatchingKeys
    )
      throw new SignalRefused(error.message, 'invalid_key')
    if (error instanceof errors.JWSSignatureVerificationFailed)
      throw new SignalRefused(error.message, 'invalid_key')
    if (error instanceof errors.JOSEError) throw new SignalRefused(error.message)
    throw error
  }
}

const claimProblems: Readonly<Record<string, SetProblem>> = {
  iss: 'invalid_issuer',
  aud: 'invalid_audience',
}

/** RFC 8417, section 2.2: an object of objects, one for each event. */
function eventsOf(value: unknown): CheckedSet['events'] {
  const isMap = (each: unknown): each is Record<string, unknown> =>
    typeof each === 'object' && each !== null && !Array.isArray(each)
  if (!isMap(value) || Object.keys(value).length === 0)
    throw new SignalRefused('events is not an object with events')
  // Not by assignment: an event may be called `__proto__`.
  return Object.fromEntries(
    Object.entries(value).map(([uri, event]) => {
      if (isMap(event)) return [uri, event]
      throw new SignalRefused('an event is not an object')
    }),
  )
}

/** Of what was signed: a signature may be written in more than one way. */
function digest(token: string): string {
  return createHash('sha256')
    .update(token.slice(0, token.lastIndexOf('.')))
    .digest('hex')
}

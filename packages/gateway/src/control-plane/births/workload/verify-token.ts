import { createHash } from 'node:crypto'
import { SallyportError } from '@sallyport/core'
import { decodeJwt, decodeProtectedHeader, errors, jwtVerify, type JWTPayload } from 'jose'
import type { IdentityConfig, TrustRule } from '../config/identity-config.ts'
import { mismatch } from './claims.ts'
import { reviewToken } from './token-review.ts'
import type { IssuerKeys } from './issuer-keys.ts'

/** Signatures with a public key only: no `none`, and no HMAC, for which a public key would be the secret. */
export const tokenAlgorithms =
  'RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA Ed25519'.split(' ')
/** GitLab's are 2 KB; Kubernetes' 1 KB. */
const tokenCharactersMax = 16_384
/** Clocks differ. */
export const leewaySeconds = 30

/** A token that a trust rule accepts. */
export interface AcceptedToken {
  readonly rule: TrustRule
  readonly claims: JWTPayload & { readonly exp: number; readonly iat: number }
  /** One token, one id: from issuer and `jti`, or the SHA-256 of the token. */
  readonly id: string
}

export interface TokenCheck {
  readonly config: IdentityConfig
  readonly keys: IssuerKeys
  /** What `aud` must be where the rule says nothing. */
  readonly gatewayUrl: string
  /** Chooses among several rules that accept the token. */
  readonly profile?: string
  readonly nowMs: number
}

/** Why a token is refused, for the owner of the rule; the caller reads only the catalogue's words. */
export class TokenRefused extends SallyportError {
  readonly issuer: string
  readonly rule: string | undefined

  constructor(why: string, issuer: string, rule?: string, detail?: string) {
    super('SP_TOKEN_REFUSED', why, detail === undefined ? {} : { detail })
    this.issuer = issuer
    this.rule = rule
  }
}

/** Verifies the token of a workload against the trust rules of its issuer. */
export async function verifyToken(token: string, check: TokenCheck): Promise<AcceptedToken> {
  const issuer = unverifiedIssuer(token)
  const { profile } = check
  const rules = [...check.config.rules.values()].filter(
    (rule) => rule.issuer === issuer && (profile === undefined || rule.profile === profile),
  )
  if (rules.length === 0) throw new TokenRefused('no trust rule has this issuer', issuer)
  const accepted: AcceptedToken[] = []
  const refusals: { readonly rule: string; readonly why: string }[] = []
  let unavailable: SallyportError | undefined
  for (const rule of rules) {
    const found = await verifyByRule(token, rule, check)
    if (typeof found === 'string') refusals.push({ rule: rule.name, why: found })
    else if (found instanceof SallyportError) unavailable = found
    else accepted.push(found)
  }
  // Keys that can't be had say nothing of the token, so it is worth another try.
  if (accepted.length === 0 && unavailable !== undefined) throw unavailable
  const [first, second] = accepted
  if (first !== undefined && second === undefined) return first
  if (first === undefined) {
    const why = refusals.map(({ rule, why: each }) => `${rule}: ${each}`).join('; ')
    throw new TokenRefused(why, issuer, refusals[0]?.rule)
  }
  const names = accepted.map(({ rule }) => rule.name).join(', ')
  const detail = `several trust rules accept this token (${names}). Name a profile.`
  throw new TokenRefused(detail, issuer, first.rule.name, detail)
}

async function verifyByRule(
  token: string,
  rule: TrustRule,
  check: TokenCheck,
): Promise<AcceptedToken | SallyportError | string> {
  try {
    const { payload, protectedHeader } = await jwtVerify(token, check.keys.keyOf(rule), {
      algorithms: tokenAlgorithms,
      issuer: rule.issuer,
      audience: rule.audience ?? check.gatewayUrl,
      clockTolerance: leewaySeconds,
      requiredClaims: ['exp', 'iat'],
      currentDate: new Date(check.nowMs),
    })
    const { exp, iat, jti } = payload
    if (exp === undefined || iat === undefined) return 'exp or iat is absent'
    // Other kinds of signed tokens (proofs, access tokens, logout tokens) must not pass for an identity.
    if (!/^jwt$/iu.test(protectedHeader.typ ?? 'jwt')) return `its type is ${protectedHeader.typ}`
    if (iat > check.nowMs / 1000 + leewaySeconds) return 'iat is in the future'
    const problem = mismatch(rule, payload)
    if (problem !== undefined) return problem
    // Last, so that strangers cannot make the gateway ask: only a token that is good otherwise gets there.
    const refusal =
      rule.tokenReview === undefined
        ? undefined
        : await reviewToken(token, payload, rule.audience ?? check.gatewayUrl, rule.tokenReview)
    if (refusal !== undefined) return refusal
    return { rule, claims: { ...payload, exp, iat }, id: tokenId(token, rule.issuer, jti) }
  } catch (error) {
    if (error instanceof SallyportError) return error
    if (error instanceof errors.JOSEError) return error.message
    throw error
  }
}

/** A signature may be encoded in more than one way, so without `jti` only what was signed counts. */
function tokenId(token: string, issuer: string, jti: unknown): string {
  const text =
    typeof jti === 'string' && jti !== ''
      ? `jti ${issuer} ${jti}`
      : token.slice(0, token.lastIndexOf('.'))
  return createHash('sha256').update(text).digest('hex')
}

function unverifiedIssuer(token: string): string {
  if (token.length > tokenCharactersMax) throw new TokenRefused('the token is too large', '')
  try {
    const { alg } = decodeProtectedHeader(token)
    // Nothing is verified yet: its type may be any.
    const { iss }: { readonly iss?: unknown } = decodeJwt(token)
    const issuer = typeof iss === 'string' ? iss : ''
    if (alg === undefined || !tokenAlgorithms.includes(alg)) {
      throw new TokenRefused(`the algorithm ${String(alg)} is not accepted`, issuer)
    }
    return issuer
  } catch (error) {
    if (error instanceof SallyportError) throw error
    throw new TokenRefused('this is not a signed JSON Web Token', '')
  }
}

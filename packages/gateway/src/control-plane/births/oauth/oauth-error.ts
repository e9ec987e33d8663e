import { ERRORS, SallyportError } from '@sallyport/core'
import { RateError } from '../../rates.ts'

/** Codes of RFC 6749 (5.2), 8628 (3.5), 8693, 9396 and 9449. */
export type OAuthErrorName =
  | 'invalid_request'
  | 'invalid_client'
  | 'invalid_grant'
  | 'unauthorized_client'
  | 'unsupported_grant_type'
  | 'invalid_scope'
  | 'invalid_target'
  | 'invalid_authorization_details'
  | 'invalid_dpop_proof'
  | 'authorization_pending'
  | 'slow_down'
  | 'expired_token'
  | 'access_denied'
  | 'temporarily_unavailable'
  | 'server_error'

/** An answer to a program that speaks OAuth. The description may be read by callers. */
export class OAuthError extends Error {
  override readonly name: string = 'OAuthError'
  readonly error: OAuthErrorName
  /** The code of our own catalogue behind it. */
  readonly code: string | undefined
  readonly status: 400 | 401 | 403 | 429 | 500 | 503

  constructor(
    error: OAuthErrorName,
    description: string,
    options: { readonly code?: string; readonly status?: OAuthError['status'] } = {},
  ) {
    super(description)
    this.error = error
    this.code = options.code
    this.status = options.status ?? 400
  }
}

const names: Readonly<Record<string, OAuthErrorName>> = {
  SP_PROOF_REFUSED: 'invalid_dpop_proof',
  SP_TOKEN_REFUSED: 'invalid_grant',
  SP_TOKEN_REPLAYED: 'invalid_grant',
  SP_LOGIN_REFUSED: 'invalid_grant',
  SP_AGENT_REVOKED: 'invalid_grant',
  SP_AGENT_ENDED: 'invalid_grant',
  SP_AGENT_FROZEN: 'invalid_grant',
  SP_GRANT_EXCEEDS_PARENT: 'invalid_scope',
  SP_SPAWN_DEPTH: 'unauthorized_client',
  SP_SPAWN_LIMIT: 'unauthorized_client',
  SP_LOGIN_INSIDE_AGENT: 'access_denied',
  SP_CONFIG_INVALID: 'invalid_request',
}

/** Any failure as OAuth says it. The text of an unforeseen one stays in this process. */
export function asOAuthError(error: unknown): OAuthError {
  if (error instanceof OAuthError) return error
  if (!(error instanceof SallyportError))
    return new OAuthError('server_error', ERRORS.SP_INTERNAL.say, {
      code: 'SP_INTERNAL',
      status: 500,
    })
  const { code } = error
  const description = error.detail ?? ERRORS[code].say
  // No RFC of OAuth has a name for it; this one says that it is worth trying again.
  if (error instanceof RateError)
    return new OAuthError('temporarily_unavailable', description, { code, status: 429 })
  if (ERRORS[code].retry === 'later' && names[code] === undefined) {
    return new OAuthError('temporarily_unavailable', description, { code, status: 503 })
  }
  const status = code === 'SP_LOGIN_INSIDE_AGENT' ? 403 : 400
  return new OAuthError(names[code] ?? 'invalid_request', description, { code, status })
}

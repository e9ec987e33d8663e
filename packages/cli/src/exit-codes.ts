import { ERRORS, SallyportError, type ErrorCode } from '@sallyport/core'

/** What the exit status of `sallyport` says. */
export const EXIT = {
  done: 0,
  unexpected: 1,
  usage: 2,
  notLoggedIn: 3,
  refused: 4,
  /** An approval was denied, expired or withdrawn. */
  notApproved: 5,
  unreachable: 6,
  integrity: 7,
  findings: 8,
  /** The agent was revoked, frozen or has ended. */
  agentGone: 9,
  /** No parent was found, and the user's own login is not fallen back to. */
  noParent: 77,
} as const

const byCode: Partial<Record<ErrorCode, number>> = {
  SP_LOGIN_REFUSED: EXIT.notLoggedIn,
  SP_CREDENTIAL_EXPIRED: EXIT.notLoggedIn,
  SP_CONFIG_INVALID: EXIT.usage,
  SP_QUERY_INVALID: EXIT.usage,
  SP_NOT_FOUND: EXIT.usage,
  SP_STORE_LOCKED: EXIT.usage,
  SP_MESSAGE_TOO_LARGE: EXIT.usage,
  SP_NOT_GRANTED: EXIT.refused,
  SP_POLICY_BLOCKED: EXIT.refused,
  SP_EFFECT_UNKNOWN: EXIT.refused,
  SP_APPROVAL_REFUSED: EXIT.refused,
  SP_APPROVAL_UNAVAILABLE: EXIT.notApproved,
  SP_APPROVAL_PENDING: EXIT.notApproved,
  SP_APPROVAL_DENIED: EXIT.notApproved,
  SP_APPROVAL_EXPIRED: EXIT.notApproved,
  SP_APPROVAL_WITHDRAWN: EXIT.notApproved,
  SP_MASKED_WRITE: EXIT.refused,
  SP_MASKED_INFERENCE: EXIT.refused,
  SP_MASK_SIDE_DOOR: EXIT.refused,
  SP_GRANT_EXCEEDS_PARENT: EXIT.refused,
  SP_GRANT_UNRESOLVED: EXIT.refused,
  SP_SPAWN_DEPTH: EXIT.refused,
  SP_SPAWN_LIMIT: EXIT.refused,
  SP_BUDGET_SPENT: EXIT.refused,
  SP_BUDGET_ROWS: EXIT.refused,
  SP_LEVEL_TOO_LOW: EXIT.refused,
  SP_CREDENTIAL_SHARED: EXIT.refused,
  SP_PROOF_REFUSED: EXIT.notLoggedIn,
  SP_TOKEN_REFUSED: EXIT.notLoggedIn,
  SP_TOKEN_REPLAYED: EXIT.notLoggedIn,
  SP_LOGIN_WITHDRAWN: EXIT.notLoggedIn,
  SP_TICKET_SPENT: EXIT.notLoggedIn,
  SP_NOT_LOGGED_IN: EXIT.notLoggedIn,
  SP_AGENT_REVOKED: EXIT.agentGone,
  SP_AGENT_ENDED: EXIT.agentGone,
  SP_AGENT_FROZEN: EXIT.agentGone,
  SP_NO_PARENT: EXIT.noParent,
  SP_LOGIN_INSIDE_AGENT: EXIT.noParent,
  SP_GATEWAY_UNREACHABLE: EXIT.unreachable,
  SP_TARGET_UNREACHABLE: EXIT.unreachable,
  SP_TARGET_LOGIN: EXIT.unreachable,
  SP_TARGET_TLS: EXIT.unreachable,
  SP_RATE_LIMIT: EXIT.unreachable,
  SP_STATE_STALE: EXIT.unreachable,
  SP_RECORDINGS_AWAY: EXIT.unreachable,
  SP_RECORDINGS_REFUSED: EXIT.unreachable,
  SP_RECORDINGS_MISPLACED: EXIT.usage,
  SP_GUARD_MISSING: EXIT.usage,
  SP_GUARD_FAILED: EXIT.refused,
  SP_GUARD_UNSAFE: EXIT.findings,
}

/** The exit status for a failure. */
export function exitCodeOf(error: unknown): number {
  if (!(error instanceof SallyportError)) return EXIT.unexpected
  return byCode[error.code] ?? EXIT.unexpected
}

/** A failure as one object, for programs. */
export function errorObject(error: unknown): Readonly<Record<string, unknown>> {
  const code = error instanceof SallyportError ? error.code : 'SP_INTERNAL'
  const message = error instanceof Error ? error.message : String(error)
  return { error: { code, message, retry: ERRORS[code].retry, fix: ERRORS[code].say } }
}

/** A failure as lines, for people. */
export function errorText(error: unknown): string {
  if (!(error instanceof SallyportError)) {
    const message = error instanceof Error ? error.message : String(error)
    return `error: ${message}\n  More: SALLYPORT_DEBUG=1\n`
  }
  const { say } = ERRORS[error.code]
  return `error ${error.code}: ${error.message}\n  ${say}\n`
}

/** Every failure the gateway reports, by stable code. docs/errors.md lists the same codes; a test compares them in both directions. */
export const ERRORS = {
  SP_LOGIN_REFUSED: {
    origin: 'downstream',
    level: 'info',
    retry: 'after-fix',
    sqlState: '28P01',
    say: 'this credential is not valid here. Check the connection name, or get a new one: sallyport credential.',
  },
  SP_CREDENTIAL_EXPIRED: {
    origin: 'downstream',
    level: 'info',
    retry: 'after-fix',
    sqlState: '28P01',
    say: 'the credential has expired. Get a new one: sallyport credential. Safe to retry after that.',
  },
  SP_TLS_REQUIRED: {
    origin: 'downstream',
    level: 'info',
    retry: 'after-fix',
    sqlState: '28000',
    say: 'this gateway accepts TLS connections only. Connect with sslmode=require.',
  },
  SP_PROTOCOL: {
    origin: 'downstream',
    level: 'warn',
    retry: 'never',
    sqlState: '08P01',
    say: 'these bytes are not the protocol that this port speaks.',
  },
  SP_MESSAGE_TOO_LARGE: {
    origin: 'downstream',
    level: 'warn',
    retry: 'never',
    sqlState: '54000',
    say: 'the message is larger than this gateway takes. Nothing of it was sent to the target.',
  },
  SP_LIMIT: {
    origin: 'downstream',
    level: 'warn',
    retry: 'after-fix',
    sqlState: '54000',
    say: 'a limit of this gateway was reached.',
  },
  SP_RATE_LIMIT: {
    origin: 'downstream',
    level: 'info',
    retry: 'later',
    sqlState: '54000',
    say: 'this was asked for too often. Wait as long as the answer says, then ask again.',
  },
  SP_NOT_SUPPORTED: {
    origin: 'downstream',
    level: 'info',
    retry: 'never',
    sqlState: '0A000',
    say: 'this gateway does not pass this on.',
  },
  SP_NOT_GRANTED: {
    origin: 'downstream',
    level: 'info',
    retry: 'never',
    sqlState: '42501',
    say: 'this is not in the grant of your agent.',
  },
  SP_AGENT_REVOKED: {
    origin: 'downstream',
    level: 'info',
    retry: 'never',
    sqlState: '57P01',
    say: 'this agent was revoked, and everything under it is closed. Do not retry; stop and report.',
  },
  SP_AGENT_ENDED: {
    origin: 'downstream',
    level: 'info',
    retry: 'never',
    sqlState: '57P01',
    say: 'this agent has ended and does not come back. Ask its parent for a new child.',
  },
  SP_AGENT_FROZEN: {
    origin: 'downstream',
    level: 'info',
    retry: 'later',
    sqlState: '57P03',
    say: 'this agent is frozen for review. This was not executed. Wait; retry after release.',
  },
  SP_SPAWN_DEPTH: {
    origin: 'downstream',
    level: 'info',
    retry: 'never',
    sqlState: '42501',
    say: 'cannot spawn: the tree is as deep as it may be. Retrying will not help.',
  },
  SP_SPAWN_LIMIT: {
    origin: 'downstream',
    level: 'info',
    retry: 'after-fix',
    sqlState: '54000',
    say: 'cannot spawn: a limit of the tree was reached. End a child: sallyport children.',
  },
  SP_GRANT_EXCEEDS_PARENT: {
    origin: 'downstream',
    level: 'info',
    retry: 'never',
    sqlState: '42501',
    say: 'cannot spawn: this asks for more than the parent holds. Ask a person; retrying will not help.',
  },
  SP_NO_PARENT: {
    origin: 'downstream',
    level: 'info',
    retry: 'after-fix',
    sqlState: '28000',
    say: 'no Sallyport agent found above this process. Start it with "sallyport run", or join with a ticket. Not falling back to your login.',
  },
  SP_LOGIN_INSIDE_AGENT: {
    origin: 'downstream',
    level: 'info',
    retry: 'never',
    sqlState: '28000',
    say: 'login asked from inside an agent. Ask the person to start you with what you need.',
  },
  SP_NOT_LOGGED_IN: {
    origin: 'downstream',
    level: 'info',
    retry: 'after-fix',
    sqlState: '28000',
    say: 'nobody is logged in here. Log in first: sallyport login.',
  },
  SP_PROOF_REFUSED: {
    origin: 'downstream',
    level: 'warn',
    retry: 'after-fix',
    sqlState: '28000',
    say: 'the proof of possession is missing, wrong or was used already. Make a new one for each request.',
  },
  SP_TOKEN_REFUSED: {
    origin: 'downstream',
    level: 'warn',
    retry: 'after-fix',
    sqlState: '28000',
    say: "no trust rule accepts this token. The rule's owner sees why in the ledger.",
  },
  SP_TOKEN_REPLAYED: {
    origin: 'downstream',
    level: 'warn',
    retry: 'never',
    sqlState: '28000',
    say: 'this token was used already with another key.',
  },
  SP_LOGIN_WITHDRAWN: {
    origin: 'downstream',
    level: 'info',
    retry: 'after-fix',
    sqlState: '28000',
    say: 'your identity provider has taken this login back. Log in again; if that is refused too, ask your administrator.',
  },
  SP_SIGNAL_REFUSED: {
    origin: 'downstream',
    level: 'warn',
    retry: 'after-fix',
    sqlState: '28000',
    say: 'this signal is not accepted, and nothing was done. Operators see why.',
  },
  SP_TICKET_SPENT: {
    origin: 'downstream',
    level: 'info',
    retry: 'after-fix',
    sqlState: '28000',
    say: 'ticket used or expired. Ask the parent for a new one.',
  },
  SP_GRANT_UNRESOLVED: {
    origin: 'downstream',
    level: 'info',
    retry: 'after-fix',
    sqlState: '42501',
    say: 'cannot tell which tables this touches, and your grant limits tables. Rewrite it without EXECUTE.',
  },
  SP_BUDGET_SPENT: {
    origin: 'downstream',
    level: 'info',
    retry: 'never',
    sqlState: '53400',
    say: 'budget used up. Only a new grant from a person helps.',
  },
  SP_BUDGET_ROWS: {
    origin: 'downstream',
    level: 'info',
    retry: 'never',
    sqlState: '53400',
    say: 'row budget reached: the result is cut here.',
  },
  SP_CREDENTIAL_SHARED: {
    origin: 'downstream',
    level: 'warn',
    retry: 'after-fix',
    sqlState: '28000',
    say: 'this credential is in use elsewhere; one credential serves one process. Spawn a child: sallyport run --name NAME.',
  },
  SP_LEVEL_TOO_LOW: {
    origin: 'downstream',
    level: 'info',
    retry: 'after-fix',
    sqlState: '28000',
    say: 'the attribution level is too weak here. Use sallyport run or a one-shot credential.',
  },
  SP_POLICY_BLOCKED: {
    origin: 'downstream',
    level: 'info',
    retry: 'never',
    sqlState: '42501',
    say: 'blocked by a rule.',
  },
  SP_EFFECT_UNKNOWN: {
    origin: 'downstream',
    level: 'info',
    retry: 'after-fix',
    sqlState: '42501',
    say: 'cannot tell what this statement does, and unknown commands are blocked here.',
  },
  SP_APPROVAL_UNAVAILABLE: {
    origin: 'gateway',
    level: 'warn',
    retry: 'later',
    sqlState: '42501',
    say: 'this needs an approval, and nobody can be asked for it here. Not executed.',
  },
  SP_APPROVAL_PENDING: {
    origin: 'gateway',
    level: 'info',
    retry: 'later',
    sqlState: '42501',
    say: 'this waits for an approval. Not executed yet. Send the same again later; do not change it.',
  },
  SP_APPROVAL_DENIED: {
    origin: 'gateway',
    level: 'info',
    retry: 'after-fix',
    sqlState: '42501',
    say: 'a person denied this. Not executed. Change it; do not resend it unchanged.',
  },
  SP_APPROVAL_EXPIRED: {
    origin: 'gateway',
    level: 'info',
    retry: 'never',
    sqlState: '42501',
    say: 'nobody answered in time. Not executed. Ask a person before trying again.',
  },
  SP_APPROVAL_WITHDRAWN: {
    origin: 'gateway',
    level: 'info',
    retry: 'after-fix',
    sqlState: '42501',
    say: 'the request for approval was withdrawn. Not executed.',
  },
  SP_APPROVAL_REFUSED: {
    origin: 'gateway',
    level: 'info',
    retry: 'never',
    sqlState: '42501',
    say: 'you may not answer this request.',
  },
  SP_MASK_IMPOSSIBLE: {
    origin: 'downstream',
    level: 'warn',
    retry: 'after-fix',
    sqlState: '42501',
    say: 'this response cannot be masked in its format, so it was withheld. Ask for another format.',
  },
  SP_MASKED_WRITE: {
    origin: 'downstream',
    level: 'info',
    retry: 'never',
    sqlState: '42501',
    say: 'this would put masked values where no mask covers them. Nothing was executed.',
  },
  SP_MASKED_INFERENCE: {
    origin: 'downstream',
    level: 'info',
    retry: 'after-fix',
    sqlState: '42501',
    say: 'masked columns may not decide which rows come back, in what order, or whether a statement fails.',
  },
  SP_MASK_SIDE_DOOR: {
    origin: 'downstream',
    level: 'info',
    retry: 'never',
    sqlState: '42501',
    say: 'this leads around every mask, so it is refused while masks are in force.',
  },
  SP_GUARD_MISSING: {
    origin: 'gateway',
    level: 'error',
    retry: 'after-fix',
    sqlState: '57P03',
    say: 'the target has no role yet that enforces the masks that hold here. An operator runs: sallyport connections guard NAME --apply.',
  },
  SP_GUARD_DRIFT: {
    origin: 'upstream',
    level: 'error',
    retry: 'after-fix',
    sqlState: '57P03',
    say: 'the target may no longer enforce the masks, so nothing was sent to it. An operator runs: sallyport connections guard NAME --check.',
  },
  SP_GUARD_UNSAFE: {
    origin: 'upstream',
    level: 'error',
    retry: 'after-fix',
    sqlState: 'F0000',
    say: 'a guarded role could read masked data past its masks. Everything was rolled back. Take these rights away, or run again with --close-public.',
  },
  SP_GUARD_FAILED: {
    origin: 'upstream',
    level: 'error',
    retry: 'after-fix',
    sqlState: 'F0000',
    say: 'the target refused a step of the guard. Everything was rolled back.',
  },
  SP_RECORD_UNAVAILABLE: {
    origin: 'gateway',
    level: 'error',
    retry: 'later',
    sqlState: '58030',
    say: 'this command could not be recorded, so it was not executed. Operators are told. Retry in a minute.',
  },
  SP_RECORDINGS_AWAY: {
    origin: 'gateway',
    level: 'error',
    retry: 'later',
    sqlState: '58030',
    say: 'the recording store cannot be reached, or asks to be asked less often. What is recorded stays in the journals until it is back.',
  },
  SP_RECORDINGS_REFUSED: {
    origin: 'gateway',
    level: 'error',
    retry: 'after-fix',
    sqlState: '28000',
    say: 'the recording store refuses the gateway: its credentials, its rights or its clock.',
  },
  SP_RECORDINGS_MISPLACED: {
    origin: 'gateway',
    level: 'error',
    retry: 'after-fix',
    sqlState: '08004',
    say: 'the recording store is not where the gateway was told, or not as it was told.',
  },
  SP_RECORDINGS_CHANGED: {
    origin: 'gateway',
    level: 'error',
    retry: 'later',
    sqlState: '58030',
    say: 'the recording store does not hold what it was given.',
  },
  SP_STATE_STALE: {
    origin: 'gateway',
    level: 'error',
    retry: 'later',
    sqlState: '57P03',
    say: 'this gateway node has lost contact with its control plane. Nothing was executed. Retry; operators are told.',
  },
  SP_TARGET_UNREACHABLE: {
    origin: 'upstream',
    level: 'warn',
    retry: 'later',
    sqlState: '08001',
    say: 'the target does not answer.',
  },
  SP_TARGET_LOGIN: {
    origin: 'upstream',
    level: 'error',
    retry: 'later',
    sqlState: '08004',
    say: "the target refused the gateway's own credential. An operator has to mend the connection.",
  },
  SP_TARGET_TLS: {
    origin: 'upstream',
    level: 'error',
    retry: 'later',
    sqlState: '08001',
    say: "the target's TLS certificate could not be verified. An operator has to mend the connection.",
  },
  SP_TARGET_CLOSED: {
    origin: 'upstream',
    level: 'warn',
    retry: 'later',
    sqlState: '08006',
    say: 'the target closed the connection.',
  },
  SP_SHUTTING_DOWN: {
    origin: 'gateway',
    level: 'info',
    retry: 'later',
    sqlState: '57P01',
    say: 'the gateway is shutting down. Connect again.',
  },
  SP_CONFIG_INVALID: {
    origin: 'downstream',
    level: 'error',
    retry: 'after-fix',
    sqlState: 'F0000',
    say: 'the configuration has errors. Nothing was applied.',
  },
  SP_QUERY_INVALID: {
    origin: 'downstream',
    level: 'info',
    retry: 'after-fix',
    sqlState: '42601',
    say: 'the search cannot be read. Nothing was looked for.',
  },
  SP_STORE_LOCKED: {
    origin: 'gateway',
    level: 'error',
    retry: 'after-fix',
    sqlState: '55006',
    say: 'another Sallyport uses this data folder.',
  },
  SP_GATEWAY_UNREACHABLE: {
    origin: 'gateway',
    level: 'error',
    retry: 'later',
    sqlState: '08001',
    say: 'no gateway answers here. Start one: sallyport up.',
  },
  SP_NOT_FOUND: {
    origin: 'downstream',
    level: 'info',
    retry: 'after-fix',
    sqlState: '42704',
    say: 'there is nothing of that name.',
  },
  SP_INTERNAL: {
    origin: 'gateway',
    level: 'error',
    retry: 'later',
    sqlState: 'XX000',
    say: 'the gateway hit a fault of its own. The session ends; others go on.',
  },
} as const satisfies Record<string, ErrorEntry>

export interface ErrorEntry {
  /** Which side is at fault. Decides who is told what, and whether a retry can help. */
  readonly origin: 'downstream' | 'upstream' | 'gateway'
  readonly level: 'info' | 'warn' | 'error'
  readonly retry: 'never' | 'after-fix' | 'later' | 'now'
  /** The SQLSTATE that a PostgreSQL client sees. */
  readonly sqlState: string
  /** The words a caller reads. */
  readonly say: string
}

export type ErrorCode = keyof typeof ERRORS

/** `message` is for operators and logs; callers see the catalogue's `say`, and `detail` where one is given. */
export class SallyportError extends Error {
  override readonly name: string = 'SallyportError'
  readonly code: ErrorCode
  /** More words that a caller may read: a limit, a name that the caller sent. */
  readonly detail: string | undefined

  constructor(code: ErrorCode, message: string, options?: ErrorOptions & { detail?: string }) {
    super(message, options)
    this.code = code
    this.detail = options?.detail
  }
}

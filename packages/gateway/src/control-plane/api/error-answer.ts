import { ERRORS, SallyportError, type ErrorCode } from '@sallyport/core'
import type { Context } from 'hono'
import { tokenAlgorithms } from '../births/workload/verify-token.ts'
import { statusOf } from '../contract/statuses.ts'
import { RateError } from '../rates.ts'

/** For a caller that may try again, in seconds. */
const retryAfterFrozen = '60'

/** What an error reads like. The text of one that nobody foresaw is not told. */
export function errorAnswer(context: Context, error: Error): Response {
  // The text of an unforeseen error may hold anything, so it stays in this process.
  const code = codeOf(error)
  const message =
    error instanceof SallyportError && code !== 'SP_INTERNAL'
      ? error.message
      : ERRORS.SP_INTERNAL.say
  const body = { error: { code, message, retry: ERRORS[code].retry, fix: ERRORS[code].say } }
  const status = statusOf(code)
  if (error instanceof RateError) {
    context.header('retry-after', error.retryAfter)
    return context.json(body, 429)
  }
  // RFC 9449, section 7.1.
  if (status === 401) context.header('www-authenticate', challenge(code))
  if (code === 'SP_AGENT_FROZEN') context.header('retry-after', retryAfterFrozen)
  return context.json(body, status)
}

/** The code that a caller reads. */
export function codeOf(error: Error): ErrorCode {
  return error instanceof SallyportError ? error.code : 'SP_INTERNAL'
}

function challenge(code: string): string {
  const why = code === 'SP_PROOF_REFUSED' ? ', error="invalid_dpop_proof"' : ''
  return `Bearer, DPoP algs="${tokenAlgorithms.join(' ')}"${why}`
}

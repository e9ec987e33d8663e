import { ERRORS, SallyportError, type ErrorCode, type Refusal } from '@sallyport/core'
import type { HoldNotice } from '../../approvals/hold-desk.ts'
import { encodeErrorResponse, encodeNoticeResponse } from '@sallyport/wire'

/** Turns a refusal into what a PostgreSQL client understands (protocol section 54.8: error and notice fields). */
export function refusalError(refusal: Refusal): Buffer {
  return encodeErrorResponse(
    new Map([
      ['S', 'ERROR'],
      ['V', 'ERROR'],
      ['C', ERRORS[refusal.code].sqlState],
      ['M', refusal.message],
      ['D', refusal.detail],
      ['H', refusal.hint],
      ['R', refusal.code],
    ]),
  )
}

/** The target's own words about a portal that isn't there, with the name that the caller gave it. */
export function unknownPortalError(name: string): Buffer {
  return encodeErrorResponse(
    new Map([
      ['S', 'ERROR'],
      ['V', 'ERROR'],
      ['C', '34000'],
      ['M', `portal "${name}" does not exist`],
    ]),
  )
}

/** The last message of a connection: what happened, and whether to try again. */
export function fatalError(code: ErrorCode, detail?: string): Buffer {
  const entry = ERRORS[code]
  const fields = new Map([
    ['S', 'FATAL'],
    ['V', 'FATAL'],
    ['C', entry.sqlState],
    ['M', `Sallyport: ${entry.say}`],
  ])
  if (detail !== undefined) fields.set('D', detail)
  fields.set('H', `${retryWords[entry.retry]} (${code})`)
  fields.set('R', code)
  return encodeErrorResponse(fields)
}

/** What of `error` a caller may read. */
export function fatalErrorOf(error: unknown): Buffer {
  if (error instanceof SallyportError) return fatalError(error.code, error.detail)
  return fatalError('SP_INTERNAL')
}

/** A NOTICE of the gateway's own. */
export function notice(text: string, more: Omit<HoldNotice, 'message'> = {}): Buffer {
  const { detail, hint } = more
  return encodeNoticeResponse(
    new Map([
      ['S', 'NOTICE'],
      ['V', 'NOTICE'],
      ['C', '00000'],
      ['M', `Sallyport: ${text}`],
      ...(detail === undefined ? [] : [['D', detail] as const]),
      ...(hint === undefined ? [] : [['H', hint] as const]),
    ]),
  )
}

const retryWords = {
  never: 'Trying again will not help.',
  'after-fix': 'Try again after that.',
  later: 'Try again later.',
  now: 'Try again.',
} as const

import { SallyportError } from '@sallyport/core'
import { WireError } from '@sallyport/wire'

/** What ended a session, as an error that has a code and words for the caller. */
export function asKnown(error: unknown): SallyportError {
  if (error instanceof SallyportError) return error
  if (error instanceof WireError) {
    return error.kind === 'too-large'
      ? new SallyportError('SP_MESSAGE_TOO_LARGE', error.message, { detail: error.message })
      : new SallyportError('SP_PROTOCOL', error.message)
  }
  const cause = error instanceof Error ? error : new Error(String(error))
  return new SallyportError('SP_INTERNAL', cause.stack ?? cause.message, { cause })
}

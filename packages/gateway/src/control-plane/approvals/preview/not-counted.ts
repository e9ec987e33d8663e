import { SallyportError } from '@sallyport/core'

/** Why rows are not counted, for who has asked for it. */
export function notCounted(why: string): SallyportError {
  return new SallyportError('SP_PREVIEW_UNKNOWN', why, { detail: why })
}

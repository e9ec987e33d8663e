import { SallyportError } from '@sallyport/core'

/** Of a long search, this much stands before and behind the place. */
const contextChars = 40

/** Says what is wrong with a search, and where: the place is marked below it. */
export function queryError(
  text: string,
  at: number,
  length: number,
  message: string,
): SallyportError {
  const from = Math.max(0, at - contextChars)
  const shown = text.slice(from, at + length + contextChars).replaceAll(/\p{Cc}/gu, ' ')
  const marks = ' '.repeat(at - from) + '^'.repeat(Math.max(1, length))
  const detail = `${message}\n  ${shown}\n  ${marks}`
  return new SallyportError('SP_QUERY_INVALID', detail, { detail })
}

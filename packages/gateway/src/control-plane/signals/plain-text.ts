const charactersMax = 512

/** A text that names somebody, as PostgreSQL can keep it: not empty, no control characters, no half of a character. */
export function plainText(value: unknown, max = charactersMax): string | undefined {
  if (typeof value !== 'string' || value === '' || value.length > max) return undefined
  return value.isWellFormed() && !/\p{Cc}/u.test(value) ? value : undefined
}

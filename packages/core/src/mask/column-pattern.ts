/** `[table, column]` in any schema, or `[schema, table, column]`; `*` in a part stands for any characters. */
export type ColumnPattern = readonly string[]

/** Schema, table and column. */
const partsMax = 3

/** True where a pattern names a column. A pattern of another shape names every column: a rule must not be lost by a slip. */
export function matchesColumn(
  pattern: ColumnPattern,
  name: readonly [schema: string, table: string, column: string],
): boolean {
  if (pattern.length === 0 || pattern.length > partsMax) return true
  const offset = partsMax - pattern.length
  return pattern.every((glob, at) => matchesGlob(glob, name[at + offset] ?? ''))
}

/** Matches `*` only, without a regular expression, in time linear in both for each star. */
export function matchesGlob(glob: string, text: string): boolean {
  const pieces = glob.split('*')
  const first = pieces[0] ?? ''
  if (pieces.length === 1) return glob === text
  const last = pieces.at(-1) ?? ''
  if (!text.startsWith(first) || !text.endsWith(last)) return false
  if (text.length < first.length + last.length) return false
  const middle = text.slice(first.length, text.length - last.length)
  let at = 0
  for (const piece of pieces.slice(1, -1)) {
    const found = middle.indexOf(piece, at)
    if (found < 0) return false
    at = found + piece.length
  }
  return true
}

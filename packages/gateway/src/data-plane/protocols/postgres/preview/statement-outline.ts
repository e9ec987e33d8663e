/** A chat shows a line of it, so that nobody needs more. */
const outlineCharsMax = 400

/**
 * A statement as it may be told outside of the gateway: without values, without comments, in one line. What is not plainly a name,
 * a keyword or a sign stands as `?`, since a value that is shown cannot be taken back.
 */
export function outlineOf(words: readonly string[] | undefined): string | undefined {
  if (words === undefined || words.length === 0) return undefined
  let outline = ''
  let before = ''
  for (const word of words) {
    if (word.startsWith('--') || word.startsWith('/*')) continue
    const shown = isPlain(word) ? word : '?'
    outline += outline === '' || isTight(before, shown) ? shown : ` ${shown}`
    before = shown
    if (outline.length > outlineCharsMax) return outline.slice(0, outlineCharsMax).toWellFormed()
  }
  return outline
}

/** A word, a name in quotation marks, a parameter, or a sign. */
function isPlain(word: string): boolean {
  return /^(?:[\p{L}_][\p{L}\p{N}_$]*|"[^'\p{C}]*"|\$\d+|[^\p{L}\p{N}\p{C}'"$\\]+)$/u.test(word)
}

/** Signs that stand close to their neighbours. */
function isTight(before: string, word: string): boolean {
  return (
    ['.', '(', '[', '::'].includes(before) || ['.', ',', ')', ']', ';', '::', '['].includes(word)
  )
}

/** ` (did you mean "schema"?)` for a word that is close to a known one, else nothing. */
export function suggest(word: string, known: readonly string[]): string {
  let best: string | undefined
  let bestDistance = distanceMax + 1
  for (const name of known) {
    const distance = editDistance(word.slice(0, wordLengthMax), name)
    if (distance < bestDistance && distance < name.length) [best, bestDistance] = [name, distance]
  }
  return best === undefined ? '' : ` (did you mean "${best}"?)`
}

/** Two swapped letters are two edits; more is another word. */
const distanceMax = 2
/** Longer than every word that is known; keeps the cost small for any input. */
const wordLengthMax = 32

function editDistance(from: string, to: string): number {
  let previous = Array.from({ length: to.length + 1 }, (_, index) => index)
  for (let row = 1; row <= from.length; row++) {
    const current = [row]
    for (let column = 1; column <= to.length; column++) {
      const swap = from[row - 1] === to[column - 1] ? 0 : 1
      current[column] = Math.min(
        (previous[column] ?? 0) + 1,
        (current[column - 1] ?? 0) + 1,
        (previous[column - 1] ?? 0) + swap,
      )
    }
    previous = current
  }
  return previous[to.length] ?? 0
}

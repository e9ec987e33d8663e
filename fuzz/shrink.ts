import type { Program } from './grammar/program.ts'

/** Attempts at most; each runs a program. */
const attemptsMax = 600

/** A shorter list of choices that still fails: pieces left out, numbers made smaller. */
export async function shrink(
  choices: readonly number[],
  fails: (choices: readonly number[]) => Promise<boolean>,
): Promise<readonly number[]> {
  let best = choices
  let attempts = 0
  const attempt = async (candidate: readonly number[]): Promise<boolean> => {
    attempts += 1
    if (attempts > attemptsMax || !(await fails(candidate))) return false
    best = candidate
    return true
  }
  for (let before = -1; before !== attempts && attempts <= attemptsMax;) {
    const start = best
    for (const size of [16, 8, 4, 2, 1]) {
      for (let at = best.length - size; at >= 0; at -= size) {
        await attempt([...best.slice(0, at), ...best.slice(at + size)])
      }
    }
    for (let at = 0; at < best.length; at += 1) {
      const value = best[at] ?? 0
      if (value === 0) continue
      const replaced = (smaller: number): number[] =>
        best.map((each, index) => (index === at ? smaller : each))
      if (!(await attempt(replaced(0)))) await attempt(replaced(value >> 1))
    }
    before = start === best ? attempts : -1
  }
  return best
}

/** What two leaks have in common that are one: the words of the texts, without names of columns, literals and aliases. */
export function shapeOf({ kind, steps }: Program): string {
  const words = steps.map(({ sql }) =>
    sql.replaceAll(/'[^']*'|\bt\d+(\.\w+)?|\d+/g, '?').replaceAll(/\s+/g, ' '),
  )
  return `${kind} ${words.join('; ')}`
}

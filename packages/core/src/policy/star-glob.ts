/** Tests names against one pattern whose only wildcard is `*`, any run of characters. */
export type NameTest = (name: string) => boolean

const tests = new Map<string, NameTest>()
/** Patterns come from grants and policies, which are few; the bound only guards against a caller that makes them up. */
const testsMax = 10_000

/** Returns the test of a pattern, compiled once. It takes time linear in the name for each `*`, never more. */
export function starGlob(pattern: string): NameTest {
  const known = tests.get(pattern)
  if (known !== undefined) return known
  const made = compile(pattern)
  if (tests.size >= testsMax) tests.clear()
  tests.set(pattern, made)
  return made
}

/** True when at least one of the patterns matches the name. */
export function matchesAny(patterns: readonly string[], name: string): boolean {
  for (const pattern of patterns) if (starGlob(pattern)(name)) return true
  return false
}

function compile(pattern: string): NameTest {
  if (pattern === '*') return () => true
  const [head = '', ...rest] = pattern.split('*')
  const tail = rest.pop()
  if (tail === undefined) return (name) => name === pattern
  return (name) => {
    if (name.length < head.length + tail.length) return false
    if (!name.startsWith(head) || !name.endsWith(tail)) return false
    return holdsInOrder(name.slice(head.length, name.length - tail.length), rest)
  }
}

function holdsInOrder(text: string, pieces: readonly string[]): boolean {
  let from = 0
  for (const piece of pieces) {
    const at = text.indexOf(piece, from)
    if (at === -1) return false
    from = at + piece.length
  }
  return true
}

/** Longer patterns are refused when a policy is loaded. */
export const GLOB_LENGTH_MAX = 256

type Token =
  | { readonly kind: 'char'; readonly code: number; readonly separates: boolean }
  | { readonly kind: Wildcard }
/** `*` within a segment, `**` across segments, `?` one character of a segment. */
type Wildcard = 'one' | 'segment' | 'across'

/** Compiles a glob over printed names: `.` and `/` separate segments, except inside a quoted part. Takes time linear in the subject. */
export function compileGlob(pattern: string): (subject: string) => boolean {
  const tokens = tokenize(pattern)
  if (tokens.every((token) => token.kind === 'char')) return (subject) => subject === pattern
  return (subject) => run(tokens, subject)
}

function tokenize(pattern: string): Token[] {
  const tokens: Token[] = []
  const places = placesOf(pattern)
  for (let at = 0; at < pattern.length; at++) {
    const char = pattern.charAt(at)
    const quoted = places[at] === QUOTED
    if (char === '?' && !quoted) tokens.push({ kind: 'one' })
    else if (char !== '*' || quoted) {
      const separates = places[at] === SEPARATOR
      tokens.push({ kind: 'char', code: pattern.charCodeAt(at), separates })
    } else if (pattern.charAt(at + 1) === '*') {
      tokens.push({ kind: 'across' })
      at++
    } else tokens.push({ kind: 'segment' })
  }
  return tokens
}

/** Follows all ways through the pattern at once, so there is no backtracking. State `i` means: tokens before `i` are matched. */
function run(tokens: readonly Token[], subject: string): boolean {
  let active = new Uint8Array(tokens.length + 1)
  let next = new Uint8Array(tokens.length + 1)
  active[0] = 1
  skipEmpty(tokens, active)
  const places = placesOf(subject)
  for (let at = 0; at < subject.length; at++) {
    next.fill(0)
    const code = subject.charCodeAt(at)
    const inSegment = places[at] !== SEPARATOR
    for (let state = 0; state < tokens.length; state++) {
      const token = tokens[state]
      if (active[state] !== 1 || token === undefined) continue
      if (token.kind === 'char') {
        if (token.code === code && token.separates !== inSegment) next[state + 1] = 1
      } else if (token.kind === 'one') {
        if (inSegment) next[state + 1] = 1
      } else if (token.kind === 'across' || inSegment) next[state] = 1
    }
    skipEmpty(tokens, next)
    ;[active, next] = [next, active]
  }
  return active[tokens.length] === 1
}

function skipEmpty(tokens: readonly Token[], states: Uint8Array): void {
  for (let state = 0; state < tokens.length; state++) {
    const kind = tokens[state]?.kind
    if (states[state] === 1 && (kind === 'segment' || kind === 'across')) states[state + 1] = 1
  }
}

const SEPARATOR = 1
const QUOTED = 2

/** Marks the separators and the quoted characters of a name: a separator inside a quoted part belongs to the part. */
function placesOf(name: string): Uint8Array {
  const places = new Uint8Array(name.length)
  let quoted = false
  let startsPart = true
  for (let at = 0; at < name.length; at++) {
    const char = name.charAt(at)
    if (quoted) {
      places[at] = QUOTED
      if (char !== '"') continue
      // A doubled quote stands for one quote inside the part.
      if (name.charAt(at + 1) === '"') places[++at] = QUOTED
      else quoted = false
      continue
    }
    if (char === '"' && startsPart) {
      quoted = true
      places[at] = QUOTED
    }
    startsPart = char === '.' || char === '/'
    if (startsPart) places[at] = SEPARATOR
  }
  return places
}

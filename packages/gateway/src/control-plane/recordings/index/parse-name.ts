/** The parts of a name as `printName` writes it: `public."My Table"`. Quotes may be missing at the end of a cut name. */
export function parseName(text: string): string[] {
  const parts: string[] = []
  let at = 0
  while (at <= text.length) {
    const isQuoted = text[at] === '"'
    const end = isQuoted ? quoteEnd(text, at + 1) : dotOrEnd(text, at)
    const part = text.slice(isQuoted ? at + 1 : at, end)
    parts.push(isQuoted ? part.replaceAll('""', '"') : part)
    at = end + (isQuoted ? 2 : 1)
  }
  return parts
}

function dotOrEnd(text: string, from: number): number {
  const end = text.indexOf('.', from)
  return end < 0 ? text.length : end
}

function quoteEnd(text: string, from: number): number {
  for (let at = from; at < text.length; at += 1) {
    if (text[at] !== '"') continue
    if (text[at + 1] !== '"') return at
    at += 1
  }
  return text.length
}

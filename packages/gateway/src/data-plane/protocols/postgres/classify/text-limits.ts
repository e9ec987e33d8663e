/** Longer texts are parsed in a worker: their trees take long enough for other sessions to notice. */
const inlineCharactersMax = 16 * 1024

/** An expression of 12,000 terms broke a parser instance for good; this stays far below, since every mark may nest one level deeper. */
const inlineMarksMax = 1500

/** Twice the longest view of a large application; reading it takes some milliseconds, once. */
const codeCharactersMax = 64 * 1024
const codeMarksMax = 6000

/** Parentheses open the deepest recursion per character. */
const inlineDepthMax = 200

/** Longer texts are not parsed at all: 8 MiB of small rows took four seconds, and their tree most of a gigabyte. */
export const parsedCharactersMax = 8 * 1024 * 1024

/** True when a text must not be parsed on the thread that serves sessions. Counts marks without reading quotes, so nothing hides in them. */
export function needsWorker(text: string): boolean {
  return isBeyond(text, inlineCharactersMax, inlineMarksMax)
}

/** True for a definition of the target's own that is not read: it is read once and kept, so it may be several times as long. */
export function isLongCode(text: string): boolean {
  return isBeyond(text, codeCharactersMax, codeMarksMax)
}

function isBeyond(text: string, charactersMax: number, marksMax: number): boolean {
  if (text.length > charactersMax) return true
  if (text.length <= inlineDepthMax) return false
  let marks = 0
  let depth = 0
  let inWord = false
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index)
    const letter = (code | 32) >= 97 && (code | 32) <= 122
    if (letter && !inWord) marks++
    inWord = letter || code === 95 || (inWord && code >= 48 && code <= 57)
    // Every sign but comma, quotes, white space, digits and parentheses: ! # % & * + - / : ; < = > ? @ [ ^ | ~
    if (code > 32 && code < 127 && !letter && isOperator(code)) marks++
    if (code === 40 && ++depth > inlineDepthMax) return true
    if (code === 41 && depth > 0) depth--
  }
  return marks > marksMax
}

function isOperator(code: number): boolean {
  return !(
    code === 34 ||
    code === 39 ||
    code === 40 ||
    code === 41 ||
    code === 44 ||
    code === 95 ||
    (code >= 48 && code <= 57)
  )
}

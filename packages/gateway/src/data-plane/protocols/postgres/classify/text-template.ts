/**
 * The text with its constants taken out: texts with equal templates differ in the values of constants alone, so the grammar
 * makes the same tree of them, value by value. Undefined where that would need more knowledge of the lexical rules than
 * plain numbers, strings and names (PostgreSQL manual, section 4.1): comments, dollar quotes, prefixed strings, backslashes.
 * `marks` stand in the place of constants.
 */
export function templateOf(text: string, marks: Marks = templateMarks): string | undefined {
  let template = ''
  let copied = 0
  let index = 0
  while (index < text.length) {
    const code = text.charCodeAt(index)
    if (code === quote) {
      const end = endOfString(text, index)
      if (end === undefined) return undefined
      template += text.slice(copied, index) + marks.string
      index = end
      copied = end
    } else if (isDigit(code)) {
      const end = endOfNumber(text, index)
      if (end === undefined) return undefined
      template += text.slice(copied, index) + marks.number
      index = end
      copied = end
    } else {
      const end = endOfOther(text, index, code)
      if (end === undefined) return undefined
      index = end
    }
  }
  return template + text.slice(copied)
}

/** The shortest: templates are kept by the thousand, and only compared. */
const templateMarks = { string: "'", number: '0' } as const satisfies Marks

interface Marks {
  readonly string: string
  readonly number: string
}

const quote = 39
const doubleQuote = 34
const dollar = 36
const underscore = 95

/** Where a token that is no constant ends; for signs that is the next character. */
function endOfOther(text: string, start: number, code: number): number | undefined {
  if (isNameStart(code)) return endOfName(text, start)
  if (code === doubleQuote) return endOfQuotedName(text, start)
  if (code === dollar) return endOfParameter(text, start)
  const next = text.charCodeAt(start + 1)
  const opensComment = (code === 45 && next === 45) || (code === 47 && next === 42)
  const isControl = code < 32 && code !== 9 && code !== 10 && code !== 13
  return opensComment || isControl ? undefined : start + 1
}

/** A name that touches a quote may be the prefix of a string of another kind. */
function endOfName(text: string, start: number): number | undefined {
  let end = start + 1
  while (isNamePart(text.charCodeAt(end))) end += 1
  const next = text.charCodeAt(end)
  const touches = next === 38 ? text.charCodeAt(end + 1) : next
  return touches === quote || touches === doubleQuote ? undefined : end
}

function endOfQuotedName(text: string, start: number): number | undefined {
  const end = text.indexOf('"', start + 1)
  return end === -1 ? undefined : end + 1
}

/** `$1`; whatever else begins with a dollar sign quotes a text. */
function endOfParameter(text: string, start: number): number | undefined {
  let end = start + 1
  while (isDigit(text.charCodeAt(end))) end += 1
  return end === start + 1 || isNamePart(text.charCodeAt(end)) ? undefined : end
}

function endOfString(text: string, start: number): number | undefined {
  let end = start
  do {
    end = text.indexOf("'", end + 1) + 1
    if (end === 0) return undefined
  } while (text.charCodeAt(end) === quote)
  return text.slice(start, end).includes('\\') ? undefined : end
}

/** Digits with at most one point among them; exponents, other bases and what servers judge differently are left to the grammar. */
function endOfNumber(text: string, start: number): number | undefined {
  let end = start + 1
  while (isDigit(text.charCodeAt(end))) end += 1
  if (text.charCodeAt(end) === 46) {
    const fraction = end + 1
    end = fraction
    while (isDigit(text.charCodeAt(end))) end += 1
    if (end === fraction) return undefined
  }
  const next = text.charCodeAt(end)
  return isNamePart(next) || next === 46 ? undefined : end
}

function isDigit(code: number): boolean {
  return code >= 48 && code <= 57
}

function isNameStart(code: number): boolean {
  return (
    (code >= 97 && code <= 122) || (code >= 65 && code <= 90) || code === underscore || code > 127
  )
}

function isNamePart(code: number): boolean {
  return isNameStart(code) || isDigit(code) || code === dollar
}

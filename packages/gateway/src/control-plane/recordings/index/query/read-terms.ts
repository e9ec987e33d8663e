import { queryError } from './query-error.ts'
import type { Comparison, Glob } from './query.ts'

/** A term as it stands in the text, not yet understood. */
export interface WrittenTerm {
  readonly isNegated: boolean
  readonly field: string
  /** Where the field begins. */
  readonly at: number
  readonly values: readonly WrittenValue[]
}

/** A value: its parts between dots, each with its wildcards. In quotes nothing is a dot or a wildcard. */
export interface WrittenValue {
  readonly comparison: Comparison | undefined
  /** The value with its quotes taken off. */
  readonly plain: string
  readonly parts: readonly Glob[]
  readonly at: number
  readonly end: number
}

const textCharsMax = 4096
const termsMax = 50
const valuesMax = 100

/** Reads `field:value,value` terms between spaces; `compares` says which fields take `>` and its like. */
export function readTerms(text: string, compares: (field: string) => boolean): WrittenTerm[] {
  if (text.length > textCharsMax)
    throw queryError(text.slice(0, 60), 0, 1, `a search has at most ${textCharsMax} characters`)
  const terms: WrittenTerm[] = []
  for (let at = skipSpaces(text, 0); at < text.length; at = skipSpaces(text, at)) {
    if (terms.length === termsMax) throw queryError(text, at, 1, `more than ${termsMax} terms`)
    const isNegated = text[at] === '-'
    const start = isNegated ? at + 1 : at
    const field = /^[^\s:,"]*/u.exec(text.slice(start))?.[0] ?? ''
    const colon = start + field.length
    if (field === '' || text[colon] !== ':') {
      const length = Math.max(1, field.length)
      const hint = field === '' ? '' : `: write text:${field} to look for it in commands`
      throw queryError(text, start, length, `a term reads field:value${hint}`)
    }
    const { values, end } = readValues(text, colon + 1, compares(field))
    terms.push({ isNegated, field, at: start, values })
    at = end
  }
  return terms
}

function skipSpaces(text: string, from: number): number {
  let at = from
  while (at < text.length && /\s/u.test(text.charAt(at))) at += 1
  return at
}

function readValues(
  text: string,
  from: number,
  compares: boolean,
): { readonly values: WrittenValue[]; readonly end: number } {
  const values: WrittenValue[] = []
  for (let at = from; ;) {
    const value = readValue(text, at, compares)
    values.push(value)
    if (values.length > valuesMax) throw queryError(text, at, 1, `more than ${valuesMax} values`)
    if (text[value.end] !== ',') return { values, end: value.end }
    at = value.end + 1
  }
}

function readValue(text: string, from: number, compares: boolean): WrittenValue {
  const operator = compares ? /^(?:>=|<=|[<>=])/u.exec(text.slice(from, from + 2))?.[0] : undefined
  const parts: string[][] = [['']]
  let plain = ''
  const add = (piece: string): void => {
    plain += piece
    const glob = parts.at(-1) ?? []
    glob.push((glob.pop() ?? '') + piece)
  }
  let at = from + (operator?.length ?? 0)
  const start = at
  while (at < text.length && !/[\s,]/u.test(text.charAt(at))) {
    const char = text.charAt(at)
    if (char === '"') {
      const quoted = readQuoted(text, at)
      add(quoted.text)
      at = quoted.end
      continue
    }
    if (char === '.') parts.push([''])
    else if (char === '*') parts.at(-1)?.push('')
    else add(char)
    if (char === '.' || char === '*') plain += char
    at += 1
  }
  if (at === start)
    throw queryError(text, Math.min(from, text.length), 1, 'a value is missing here')
  return { comparison: operator as Comparison | undefined, plain, parts, at: start, end: at }
}

/** The text between two quotes; `\"` and `\\` stand for themselves. */
function readQuoted(text: string, from: number): { readonly text: string; readonly end: number } {
  let found = ''
  for (let at = from + 1; at < text.length; at += 1) {
    if (text[at] === '"') return { text: found, end: at + 1 }
    if (text[at] === '\\' && /["\\]/u.test(text.charAt(at + 1))) at += 1
    found += text.charAt(at)
  }
  throw queryError(text, from, 1, 'this quote has no end')
}

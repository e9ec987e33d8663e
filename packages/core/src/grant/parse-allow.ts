import type { Permission } from '../chain.ts'
import {
  canonicalPermission,
  classProblem,
  connectionProblem,
  dimensionProblem,
  globProblem,
  rowsProblem,
} from './permission.ts'

/** A permit, or words that say what is wrong with its text. */
export type ParsedAllow =
  | { readonly kind: 'ok'; readonly permission: Permission }
  | { readonly kind: 'refused'; readonly message: string }

/** Words for several classes; the longest first, as they are printed. */
export const CLASS_SHORTHANDS = {
  rw: ['read', 'explain', 'write', 'delete'],
  ro: ['read', 'explain'],
} as const

/** Longer than any grant a person writes; keeps error messages and stored grants small. */
const allowLengthMax = 2048
const rowsWord = /^rows<=(?<rows>\d{1,16})$/u

class AllowError extends Error {}

/**
 * Parses `orders-db:read,explain db=orders schema=public,sales_* rows<=500`. The scope sugar `orders-db/orders:read` stands for `db=orders`.
 * Names are those that the database keeps: `Orders` is not `orders`. A name with a blank, a comma or a quote stands in double quotes, as in SQL.
 */
export function parseAllow(text: string): ParsedAllow {
  try {
    return { kind: 'ok', permission: canonicalPermission(parse(text)) }
  } catch (error) {
    if (error instanceof AllowError) return { kind: 'refused', message: error.message }
    throw error
  }
}

function parse(text: string): Permission {
  if (text.length > allowLengthMax) {
    throw new AllowError(`a grant is at most ${allowLengthMax} characters long`)
  }
  const [first = '', ...words] = splitOutsideQuotes(text, ' ').filter((word) => word !== '')
  const [head = '', ...tails] = splitOutsideQuotes(first, ':')
  if (tails.length === 0) throw new AllowError(`"${first}" needs a colon, as in orders-db:read`)
  const [names = '', ...scopes] = splitOutsideQuotes(head, '/')
  if (scopes.length > 1) throw new AllowError(`"${first}" has more than one scope`)
  const connections = names.split(',')
  for (const connection of connections) refuseIf(connectionProblem(connection))
  const limits: Limits = { dimensions: new Map() }
  const scope = scopes[0]
  if (scope !== undefined) limits.dimensions.set('db', parseGlobs('db', scope))
  const classes = parseClasses(tails.join(':'))
  for (const word of words) addLimit(limits, word)
  return {
    connections,
    classes,
    dimensions: Object.fromEntries(limits.dimensions),
    ...(limits.rowsMax === undefined ? {} : { rowsMax: limits.rowsMax }),
  }
}

interface Limits {
  readonly dimensions: Map<string, readonly string[]>
  rowsMax?: number
}

function parseClasses(text: string): string[] {
  return text.split(',').flatMap((word): readonly string[] => {
    if (word === 'ro' || word === 'rw') return CLASS_SHORTHANDS[word]
    refuseIf(classProblem(word, ['ro', 'rw']))
    return [word]
  })
}

function addLimit(limits: Limits, word: string): void {
  if (word.startsWith('rows')) return addRows(limits, word)
  const equals = word.indexOf('=')
  if (equals === -1) throw new AllowError(`"${word}" is not of the form name=glob,glob`)
  const name = word.slice(0, equals)
  refuseIf(dimensionProblem(name))
  if (limits.dimensions.has(name)) throw new AllowError(`${name} is given twice`)
  limits.dimensions.set(name, parseGlobs(name, word.slice(equals + 1)))
}

function addRows(limits: Limits, word: string): void {
  if (limits.rowsMax !== undefined) throw new AllowError('rows<= is given twice')
  const rows = rowsWord.exec(word)?.groups?.['rows']
  if (rows === undefined) throw new AllowError(`"${word}" is not of the form rows<=500`)
  const problem = rowsProblem(Number(rows))
  if (problem !== undefined) throw new AllowError(`rows<= ${problem}`)
  limits.rowsMax = Number(rows)
}

function parseGlobs(name: string, text: string): string[] {
  return splitOutsideQuotes(text, ',').map((part) => {
    const glob = unquote(name, part)
    const problem = globProblem(glob)
    if (problem !== undefined) throw new AllowError(`${name}: ${problem}`)
    return glob
  })
}

function unquote(name: string, part: string): string {
  if (!part.includes('"')) return part
  if (!/^"(?:[^"]|"")*"$/u.test(part)) {
    throw new AllowError(`${name}: quotes must surround a whole name, as in "Order lines"`)
  }
  return part.slice(1, -1).replaceAll('""', '"')
}

/** Every quote turns quoting on or off; a doubled one does both, so it needs no care here. */
function splitOutsideQuotes(text: string, mark: string): string[] {
  const parts: string[] = []
  let from = 0
  let isQuoted = false
  for (let at = 0; at < text.length; at++) {
    if (text[at] === '"') isQuoted = !isQuoted
    else if (text[at] === mark && !isQuoted) {
      parts.push(text.slice(from, at))
      from = at + 1
    }
  }
  if (isQuoted) throw new AllowError('a quote is not closed')
  parts.push(text.slice(from))
  return parts
}

function refuseIf(problem: string | undefined): void {
  if (problem !== undefined) throw new AllowError(problem)
}

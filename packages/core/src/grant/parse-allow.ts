import type { Permission } from '../chain.ts'
import { EFFECT_CLASSES } from '../command.ts'

/** A permit, or words that say what is wrong with its text. */
export type ParsedAllow =
  | { readonly kind: 'ok'; readonly permission: Permission }
  | { readonly kind: 'refused'; readonly message: string }

const shorthands: Readonly<Record<string, readonly string[]>> = {
  ro: ['read', 'explain'],
  rw: ['read', 'explain', 'write', 'delete'],
  '*': ['*'],
}
const dimensionNames = ['db', 'schema', 'table']
/** Longer than any grant a person writes; keeps error messages and stored grants small. */
const allowLengthMax = 2048

class AllowError extends Error {}

/** Parses `orders-db:read,explain db=orders schema=public,sales_*`. The scope sugar `orders-db/orders:read` stands for `db=orders`. */
export function parseAllow(text: string): ParsedAllow {
  try {
    return { kind: 'ok', permission: parse(text) }
  } catch (error) {
    if (error instanceof AllowError) return { kind: 'refused', message: error.message }
    throw error
  }
}

function parse(text: string): Permission {
  if (text.length > allowLengthMax) {
    throw new AllowError(`a grant is at most ${allowLengthMax} characters long`)
  }
  const [first = '', ...words] = text.trim().split(/ +/u)
  const colon = first.indexOf(':')
  if (colon === -1) throw new AllowError(`"${first}" needs a colon, as in orders-db:read`)
  const [connection = '', ...scopes] = first.slice(0, colon).split('/')
  if (scopes.length > 1) throw new AllowError(`"${first}" has more than one scope`)
  if (!/^[A-Za-z0-9*][A-Za-z0-9_.*-]*$/u.test(connection)) {
    throw new AllowError(`"${connection}" is not the name of a connection or a glob`)
  }
  const dimensions = new Map<string, readonly string[]>()
  const scope = scopes[0]
  if (scope !== undefined) dimensions.set('db', parseGlobs('db', scope))
  for (const word of words) addDimension(dimensions, word)
  return {
    connections: [connection],
    classes: parseClasses(first.slice(colon + 1)),
    dimensions: Object.fromEntries(dimensions),
  }
}

function parseClasses(text: string): string[] {
  const classes = new Set<string>()
  for (const word of text.split(',')) {
    const known = Object.hasOwn(shorthands, word) ? shorthands[word] : undefined
    if (known !== undefined) for (const name of known) classes.add(name)
    else if ((EFFECT_CLASSES as readonly string[]).includes(word)) classes.add(word)
    else throw new AllowError(`"${word}" is not one of ${EFFECT_CLASSES.join(', ')}, ro, rw, *`)
  }
  return [...classes]
}

function addDimension(dimensions: Map<string, readonly string[]>, word: string): void {
  if (word.startsWith('rows<=')) throw new AllowError('rows<= is not available yet')
  const equals = word.indexOf('=')
  if (equals === -1) throw new AllowError(`"${word}" is not of the form name=glob,glob`)
  const name = word.slice(0, equals)
  if (!dimensionNames.includes(name)) {
    throw new AllowError(`"${name}" is not one of ${dimensionNames.join(', ')}`)
  }
  if (dimensions.has(name)) throw new AllowError(`${name} is given twice`)
  dimensions.set(name, parseGlobs(name, word.slice(equals + 1)))
}

function parseGlobs(name: string, text: string): string[] {
  const globs = text.split(',')
  if (globs.includes('')) throw new AllowError(`${name} has an empty pattern`)
  return globs
}

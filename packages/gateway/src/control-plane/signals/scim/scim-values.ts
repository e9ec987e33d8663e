import { plainText } from '../plain-text.ts'
import { ScimError } from './scim-error.ts'

/** An object of a request. Attribute names have no case (RFC 7643, section 2.1), so keys are in lower case. */
export type Attributes = ReadonlyMap<string, unknown>

const textCharactersMax = 256
const listMax = 50

/** Reads an object; anything else is refused. */
export function readAttributes(value: unknown, what: string): Attributes {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new ScimError(400, `${what} must be an object`, 'invalidSyntax')
  const attributes = new Map<string, unknown>()
  for (const [name, each] of Object.entries(value)) {
    const key = shortName(name)
    // Two spellings of one name would let a reader and a writer disagree.
    if (attributes.has(key)) throw new ScimError(400, `"${key}" is given twice`, 'invalidSyntax')
    attributes.set(key, each)
  }
  return attributes
}

/** `urn:ietf:params:scim:schemas:core:2.0:User:userName` and `UserName` are `username`. */
export function shortName(name: string): string {
  return name.toLowerCase().replace(/^urn:ietf:params:scim:schemas:core:2\.0:(?:user|group):/u, '')
}

/** A text that a directory and PostgreSQL can both keep. Null and the empty text are an absent one (RFC 7643, section 2.5). */
export function readText(value: unknown, name: string): string | undefined {
  if (value === undefined || value === null || value === '') return undefined
  const text = plainText(value, textCharactersMax)
  if (text === undefined)
    throw new ScimError(
      400,
      `${name} must be text of at most ${textCharactersMax} characters, without control characters`,
      'invalidValue',
    )
  return text
}

export function requireText(value: unknown, name: string): string {
  const text = readText(value, name)
  if (text === undefined) throw new ScimError(400, `${name} is missing`, 'invalidValue')
  return text
}

/** Entra writes `"False"`. What is neither is an error: a deactivation must not be read as nothing. */
export function readFlag(value: unknown, name: string): boolean {
  if (typeof value === 'boolean') return value
  const text = typeof value === 'string' ? value.toLowerCase() : ''
  if (text === 'true' || text === 'false') return text === 'true'
  throw new ScimError(400, `${name} must be true or false`, 'invalidValue')
}

/** A list; one value stands for a list of it. */
export function readList(value: unknown, name: string, max = listMax): readonly unknown[] {
  if (value === undefined || value === null) return []
  const list = Array.isArray(value) ? (value as unknown[]) : [value]
  if (list.length > max) throw new ScimError(400, `${name} has more than ${max} values`, 'tooMany')
  return list
}

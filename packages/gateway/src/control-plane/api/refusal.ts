import { SallyportError, suggest } from '@sallyport/core'
import type * as z from 'zod'

const problemsMax = 20
const nameCharactersMax = 64

/** What came from outside, as its schema says. Throws SP_CONFIG_INVALID, which names each field that is wrong, and why. */
export function accepted<Schema extends z.ZodType>(
  schema: Schema,
  input: unknown,
): z.output<Schema> {
  const result = schema.safeParse(input, { error: sentence })
  if (result.success) return result.data
  const said = result.error.issues.slice(0, problemsMax).map(({ message }) => message)
  const detail = said.join('; ')
  throw new SallyportError('SP_CONFIG_INVALID', detail, { detail })
}

type Issue = z.core.$ZodRawIssue

/** A sentence about a field. Values are not repeated: they may be secrets, and as long as the sender likes. */
function sentence(issue: Issue): string {
  const field = fieldOf(issue.path ?? [])
  switch (issue.code) {
    case 'invalid_type':
      if (issue.input === undefined && field !== '') return `${field} is missing`
      return `${field === '' ? 'the body' : field} must be ${kinds[issue.expected] ?? issue.expected}`
    case 'invalid_value':
      return issue.input === undefined
        ? `${field} is missing`
        : `${field} must be ${oneOf(issue.values)}${nearest(issue.input, issue.values)}`
    case 'unrecognized_keys':
      return issue.keys.map((key) => unknownField(field, key, issue.inst)).join('; ')
    case 'too_small':
    case 'too_big':
      return `${field} ${bounds(issue)}`
    case 'invalid_key':
      return `${field} has a name that is empty, too long or not known here`
    case 'invalid_format':
      return `${field} has characters that do not fit`
    case 'not_multiple_of':
    case 'invalid_union':
    case 'invalid_element':
    case 'custom':
      return `${field === '' ? 'the body' : field} does not fit`
  }
}

const kinds: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object',
  record: 'an object',
}

function fieldOf(path: readonly PropertyKey[]): string {
  const parts = path.map((each) =>
    typeof each === 'number' ? `[${each}]` : `.${String(each).slice(0, nameCharactersMax)}`,
  )
  return parts.join('').replace(/^\./u, '')
}

function oneOf(values: readonly unknown[]): string {
  const [first] = values
  return values.length === 1 ? String(first) : `one of ${values.join(', ')}`
}

function nearest(input: unknown, values: readonly unknown[]): string {
  if (typeof input !== 'string') return ''
  return suggest(
    input,
    values.filter((each) => typeof each === 'string'),
  )
}

function unknownField(field: string, key: string, schema: unknown): string {
  const name = key.slice(0, nameCharactersMax)
  const whole = field === '' ? name : `${field}.${name}`
  return `there is no field "${whole}" here${suggest(key, knownFields(schema))}`
}

function knownFields(schema: unknown): readonly string[] {
  const known = schema as { readonly _zod?: { readonly def?: { readonly shape?: object } } }
  return Object.keys(known._zod?.def?.shape ?? {})
}

function bounds(issue: Extract<Issue, { code: 'too_small' | 'too_big' }>): string {
  const isTooSmall = issue.code === 'too_small'
  const limit = isTooSmall ? issue.minimum : issue.maximum
  if (issue.origin === 'string')
    return isTooSmall ? 'must not be empty' : `has at most ${limit} characters`
  if (issue.origin === 'array')
    return isTooSmall ? 'must not be empty' : `has at most ${limit} entries`
  return isTooSmall ? `must be ${limit} or more` : `must be ${limit} or less`
}

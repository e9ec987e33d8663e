import { readFileSync } from 'node:fs'

interface Attribute {
  readonly type: string
  readonly array?: boolean
  readonly required?: boolean
  readonly enum?: readonly number[]
  /** The attribute belongs to a profile: it may be there only where the event names that. */
  readonly profile?: string
}

interface Shape {
  readonly attributes: Readonly<Record<string, Attribute>>
  readonly atLeastOne?: readonly string[]
}

interface Schema {
  readonly source: string
  readonly types: Readonly<Record<string, string>>
  readonly classes: Readonly<Record<string, Shape & { name: string; category: number }>>
  readonly objects: Readonly<Record<string, Shape>>
}

/** What the public schema says of the classes and objects that events use; where it comes from stands in it. */
const schema = JSON.parse(
  readFileSync(new URL('ocsf-schema.fixture.json', import.meta.url), 'utf8'),
) as Schema

/** Says what of an event does not fit the schema; empty where all does. */
export function checkOcsf(event: Readonly<Record<string, unknown>>): string[] {
  const of = schema.classes[String(event['class_uid'])]
  if (of === undefined) return [`class ${String(event['class_uid'])} is not in the schema`]
  const { profiles = [] } = (event['metadata'] ?? {}) as { profiles?: readonly string[] }
  const problems = checkShape(event, of, '', new Set(profiles))
  if (event['category_uid'] !== of.category) problems.push('category_uid is of another class')
  if (event['class_name'] !== of.name) problems.push('class_name is of another class')
  const type = Number(event['class_uid']) * 100 + Number(event['activity_id'])
  if (event['type_uid'] !== type) problems.push('type_uid is not class and activity')
  return problems
}

function checkShape(
  value: object,
  { attributes, atLeastOne }: Shape,
  path: string,
  profiles: ReadonlySet<string>,
): string[] {
  const problems: string[] = []
  const applies = ({ profile }: Attribute): boolean =>
    profile === undefined || profiles.has(profile)
  for (const [name, attribute] of Object.entries(attributes)) {
    if (attribute.required === true && applies(attribute) && !Object.hasOwn(value, name))
      problems.push(`${path}${name} is missing`)
  }
  for (const [name, field] of Object.entries(value)) {
    const attribute = attributes[name]
    if (attribute === undefined) problems.push(`${path}${name} is not in the schema`)
    else if (!applies(attribute)) problems.push(`${path}${name} is of profile ${attribute.profile}`)
    else problems.push(...checkField(field, attribute, `${path}${name}`, profiles))
  }
  if (atLeastOne !== undefined && !atLeastOne.some((name) => Object.hasOwn(value, name)))
    problems.push(`${path}: none of ${atLeastOne.join(', ')}`)
  return problems
}

function checkField(
  value: unknown,
  { type, array = false, enum: numbers }: Attribute,
  path: string,
  profiles: ReadonlySet<string>,
): string[] {
  if (array !== Array.isArray(value)) return [`${path} is ${array ? 'no' : 'a'} list`]
  const values: unknown[] = Array.isArray(value) ? value : [value]
  return values.flatMap((each) => {
    const object = schema.objects[type]
    if (object !== undefined)
      return typeof each === 'object' && each !== null
        ? checkShape(each, object, `${path}.`, profiles)
        : [`${path} is no ${type}`]
    if (!fits(each, schema.types[type] ?? type)) return [`${path} is no ${type}`]
    const isKnown = numbers === undefined || numbers.includes(Number(each))
    return isKnown ? [] : [`${path} has no value ${String(each)}`]
  })
}

function fits(value: unknown, type: string): boolean {
  switch (type) {
    case 'string_t':
      return typeof value === 'string' && value !== ''
    case 'integer_t':
    case 'long_t':
      return Number.isSafeInteger(value)
    case 'float_t':
      return typeof value === 'number'
    case 'boolean_t':
      return typeof value === 'boolean'
    // Free in its form.
    case 'object':
    case 'json_t':
      return typeof value === 'object' && value !== null
    default:
      return false
  }
}

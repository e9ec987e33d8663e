import type { Selectable } from 'kysely'
import type { ScimUserTable } from '../../ports/tables/login-tables.ts'
import { ScimError } from './scim-error.ts'
import {
  type Attributes,
  readAttributes,
  readFlag,
  readList,
  readText,
  requireText,
  shortName,
} from './scim-values.ts'

export const userSchema = 'urn:ietf:params:scim:schemas:core:2.0:User'

/** What is kept of a user: what names the person in a login, and what names the person to people. */
export interface ScimUser {
  readonly userName: string
  readonly externalId?: string
  readonly active: boolean
  readonly displayName?: string
  readonly name?: Readonly<Record<string, string>>
  readonly emails: readonly Email[]
}

interface Email {
  readonly value: string
  readonly type?: string
  readonly primary?: boolean
}

const nameParts = ['givenName', 'familyName', 'middleName', 'formatted'] as const

/** Reads a whole user, as POST and PUT send it. What is not kept is ignored (RFC 7644, section 3.3). */
export function readUser(attributes: Attributes): ScimUser {
  const active = attributes.get('active')
  return trim({
    userName: requireText(attributes.get('username'), 'userName'),
    externalId: readText(attributes.get('externalid'), 'externalId'),
    active: active === undefined || active === null ? true : readFlag(active, 'active'),
    displayName: readText(attributes.get('displayname'), 'displayName'),
    name: readName(attributes.get('name')),
    emails: readEmails(attributes.get('emails')),
  })
}

/** One operation of a PATCH, with `op` in lower case. */
export interface Operation {
  readonly op: 'add' | 'remove' | 'replace'
  readonly path?: string
  readonly value: unknown
}

/** Applies one operation. A path to what is not kept changes nothing. */
export function patchUser(user: ScimUser, { op, path, value }: Operation): ScimUser {
  if (path !== undefined) return patchPath(user, op, path, value)
  if (op === 'remove') throw new ScimError(400, 'remove needs a path', 'noTarget')
  let patched = user
  // Entra and Okta send several attributes as one object, and Entra has dots in their names.
  for (const [name, each] of readAttributes(value, 'the value of an operation without a path'))
    patched = patchPath(patched, op, name, each)
  return patched
}

function patchPath(user: ScimUser, op: Operation['op'], path: string, given: unknown): ScimUser {
  const key = shortName(path)
  const value = op === 'remove' ? undefined : given
  // Whose `active` was taken away is not active.
  if (key === 'active')
    return { ...user, active: op === 'remove' ? false : readFlag(value, 'active') }
  if (key === 'username') return { ...user, userName: requireText(value, 'userName') }
  if (key === 'externalid') return trim({ ...user, externalId: readText(value, 'externalId') })
  if (key === 'displayname') return trim({ ...user, displayName: readText(value, 'displayName') })
  if (key === 'name') return trim({ ...user, name: readName(value) })
  if (key === 'emails') {
    const emails = readEmails(value)
    return { ...user, emails: op === 'add' ? [...user.emails, ...emails] : emails }
  }
  const part = nameParts.find((each) => key === `name.${each.toLowerCase()}`)
  if (part !== undefined) {
    const { [part]: _before, ...others } = user.name ?? {}
    const text = readText(value, path)
    return { ...user, name: text === undefined ? others : { ...others, [part]: text } }
  }
  const type = /^emails\[type eq "([a-z]{1,20})"\](?:\.value)?$/u.exec(key)?.[1]
  return type === undefined ? user : { ...user, emails: withEmail(user.emails, type, value) }
}

function withEmail(emails: readonly Email[], type: string, value: unknown): readonly Email[] {
  const others = emails.filter((each) => each.type !== type)
  const text = readText(value, 'emails')
  return text === undefined ? others : [...others, { value: text, type }]
}

/** By what a login may name the person, in lower case. */
export function namesOf({ userName, externalId, emails }: ScimUser): string[] {
  const names = [userName, externalId ?? userName, ...emails.map(({ value }) => value)]
  return [...new Set(names.map((name) => name.toLowerCase()))]
}

/** The user of a row. */
export function userOf(row: Selectable<ScimUserTable>): ScimUser {
  // Only this file writes the column.
  const kept = row.attributes as Pick<ScimUser, 'displayName' | 'name' | 'emails'>
  return trim({
    ...kept,
    userName: row.user_name,
    externalId: row.external_id ?? undefined,
    active: row.active,
  })
}

/** What a row keeps as JSON. */
export function keptAttributes({ displayName, name, emails }: ScimUser): string {
  return JSON.stringify({ displayName, name, emails })
}

/** A user as it is answered. */
export function userView(
  row: Selectable<ScimUserTable>,
  baseUrl: string,
): Readonly<Record<string, unknown>> {
  const { emails, ...user } = userOf(row)
  return {
    schemas: [userSchema],
    id: row.id,
    ...user,
    ...(emails.length === 0 ? {} : { emails }),
    meta: {
      resourceType: 'User',
      created: row.created_at.toISOString(),
      lastModified: row.changed_at.toISOString(),
      location: `${baseUrl}/Users/${row.id}`,
    },
  }
}

function readName(value: unknown): Readonly<Record<string, string>> | undefined {
  if (value === undefined || value === null) return undefined
  const attributes = readAttributes(value, 'name')
  const entries = nameParts.map((part): [string, string | undefined] => [
    part,
    readText(attributes.get(part.toLowerCase()), `name.${part}`),
  ])
  return Object.fromEntries(
    entries.filter((entry): entry is [string, string] => entry[1] !== undefined),
  )
}

function readEmails(value: unknown): readonly Email[] {
  return readList(value, 'emails').map((each) => {
    const attributes = typeof each === 'string' ? undefined : readAttributes(each, 'an e-mail')
    const type = readText(attributes?.get('type'), 'emails.type')
    const primary = attributes?.get('primary')
    return {
      value: requireText(attributes === undefined ? each : attributes.get('value'), 'emails.value'),
      ...(type === undefined ? {} : { type }),
      ...(primary === undefined || primary === null
        ? {}
        : { primary: readFlag(primary, 'emails.primary') }),
    }
  })
}

/** Without the fields that are undefined. */
function trim(user: {
  readonly [K in keyof ScimUser]-?: K extends 'userName' | 'active' | 'emails'
    ? ScimUser[K]
    : ScimUser[K] | undefined
}): ScimUser
function trim(user: object): ScimUser
function trim(user: object): ScimUser {
  return Object.fromEntries(
    Object.entries(user).filter(([, value]) => value !== undefined),
  ) as unknown as ScimUser
}

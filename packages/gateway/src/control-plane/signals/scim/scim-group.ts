import type { Selectable } from 'kysely'
import type { ScimGroupTable } from '../../ports/tables/login-tables.ts'
import { ScimError } from './scim-error.ts'
import type { Operation } from './scim-user.ts'
import {
  type Attributes,
  readAttributes,
  readList,
  readText,
  requireText,
  shortName,
} from './scim-values.ts'

export const groupSchema = 'urn:ietf:params:scim:schemas:core:2.0:Group'

/** More than any group of people that work together; larger lists are cut into several requests by directories. */
const membersMax = 50_000

export interface ScimGroup {
  readonly displayName: string
  readonly externalId?: string
}

/** How the members change, in order. */
export interface MemberChange {
  readonly op: Operation['op'] | 'clear'
  readonly ids: readonly string[]
}

export interface GroupChange {
  readonly group: ScimGroup
  readonly members: readonly MemberChange[]
}

/** Reads a whole group, as POST and PUT send it. */
export function readGroup(attributes: Attributes): GroupChange {
  const externalId = readText(attributes.get('externalid'), 'externalId')
  return {
    group: {
      displayName: requireText(attributes.get('displayname'), 'displayName'),
      ...(externalId === undefined ? {} : { externalId }),
    },
    members: [{ op: 'replace', ids: readMembers(attributes.get('members')) }],
  }
}

/** Applies one operation of a PATCH. A path to what is not kept changes nothing. */
export function patchGroup(before: GroupChange, { op, path, value }: Operation): GroupChange {
  if (path !== undefined) return patchPath(before, op, path, value)
  if (op === 'remove') throw new ScimError(400, 'remove needs a path', 'noTarget')
  let after = before
  for (const [name, each] of readAttributes(value, 'the value of an operation without a path'))
    after = patchPath(after, op, name, each)
  return after
}

function patchPath(
  before: GroupChange,
  op: Operation['op'],
  path: string,
  value: unknown,
): GroupChange {
  const { group, members } = before
  const key = shortName(path)
  if (key === 'displayname') {
    const displayName = requireText(op === 'remove' ? undefined : value, 'displayName')
    return { members, group: { ...group, displayName } }
  }
  if (key === 'externalid') {
    const externalId = op === 'remove' ? undefined : readText(value, 'externalId')
    const { displayName } = group
    return { members, group: { displayName, ...(externalId === undefined ? {} : { externalId }) } }
  }
  if (key === 'members') return { group, members: [...members, changeOf(op, value)] }
  const one = /^members\[value eq "([^"\\]{1,256})"\]$/iu.exec(path)?.[1]
  if (one === undefined) return before
  if (op !== 'remove')
    throw new ScimError(400, 'a member that is picked can only be removed', 'invalidPath')
  return { group, members: [...members, { op, ids: [one] }] }
}

/** `remove members` without a value removes all; with one, as Entra sends it, those. */
function changeOf(op: Operation['op'], value: unknown): MemberChange {
  if (op === 'remove' && (value === undefined || value === null)) return { op: 'clear', ids: [] }
  return { op, ids: readMembers(value) }
}

function readMembers(value: unknown): readonly string[] {
  return readList(value, 'members', membersMax).map((each) =>
    requireText(
      typeof each === 'string' ? each : readAttributes(each, 'a member').get('value'),
      'members.value',
    ),
  )
}

/** A group as it is answered. */
export function groupView(
  row: Selectable<ScimGroupTable>,
  members: readonly { readonly id: string; readonly userName: string }[] | undefined,
  baseUrl: string,
): Readonly<Record<string, unknown>> {
  return {
    schemas: [groupSchema],
    id: row.id,
    displayName: row.display_name,
    ...(row.external_id === null ? {} : { externalId: row.external_id }),
    ...(members === undefined
      ? {}
      : {
          members: members.map(({ id, userName }) => ({
            value: id,
            display: userName,
            type: 'User',
            $ref: `${baseUrl}/Users/${id}`,
          })),
        }),
    meta: {
      resourceType: 'Group',
      created: row.created_at.toISOString(),
      lastModified: row.changed_at.toISOString(),
      location: `${baseUrl}/Groups/${row.id}`,
    },
  }
}

import { groupSchema } from './scim-group.ts'
import { userSchema } from './scim-user.ts'

/** Most that one page of a listing shows. */
export const pageMax = 200

type View = Readonly<Record<string, unknown>>

const coreSchema = 'urn:ietf:params:scim:schemas:core:2.0'

/** What this service can do (RFC 7643, section 5). */
export const serviceProviderConfig: View = {
  schemas: [`${coreSchema}:ServiceProviderConfig`],
  patch: { supported: true },
  bulk: { supported: false, maxOperations: 0, maxPayloadSize: 0 },
  filter: { supported: true, maxResults: pageMax },
  changePassword: { supported: false },
  sort: { supported: false },
  etag: { supported: false },
  authenticationSchemes: [
    {
      type: 'oauthbearertoken',
      name: 'Bearer token',
      description: 'The token of signals.scim of the provider.',
      primary: true,
    },
  ],
}

export const resourceTypes: readonly View[] = [
  resourceType('User', '/Users', userSchema),
  resourceType('Group', '/Groups', groupSchema),
]

/** RFC 7643, section 7: the attributes that are kept. */
export const schemas: readonly View[] = [
  schema('User', userSchema, [
    attribute('userName', { required: true, uniqueness: 'server' }),
    attribute('externalId', { caseExact: true }),
    attribute('active', { type: 'boolean' }),
    attribute('displayName'),
    attribute('name', {
      type: 'complex',
      subAttributes: ['formatted', 'familyName', 'givenName', 'middleName'].map((name) =>
        attribute(name),
      ),
    }),
    attribute('emails', {
      type: 'complex',
      multiValued: true,
      subAttributes: [
        attribute('value'),
        attribute('type'),
        attribute('primary', { type: 'boolean' }),
      ],
    }),
  ]),
  schema('Group', groupSchema, [
    attribute('displayName', { required: true, caseExact: true }),
    attribute('externalId', { caseExact: true }),
    attribute('members', {
      type: 'complex',
      multiValued: true,
      subAttributes: [
        attribute('value', { mutability: 'immutable' }),
        attribute('display', { mutability: 'readOnly' }),
        attribute('type', { mutability: 'immutable' }),
        attribute('$ref', { type: 'reference', mutability: 'immutable' }),
      ],
    }),
  ]),
]

function resourceType(name: string, endpoint: string, schemaId: string): View {
  return {
    schemas: [`${coreSchema}:ResourceType`],
    id: name,
    name,
    endpoint,
    schema: schemaId,
  }
}

function schema(name: string, id: string, attributes: readonly View[]): View {
  return { schemas: [`${coreSchema}:Schema`], id, name, attributes }
}

function attribute(name: string, more: View = {}): View {
  return {
    name,
    type: 'string',
    multiValued: false,
    required: false,
    caseExact: false,
    mutability: 'readWrite',
    returned: 'default',
    uniqueness: 'none',
    ...more,
  }
}

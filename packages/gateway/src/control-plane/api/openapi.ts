import { ERRORS, type ErrorCode } from '@sallyport/core'
import * as z from 'zod'
import { areas } from '../contract/all.ts'
import { type Endpoint, type Endpoints, refusedCallers } from '../contract/endpoint.ts'
import { statusOf } from '../contract/statuses.ts'
import { gatewayVersion } from '../version.ts'

type Json = Readonly<Record<string, unknown>>

let text: string | undefined

/** The document as JSON. Making it takes tens of milliseconds and anybody may ask, so that it is made once. */
export function openApiText(): string {
  text ??= JSON.stringify(openApiDocument())
  return text
}

/** The document of the API, made of the schemas that its requests are held to: OpenAPI 3.1.1. */
export function openApiDocument(): Json {
  const schemas = new Map<string, Json>([['Error', errorSchema]])
  const paths = new Map<string, Record<string, Json>>()
  for (const [area, endpoints] of Object.entries<Endpoints>(areas)) {
    for (const [call, endpoint] of Object.entries(endpoints)) {
      const [method = '', path = ''] = call.split(' ')
      const operations = paths.get(path) ?? {}
      operations[method.toLowerCase()] = operationOf(area, call, endpoint, schemas)
      paths.set(path, operations)
    }
  }
  return {
    openapi: '3.1.1',
    info: {
      title: 'Sallyport',
      version: gatewayVersion,
      summary: 'The administrative API of a Sallyport gateway.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    jsonSchemaDialect: 'https://json-schema.org/draft/2020-12/schema',
    servers: [{ url: 'http://127.0.0.1:8700', description: 'A gateway on this machine.' }],
    tags: Object.keys(areas).map((name) => ({ name })),
    paths: Object.fromEntries(paths),
    components: {
      schemas: Object.fromEntries([...schemas].toSorted(([a], [b]) => (a < b ? -1 : 1))),
      securitySchemes,
    },
  }
}

const securitySchemes = {
  owner: {
    type: 'http',
    scheme: 'bearer',
    description: 'The owner token of the gateway: `owner.token` in its data folder.',
  },
  agent: {
    type: 'http',
    scheme: 'bearer',
    bearerFormat: 'spa_…',
    description: 'The handle of an agent, which reaches the agent itself and those below it.',
  },
  boundAgent: {
    type: 'http',
    scheme: 'DPoP',
    description:
      'The handle of an agent that is bound to a key, with a proof for the request in the header DPoP (RFC 9449, section 7.1).',
  },
}

const securityOf = {
  owner: [{ owner: [] }],
  agents: [{ owner: [] }, { agent: [] }, { boundAgent: [] }],
  anybody: [],
}

function operationOf(
  area: string,
  call: string,
  endpoint: Endpoint,
  schemas: Map<string, Json>,
): Json {
  const { does, who, acts, params, query, headers, body } = endpoint
  const parameters = [
    ...parametersOf('path', params, schemas),
    ...parametersOf('query', query, schemas),
    ...parametersOf('header', headers, schemas),
  ]
  return {
    operationId: operationId(call),
    summary: does,
    ...(acts === true ? { description: 'Refused to an agent that is frozen.' } : {}),
    tags: [area],
    security: securityOf[who],
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(body === undefined
      ? {}
      : {
          requestBody: {
            required: !body.safeParse({}).success,
            content: { 'application/json': { schema: jsonSchema(body, 'input', schemas) } },
          },
        }),
    responses: { ...answerOf(endpoint, schemas), ...refusalsOf(call, endpoint) },
  }
}

/** `POST /v1/agents/{id}/children` is `postAgentsIdChildren`. */
function operationId(call: string): string {
  const [method = '', path = ''] = call.split(' ')
  const words = path.replace(/^\/v1/u, '').match(/[a-z]+/giu) ?? []
  const capital = (word: string): string => word.charAt(0).toUpperCase() + word.slice(1)
  return method.toLowerCase() + words.map(capital).join('')
}

function parametersOf(
  place: 'path' | 'query' | 'header',
  fields: Endpoint['query'],
  schemas: Map<string, Json>,
): Json[] {
  return Object.entries(fields?.unwrap().shape ?? {}).map(([name, field]) => {
    const schema = field as z.ZodType
    const { description, ...shown } = jsonSchema(schema, 'output', schemas)
    return {
      name: place === 'header' ? titled(name) : name,
      in: place,
      required: !schema.safeParse(undefined).success,
      ...(description === undefined ? {} : { description }),
      schema: shown,
    }
  })
}

function answerOf({ answer, status }: Endpoint, schemas: Map<string, Json>): Json {
  if (answer === undefined) return { 204: { description: 'Done.' } }
  const media =
    'media' in answer
      ? Object.entries(answer.media).map(([type, schema]) => {
          // OpenAPI 3.2 has words for a schema of each line; here it is that of one of them.
          const of = schema === undefined ? {} : { schema: jsonSchema(schema, 'output', schemas) }
          return [type, of] as const
        })
      : [['application/json', { schema: jsonSchema(answer, 'output', schemas) }] as const]
  const isLines = media.some(([type]) => type === 'application/x-ndjson' || type === eventStream)
  const description = isLines ? 'A stream; the schema is of one line or event of it.' : 'Done.'
  return { [status ?? 200]: { description, content: Object.fromEntries(media) } }
}

const eventStream = 'text/event-stream'

/** Codes that an endpoint may answer with because of what it is, and those that it names. */
function codesOf(call: string, { who, acts, fails = [] }: Endpoint): ErrorCode[] {
  const isSent = !call.startsWith('GET ') && !call.startsWith('DELETE ')
  const codes = new Set<ErrorCode>(['SP_INTERNAL', 'SP_CONFIG_INVALID', ...fails])
  if (isSent) codes.add('SP_MESSAGE_TOO_LARGE')
  if (who !== 'anybody') for (const code of refusedCallers) codes.add(code)
  if (who === 'owner') codes.add('SP_NOT_GRANTED')
  if (acts === true) codes.add('SP_AGENT_FROZEN')
  return [...codes].toSorted()
}

function refusalsOf(call: string, endpoint: Endpoint): Json {
  const byStatus = Map.groupBy(codesOf(call, endpoint), statusOf)
  return Object.fromEntries(
    [...byStatus].map(([status, codes]) => [
      status,
      {
        description: codes.join(', '),
        content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } },
      },
    ]),
  )
}

const errorSchema: Json = {
  type: 'object',
  properties: {
    error: {
      type: 'object',
      properties: {
        code: { type: 'string', enum: Object.keys(ERRORS) },
        message: { type: 'string', description: 'What, in words for a person and a model.' },
        retry: {
          type: 'string',
          enum: [...new Set(Object.values(ERRORS).map(({ retry }) => retry))],
        },
        fix: {
          type: 'string',
          description: 'Why, and what helps: the same for each of this code.',
        },
      },
      required: ['code', 'message', 'retry', 'fix'],
      additionalProperties: false,
    },
  },
  required: ['error'],
  additionalProperties: false,
}

/** A schema in JSON. Those that have a name go into `schemas`, once each. */
function jsonSchema(schema: z.ZodType, io: 'input' | 'output', schemas: Map<string, Json>): Json {
  const {
    $schema: _,
    $defs = {},
    ...made
  } = z.toJSONSchema(schema, {
    io,
    unrepresentable: 'any',
    override: ({ jsonSchema: each }) => tidy(each),
  })
  for (const [name, definition] of Object.entries($defs)) schemas.set(name, moved(definition))
  const { id, ...rest } = made as { id?: string }
  if (id === undefined) return moved(rest)
  schemas.set(id, moved(rest))
  return { $ref: `#/components/schemas/${id}` }
}

/** What readers would stumble over: bounds that every number of JavaScript has, and a pattern that repeats its format. */
function tidy(schema: z.core.JSONSchema.BaseSchema): void {
  delete schema.readOnly
  if (schema.maximum === Number.MAX_SAFE_INTEGER) delete schema.maximum
  if (schema.minimum === Number.MIN_SAFE_INTEGER) delete schema.minimum
  if (schema.format === 'date-time') delete schema.pattern
}

function moved(schema: object): Json {
  const text = JSON.stringify(schema, (name, value: unknown) =>
    name === 'id' && typeof value === 'string' ? undefined : value,
  )
  return JSON.parse(text.replaceAll('"#/$defs/', '"#/components/schemas/')) as Json
}

/** Of `idempotency-key`, as documents write it: `Idempotency-Key`. */
function titled(header: string): string {
  return header.replaceAll(/(?<=^|-)[a-z]/gu, (letter) => letter.toUpperCase())
}

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Validator } from '@seriousme/openapi-schema-validator'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { areas } from '../contract/all.ts'
import type { Endpoint, Endpoints } from '../contract/endpoint.ts'
import { openApiDocument } from './openapi.ts'

interface Operation {
  readonly operationId: string
  readonly parameters?: readonly { readonly name: string; readonly in: string }[]
}

interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  readonly components: { readonly schemas: Readonly<Record<string, object>> }
}

/** As a reader gets it. */
const document = JSON.parse(JSON.stringify(openApiDocument())) as Document
const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.values(methods).map((operation) => ({ path, ...operation })),
)

test('the document is OpenAPI 3.1', async () => {
  const validator = new Validator()
  const { valid, errors } = await validator.validate({ ...structuredClone(document) })
  assert.deepEqual(errors ?? [], [])
  assert.equal(valid, true)
  assert.equal(validator.version, '3.1')
  const broken = { ...structuredClone(document), paths: { '/v1/x': { get: { responses: 1 } } } }
  assert.equal((await new Validator().validate(broken)).valid, false, 'the validator bites')
})

test('the document in docs/ is what a gateway hands out; npm run write:openapi writes it', () => {
  const file = fileURLToPath(new URL('../../../../../docs/openapi.json', import.meta.url))
  assert.deepEqual(JSON.parse(readFileSync(file, 'utf8')), document)
})

test('every schema is one of JSON Schema 2020-12, and every reference leads somewhere', () => {
  const ajv = new Ajv2020({ strict: true, allowUnionTypes: true, validateFormats: false })
  const names = Object.keys(document.components.schemas)
  assert.ok(names.length > 30, 'too few schemas were seen')
  const all = JSON.stringify(document.components.schemas)
  const $defs = JSON.parse(all.replaceAll('#/components/schemas/', '#/$defs/')) as object
  ajv.addSchema({ $id: 'doc', $defs })
  for (const name of names) assert.ok(ajv.compile({ $ref: `doc#/$defs/${name}` }), name)
  const text = JSON.stringify(document)
  for (const [, name = ''] of text.matchAll(/"#\/components\/schemas\/(\w+)"/gu))
    assert.ok(names.includes(name), name)
  assert.doesNotMatch(text, /\$defs|"\$schema"/u)
})

test('operation ids and paths tell operations apart, and each name in a path is a parameter', () => {
  const ids = operations.map(({ operationId }) => operationId)
  assert.ok(ids.length > 50, 'too few operations were seen')
  assert.deepEqual(ids.toSorted(), [...new Set(ids)].toSorted())
  for (const { path, operationId, parameters = [] } of operations) {
    const named = [...path.matchAll(/\{(\w+)\}/gu)].map(([, name]) => name)
    const inPath = parameters.filter((each) => each.in === 'path').map(({ name }) => name)
    assert.deepEqual(inPath, named, operationId)
  }
})

test('every operation is in one area, and none is lost on the way into the document', () => {
  const calls = Object.values(areas).flatMap((endpoints) => Object.keys(endpoints))
  assert.equal(calls.length, new Set(calls).size)
  assert.equal(calls.length, operations.length)
})

test('no body, query or path takes a field that is not known', () => {
  const bodies = Object.values(areas).flatMap((endpoints) =>
    Object.entries<Endpoint>(endpoints as Endpoints),
  )
  for (const [call, { query, body, params }] of bodies)
    for (const schema of [query, body, params])
      if (schema !== undefined)
        assert.equal(schema.safeParse({ ['no-such-field']: 1 }).success, false, call)
})

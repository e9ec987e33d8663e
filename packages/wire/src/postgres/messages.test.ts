import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { WireError } from '../wire-error.ts'
import {
  decodePassword,
  decodeSaslInitialResponse,
  encodePassword,
  encodeSaslInitialResponse,
} from './auth.ts'
import { type BackendMessage, decodeBackend, encodeBackend } from './backend-message.ts'
import { frameBody, frameEnd, frameType } from './frame-splitter.ts'
import { type FrontendMessage, decodeFrontend, encodeFrontend } from './frontend-message.ts'
import { BackendType, FrontendType } from './message-types.ts'
import { encodeParse, encodeQuery, formatAt } from './query.ts'

const text = fc
  .string({ unit: 'grapheme', maxLength: 12 })
  .map((value) => value.replaceAll('\0', ''))
const name = text.filter((value) => value !== '')
const bytes = fc.uint8Array({ maxLength: 12 }).map((array) => Buffer.from(array))
const key = fc.uint8Array({ minLength: 4, maxLength: 256 }).map((array) => Buffer.from(array))
const values = fc.array(fc.option(bytes), { maxLength: 5 })
const int16 = fc.integer({ min: -32768, max: 32767 })
const int32 = fc.integer({ min: -2147483648, max: 2147483647 })
const oid = fc.integer({ min: 0, max: 4294967295 })
const formats = fc.array(int16, { maxLength: 4 })
const target = fc.constantFrom('statement' as const, 'portal' as const)

function named<Kind extends string, Rest extends object>(
  kind: Kind,
  rest: { [Key in keyof Rest]: fc.Arbitrary<Rest[Key]> },
): fc.Arbitrary<{ kind: Kind } & Rest> {
  return fc.record<Rest>(rest).map((fields) => ({ kind, ...fields }))
}

const frontend: fc.Arbitrary<FrontendMessage> = fc.oneof(
  named('Query', { text }),
  named('Parse', { statement: text, text, parameterTypes: fc.array(oid, { maxLength: 4 }) }),
  named('Bind', {
    portal: text,
    statement: text,
    parameterFormats: formats,
    parameters: values,
    resultFormats: formats,
  }),
  named('Describe', { target, name: text }),
  named('Execute', { portal: text, rowsMax: int32 }),
  named('Close', { target, name: text }),
  named('Flush', {}),
  named('Sync', {}),
  named('FunctionCall', { oid, argumentFormats: formats, arguments: values, resultFormat: int16 }),
  named('CopyData', { data: bytes }),
  named('CopyDone', {}),
  named('CopyFail', { reason: text }),
  named('PasswordMessage', { data: bytes }),
  named('Terminate', {}),
)

const letter = fc.integer({ min: 1, max: 255 }).map((code) => String.fromCharCode(code))
const fields = fc.array(fc.tuple(letter, text), { maxLength: 5 }).map((pairs) => new Map(pairs))
const column = fc.record(
  {
    name: text,
    tableOid: oid,
    columnNumber: int16,
    typeOid: oid,
    typeSize: int16,
    typeModifier: int32,
    format: int16,
  },
  { noNullPrototype: true },
)
const copyShape = { format: fc.constantFrom(0, 1), columnFormats: formats }
const bareKinds = [
  'EmptyQueryResponse',
  'NoData',
  'ParseComplete',
  'BindComplete',
  'CloseComplete',
  'PortalSuspended',
] as const

const backend: fc.Arbitrary<BackendMessage> = fc.oneof(
  named('AuthenticationOk', {}),
  named('AuthenticationCleartextPassword', {}),
  named('AuthenticationMD5Password', { salt: fc.constant(Buffer.from('salt')) }),
  named('AuthenticationSASL', { mechanisms: fc.array(name, { maxLength: 3 }) }),
  named('AuthenticationSASLContinue', { data: bytes }),
  named('AuthenticationSASLFinal', { data: bytes }),
  named('AuthenticationUnsupported', { code: fc.integer({ min: 13, max: 99 }), data: bytes }),
  named('BackendKeyData', { processId: oid, key }),
  named('ParameterStatus', { name: text, value: text }),
  named('ReadyForQuery', { status: fc.constantFrom('I' as const, 'T' as const, 'E' as const) }),
  named('NegotiateProtocolVersion', { version: oid, unknownOptions: fc.array(text) }),
  named('RowDescription', { columns: fc.array(column, { maxLength: 4 }) }),
  named('ParameterDescription', { typeOids: fc.array(oid) }),
  named('DataRow', { values }),
  named('CommandComplete', { tag: text }),
  named('FunctionCallResponse', { value: fc.option(bytes) }),
  fc.constantFrom(...bareKinds).map((kind) => ({ kind })),
  named('ErrorResponse', { fields }),
  named('NoticeResponse', { fields }),
  named('NotificationResponse', { processId: oid, channel: text, payload: text }),
  named('CopyInResponse', copyShape),
  named('CopyOutResponse', copyShape),
  named('CopyBothResponse', copyShape),
  named('CopyData', { data: bytes }),
  named('CopyDone', {}),
)

test('every downstream message is itself after encoding and decoding', () => {
  fc.assert(
    fc.property(frontend, (message) => {
      const frame = encodeFrontend(message)
      assert.equal(frameEnd(frame, 0), frame.length)
      assert.deepEqual(decodeFrontend(frameType(frame, 0), frameBody(frame, 0)), message)
    }),
    { numRuns: 500 },
  )
})

test('every upstream message is itself after encoding and decoding', () => {
  fc.assert(
    fc.property(backend, (message) => {
      const frame = encodeBackend(message)
      assert.equal(frameEnd(frame, 0), frame.length)
      assert.deepEqual(decodeBackend(frameType(frame, 0), frameBody(frame, 0)), message)
    }),
    { numRuns: 800 },
  )
})

test('arbitrary bodies give a message or a wire error', () => {
  const body = fc
    .array(fc.oneof(fc.constantFrom(0, 1, 2, 255), fc.integer({ min: 0, max: 127 })), {
      maxLength: 40,
    })
    .map((array) => Buffer.from(array))
  const type = fc.constantFrom(...Object.values(FrontendType), ...Object.values(BackendType), 0)
  fc.assert(
    fc.property(type, body, (type, body) => {
      for (const decode of [decodeFrontend, decodeBackend]) {
        try {
          decode(type, body)
        } catch (error) {
          assert.ok(error instanceof WireError && error.kind === 'malformed')
          assert.equal(error.messageType, type)
        }
      }
    }),
    { numRuns: 1000 },
  )
})

test('a message cut short or with a byte to spare is malformed', () => {
  // Messages whose last field takes whatever there is cannot be too long.
  const open = new Set<string>(['CopyData', 'PasswordMessage'])
  fc.assert(
    fc.property(frontend, (message) => {
      if (open.has(message.kind)) return
      const frame = encodeFrontend(message)
      const body = frameBody(frame, 0)
      const decode = (body: Buffer) => () => decodeFrontend(frameType(frame, 0), body)
      assert.throws(decode(Buffer.concat([body, Buffer.of(0)])), WireError)
      if (body.length > 0) assert.throws(decode(body.subarray(0, -1)), WireError)
    }),
  )
})

type Decode = (type: number, body: Buffer) => unknown
const malformed: readonly [string, Decode, number, string][] = [
  ['a string without an end', decodeFrontend, FrontendType.query, '61'],
  ['a target of another letter', decodeFrontend, FrontendType.describe, '5100'],
  ['a value of negative length', decodeBackend, BackendType.dataRow, '0001fffffffe'],
  ['a count of more values than bytes', decodeBackend, BackendType.dataRow, 'ffff'],
  ['an unknown transaction status', decodeBackend, BackendType.readyForQuery, '51'],
  ['a short cancel key', decodeBackend, BackendType.backendKeyData, '00000001000000'],
  ['a negative count', decodeBackend, BackendType.negotiateProtocolVersion, '00030000ffffffff'],
  ['a diagnostic field twice', decodeBackend, BackendType.errorResponse, '4d61004d620000'],
]
for (const [what, decode, type, hex] of malformed) {
  test(`${what} is malformed`, () => {
    assert.throws(() => decode(type, Buffer.from(hex, 'hex')), { kind: 'malformed' })
  })
}

test('a zero byte in a string cannot be written', () => {
  assert.throws(() => encodeQuery('select 1\0drop'), WireError)
  assert.throws(() => encodeParse({ statement: 'a\0', text: '', parameterTypes: [] }), WireError)
})

test('sixty-five thousand parameters are a count and not a negative one', () => {
  const parameterTypes = Array.from({ length: 65_535 }, () => 23)
  const frame = encodeParse({ statement: '', text: '', parameterTypes })
  const parse = decodeFrontend(FrontendType.parse, frameBody(frame, 0))
  assert.ok(parse.kind === 'Parse' && parse.parameterTypes.length === 65_535)
})

test('a password message is read by what was asked for', () => {
  assert.equal(decodePassword(frameBody(encodePassword('pässword'), 0)), 'pässword')
  const response = { mechanism: 'SCRAM-SHA-256', data: Buffer.from('n,,') }
  const body = frameBody(encodeSaslInitialResponse(response), 0)
  assert.deepEqual(decodeSaslInitialResponse(body), { kind: 'SASLInitialResponse', ...response })
})

test('one format stands for all values, none for text', () => {
  assert.equal(formatAt([], 3), 0)
  assert.equal(formatAt([1], 3), 1)
  assert.equal(formatAt([0, 1], 1), 1)
})

import { BodyReader } from './body-reader.ts'
import {
  type Fields,
  FrameWriter,
  encodeEmpty,
  encodeText,
  int16sBytes,
  textBytes,
  valuesBytes,
} from './frame-writer.ts'
import { FrontendType } from './message-types.ts'

/** A simple query: one string of any number of statements. */
export interface Query {
  readonly kind: 'Query'
  readonly text: string
}

/** Prepares a statement under a name; the empty name is the unnamed statement. */
export interface Parse {
  readonly kind: 'Parse'
  readonly statement: string
  readonly text: string
  /** Type oids as the caller gave them; 0 leaves one open. */
  readonly parameterTypes: readonly number[]
}

/** Makes a portal of a statement and its parameters. */
export interface Bind {
  readonly kind: 'Bind'
  readonly portal: string
  readonly statement: string
  /** None: all text. One: for all. Otherwise one each. `formatAt` reads it. */
  readonly parameterFormats: readonly number[]
  readonly parameters: readonly (Buffer | null)[]
  readonly resultFormats: readonly number[]
}

/** Asks for the columns of a statement or portal. */
export interface Describe {
  readonly kind: 'Describe'
  readonly target: 'statement' | 'portal'
  readonly name: string
}

/** Runs a portal. */
export interface Execute {
  readonly kind: 'Execute'
  readonly portal: string
  /** Zero or less is no limit. */
  readonly rowsMax: number
}

/** Forgets a statement or portal. */
export interface Close {
  readonly kind: 'Close'
  readonly target: 'statement' | 'portal'
  readonly name: string
}

/** Asks upstream to send what it has. */
export interface Flush {
  readonly kind: 'Flush'
}

/** Ends a series of extended-query messages. */
export interface Sync {
  readonly kind: 'Sync'
}

/** Calls a function by its oid. */
export interface FunctionCall {
  readonly kind: 'FunctionCall'
  readonly oid: number
  readonly argumentFormats: readonly number[]
  readonly arguments: readonly (Buffer | null)[]
  readonly resultFormat: number
}

/** The format of the value at `index`, from a list that may be short for "all the same". */
export function formatAt(formats: readonly number[], index: number): number {
  return (formats.length === 1 ? formats[0] : formats[index]) ?? 0
}

/** Reads the body of a Query. */
export function decodeQuery(body: Buffer): Query {
  const reader = new BodyReader(FrontendType.query, body)
  const text = reader.text()
  reader.end()
  return { kind: 'Query', text }
}

/** Writes a whole Query message. */
export function encodeQuery(text: string): Buffer {
  return encodeText(FrontendType.query, text)
}

/** Reads the body of a Parse. */
export function decodeParse(body: Buffer): Parse {
  const reader = new BodyReader(FrontendType.parse, body)
  const statement = reader.text()
  const text = reader.text()
  const count = reader.count(4)
  const parameterTypes: number[] = []
  for (let index = 0; index < count; index++) parameterTypes.push(reader.uint32())
  reader.end()
  return { kind: 'Parse', statement, text, parameterTypes }
}

/** Writes a whole Parse message. */
export function encodeParse(parse: Fields<Parse>): Buffer {
  const { statement, text, parameterTypes } = parse
  const bytes = textBytes(statement) + textBytes(text) + 2 + 4 * parameterTypes.length
  const writer = new FrameWriter(FrontendType.parse, bytes).text(statement).text(text)
  writer.uint16(parameterTypes.length)
  for (const oid of parameterTypes) writer.uint32(oid)
  return writer.finish()
}

/** Reads the body of a Bind. */
export function decodeBind(body: Buffer): Bind {
  const reader = new BodyReader(FrontendType.bind, body)
  const portal = reader.text()
  const statement = reader.text()
  const parameterFormats = reader.int16s()
  const parameters = reader.values()
  const resultFormats = reader.int16s()
  reader.end()
  return { kind: 'Bind', portal, statement, parameterFormats, parameters, resultFormats }
}

/** Writes a whole Bind message. */
export function encodeBind(bind: Fields<Bind>): Buffer {
  const { portal, statement, parameterFormats, parameters, resultFormats } = bind
  const bytes =
    textBytes(portal) +
    textBytes(statement) +
    int16sBytes(parameterFormats) +
    valuesBytes(parameters) +
    int16sBytes(resultFormats)
  return new FrameWriter(FrontendType.bind, bytes)
    .text(portal)
    .text(statement)
    .int16s(parameterFormats)
    .values(parameters)
    .int16s(resultFormats)
    .finish()
}

/** Reads the body of a Describe. */
export function decodeDescribe(body: Buffer): Describe {
  return { kind: 'Describe', ...decodeTarget(FrontendType.describe, body) }
}

/** Writes a whole Describe message. */
export function encodeDescribe(describe: Fields<Describe>): Buffer {
  return encodeTarget(FrontendType.describe, describe)
}

/** Reads the body of an Execute. */
export function decodeExecute(body: Buffer): Execute {
  const reader = new BodyReader(FrontendType.execute, body)
  const portal = reader.text()
  const rowsMax = reader.int32()
  reader.end()
  return { kind: 'Execute', portal, rowsMax }
}

/** Writes a whole Execute message. */
export function encodeExecute(execute: Fields<Execute>): Buffer {
  const bytes = textBytes(execute.portal) + 4
  const writer = new FrameWriter(FrontendType.execute, bytes)
  return writer.text(execute.portal).int32(execute.rowsMax).finish()
}

/** Reads the body of a Close. */
export function decodeClose(body: Buffer): Close {
  return { kind: 'Close', ...decodeTarget(FrontendType.close, body) }
}

/** Writes a whole Close message. */
export function encodeClose(close: Fields<Close>): Buffer {
  return encodeTarget(FrontendType.close, close)
}

/** Writes a whole Flush message. */
export function encodeFlush(): Buffer {
  return encodeEmpty(FrontendType.flush)
}

/** Writes a whole Sync message. */
export function encodeSync(): Buffer {
  return encodeEmpty(FrontendType.sync)
}

/** Reads the body of a FunctionCall. */
export function decodeFunctionCall(body: Buffer): FunctionCall {
  const reader = new BodyReader(FrontendType.functionCall, body)
  const oid = reader.uint32()
  const argumentFormats = reader.int16s()
  const values = reader.values()
  const resultFormat = reader.int16()
  reader.end()
  return { kind: 'FunctionCall', oid, argumentFormats, arguments: values, resultFormat }
}

/** Writes a whole FunctionCall message. */
export function encodeFunctionCall(call: Fields<FunctionCall>): Buffer {
  const bytes = 4 + int16sBytes(call.argumentFormats) + valuesBytes(call.arguments) + 2
  return new FrameWriter(FrontendType.functionCall, bytes)
    .uint32(call.oid)
    .int16s(call.argumentFormats)
    .values(call.arguments)
    .int16(call.resultFormat)
    .finish()
}

const statementByte = 0x53 // S
const portalByte = 0x50 // P

interface Target {
  readonly target: 'statement' | 'portal'
  readonly name: string
}

function decodeTarget(type: number, body: Buffer): Target {
  const reader = new BodyReader(type, body)
  const byte = reader.byte()
  if (byte !== statementByte && byte !== portalByte) reader.fail('neither statement nor portal')
  const name = reader.text()
  reader.end()
  return { target: byte === statementByte ? 'statement' : 'portal', name }
}

function encodeTarget(type: number, { target, name }: Target): Buffer {
  const byte = target === 'statement' ? statementByte : portalByte
  return new FrameWriter(type, 1 + textBytes(name)).byte(byte).text(name).finish()
}

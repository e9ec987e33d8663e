import { BodyReader } from './body-reader.ts'
import { FrameWriter, encodeEmpty, encodeText, textBytes, valuesBytes } from './frame-writer.ts'
import { BackendType } from './message-types.ts'

/** The columns of the rows that follow. */
export interface RowDescription {
  readonly kind: 'RowDescription'
  readonly columns: readonly ColumnDescription[]
}

/** One column of a result. */
export interface ColumnDescription {
  readonly name: string
  /** Zero where the column is not one of a table. */
  readonly tableOid: number
  readonly columnNumber: number
  readonly typeOid: number
  /** Negative for types of variable size. */
  readonly typeSize: number
  readonly typeModifier: number
  /** 0 is text, 1 is binary. */
  readonly format: number
}

/** The parameter types of a statement. */
export interface ParameterDescription {
  readonly kind: 'ParameterDescription'
  readonly typeOids: readonly number[]
}

/** One row. */
export interface DataRow {
  readonly kind: 'DataRow'
  readonly values: readonly (Buffer | null)[]
}

/** A command is done; the tag names it and counts rows. */
export interface CommandComplete {
  readonly kind: 'CommandComplete'
  readonly tag: string
}

/** Answers a FunctionCall. */
export interface FunctionCallResponse {
  readonly kind: 'FunctionCallResponse'
  readonly value: Buffer | null
}

/** Messages that say all they say by their type. */
export interface BareResponse {
  readonly kind:
    | 'EmptyQueryResponse'
    | 'NoData'
    | 'ParseComplete'
    | 'BindComplete'
    | 'CloseComplete'
    | 'PortalSuspended'
}

/** Name's zero byte, two oids, two sixteen-bit numbers, modifier and format. */
const columnBytesMin = 19

/** Reads the body of a RowDescription. */
export function decodeRowDescription(body: Buffer): RowDescription {
  const reader = new BodyReader(BackendType.rowDescription, body)
  const count = reader.count(columnBytesMin)
  const columns: ColumnDescription[] = []
  for (let index = 0; index < count; index++) columns.push(readColumn(reader))
  reader.end()
  return { kind: 'RowDescription', columns }
}

function readColumn(reader: BodyReader): ColumnDescription {
  return {
    name: reader.text(),
    tableOid: reader.uint32(),
    columnNumber: reader.int16(),
    typeOid: reader.uint32(),
    typeSize: reader.int16(),
    typeModifier: reader.int32(),
    format: reader.int16(),
  }
}

/** Writes a whole RowDescription message. */
export function encodeRowDescription(columns: readonly ColumnDescription[]): Buffer {
  const bytes = columns.reduce((sum, { name }) => sum + textBytes(name) + columnBytesMin - 1, 2)
  const writer = new FrameWriter(BackendType.rowDescription, bytes).uint16(columns.length)
  for (const column of columns) {
    writer
      .text(column.name)
      .uint32(column.tableOid)
      .int16(column.columnNumber)
      .uint32(column.typeOid)
      .int16(column.typeSize)
      .int32(column.typeModifier)
      .int16(column.format)
  }
  return writer.finish()
}

/** Reads the body of a ParameterDescription. */
export function decodeParameterDescription(body: Buffer): ParameterDescription {
  const reader = new BodyReader(BackendType.parameterDescription, body)
  const count = reader.count(4)
  const typeOids: number[] = []
  for (let index = 0; index < count; index++) typeOids.push(reader.uint32())
  reader.end()
  return { kind: 'ParameterDescription', typeOids }
}

/** Writes a whole ParameterDescription message. */
export function encodeParameterDescription(typeOids: readonly number[]): Buffer {
  const writer = new FrameWriter(BackendType.parameterDescription, 2 + 4 * typeOids.length)
  writer.uint16(typeOids.length)
  for (const oid of typeOids) writer.uint32(oid)
  return writer.finish()
}

/** Reads the body of a DataRow. */
export function decodeDataRow(body: Buffer): DataRow {
  const reader = new BodyReader(BackendType.dataRow, body)
  const values = reader.values()
  reader.end()
  return { kind: 'DataRow', values }
}

/** Writes a whole DataRow message. */
export function encodeDataRow(values: readonly (Buffer | null)[]): Buffer {
  return new FrameWriter(BackendType.dataRow, valuesBytes(values)).values(values).finish()
}

/** Reads the body of a CommandComplete. */
export function decodeCommandComplete(body: Buffer): CommandComplete {
  const reader = new BodyReader(BackendType.commandComplete, body)
  const tag = reader.text()
  reader.end()
  return { kind: 'CommandComplete', tag }
}

/** Writes a whole CommandComplete message. */
export function encodeCommandComplete(tag: string): Buffer {
  return encodeText(BackendType.commandComplete, tag)
}

/** Reads the body of a FunctionCallResponse. */
export function decodeFunctionCallResponse(body: Buffer): FunctionCallResponse {
  const reader = new BodyReader(BackendType.functionCallResponse, body)
  const value = reader.value()
  reader.end()
  return { kind: 'FunctionCallResponse', value }
}

/** Writes a whole FunctionCallResponse message. */
export function encodeFunctionCallResponse(value: Buffer | null): Buffer {
  const bytes = 4 + (value?.length ?? 0)
  return new FrameWriter(BackendType.functionCallResponse, bytes).value(value).finish()
}

const bareTypes = {
  EmptyQueryResponse: BackendType.emptyQueryResponse,
  NoData: BackendType.noData,
  ParseComplete: BackendType.parseComplete,
  BindComplete: BackendType.bindComplete,
  CloseComplete: BackendType.closeComplete,
  PortalSuspended: BackendType.portalSuspended,
} as const

/** Reads a message that has no body, and refuses one that has. */
export function decodeBareResponse(kind: BareResponse['kind'], body: Buffer): BareResponse {
  new BodyReader(bareTypes[kind], body).end()
  return { kind }
}

/** Writes a message that has no body. */
export function encodeBareResponse(kind: BareResponse['kind']): Buffer {
  return encodeEmpty(bareTypes[kind])
}

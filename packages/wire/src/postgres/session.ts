import { BodyReader } from './body-reader.ts'
import { type Fields, FrameWriter, encodeEmpty, textBytes } from './frame-writer.ts'
import { BackendType, FrontendType } from './message-types.ts'

/** What a CancelRequest must repeat. */
export interface BackendKeyData {
  readonly kind: 'BackendKeyData'
  readonly processId: number
  /** Four bytes in protocol 3.0, up to 256 in 3.2. */
  readonly key: Buffer
}

/** A setting that upstream reports. */
export interface ParameterStatus {
  readonly kind: 'ParameterStatus'
  readonly name: string
  readonly value: string
}

/** Idle, in a transaction, or in one that failed. */
export type TransactionStatus = 'I' | 'T' | 'E'

/** Upstream waits for the next command. */
export interface ReadyForQuery {
  readonly kind: 'ReadyForQuery'
  readonly status: TransactionStatus
}

/** Downstream leaves. */
export interface Terminate {
  readonly kind: 'Terminate'
}

/** Upstream speaks an older version than asked for, or does not know some options. */
export interface NegotiateProtocolVersion {
  readonly kind: 'NegotiateProtocolVersion'
  /** Major and minor in one number, as in a startup message: 0x30002 is 3.2. */
  readonly version: number
  readonly unknownOptions: readonly string[]
}

/** The specification's bounds on a cancel key, in bytes. */
export const CANCEL_KEY_BYTES_MIN = 4
export const CANCEL_KEY_BYTES_MAX = 256

/** Reads the body of a BackendKeyData. */
export function decodeBackendKeyData(body: Buffer): BackendKeyData {
  const reader = new BodyReader(BackendType.backendKeyData, body)
  const processId = reader.uint32()
  if (reader.remaining < CANCEL_KEY_BYTES_MIN) reader.fail('a cancel key that is too short')
  if (reader.remaining > CANCEL_KEY_BYTES_MAX) reader.fail('a cancel key that is too long')
  return { kind: 'BackendKeyData', processId, key: reader.rest() }
}

/** Writes a whole BackendKeyData message. */
export function encodeBackendKeyData({ processId, key }: Fields<BackendKeyData>): Buffer {
  const writer = new FrameWriter(BackendType.backendKeyData, 4 + key.length)
  return writer.uint32(processId).bytes(key).finish()
}

/** Reads the body of a ParameterStatus. */
export function decodeParameterStatus(body: Buffer): ParameterStatus {
  const reader = new BodyReader(BackendType.parameterStatus, body)
  const name = reader.text()
  const value = reader.text()
  reader.end()
  return { kind: 'ParameterStatus', name, value }
}

/** Writes a whole ParameterStatus message. */
export function encodeParameterStatus({ name, value }: Fields<ParameterStatus>): Buffer {
  const writer = new FrameWriter(BackendType.parameterStatus, textBytes(name) + textBytes(value))
  return writer.text(name).text(value).finish()
}

/** Reads the body of a ReadyForQuery. */
export function decodeReadyForQuery(body: Buffer): ReadyForQuery {
  const reader = new BodyReader(BackendType.readyForQuery, body)
  const status = String.fromCharCode(reader.byte())
  reader.end()
  if (status !== 'I' && status !== 'T' && status !== 'E') {
    return reader.fail('an unknown transaction status')
  }
  return { kind: 'ReadyForQuery', status }
}

/** Writes a whole ReadyForQuery message. */
export function encodeReadyForQuery(status: TransactionStatus): Buffer {
  return new FrameWriter(BackendType.readyForQuery, 1).byte(status.charCodeAt(0)).finish()
}

/** Writes a whole Terminate message. */
export function encodeTerminate(): Buffer {
  return encodeEmpty(FrontendType.terminate)
}

/** Reads the body of a NegotiateProtocolVersion. */
export function decodeNegotiateProtocolVersion(body: Buffer): NegotiateProtocolVersion {
  const reader = new BodyReader(BackendType.negotiateProtocolVersion, body)
  const version = reader.uint32()
  const count = reader.int32()
  if (count < 0 || count > reader.remaining) reader.fail('a count that its body cannot hold')
  const unknownOptions: string[] = []
  for (let index = 0; index < count; index++) unknownOptions.push(reader.text())
  reader.end()
  return { kind: 'NegotiateProtocolVersion', version, unknownOptions }
}

/** Writes a whole NegotiateProtocolVersion message. */
export function encodeNegotiateProtocolVersion(message: Fields<NegotiateProtocolVersion>): Buffer {
  const { version, unknownOptions } = message
  const bytes = unknownOptions.reduce((sum, name) => sum + textBytes(name), 8)
  const writer = new FrameWriter(BackendType.negotiateProtocolVersion, bytes)
  writer.uint32(version).int32(unknownOptions.length)
  for (const name of unknownOptions) writer.text(name)
  return writer.finish()
}

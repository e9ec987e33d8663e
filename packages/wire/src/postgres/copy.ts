import { BodyReader } from './body-reader.ts'
import { FrameWriter, encodeBytes, encodeEmpty, encodeText, int16sBytes } from './frame-writer.ts'
import { BackendType, FrontendType } from './message-types.ts'

/** A piece of a COPY stream, in either direction. It need not end where a row ends. */
export interface CopyData {
  readonly kind: 'CopyData'
  readonly data: Buffer
}

/** The COPY stream is complete. */
export interface CopyDone {
  readonly kind: 'CopyDone'
}

/** Downstream gives the COPY up. */
export interface CopyFail {
  readonly kind: 'CopyFail'
  readonly reason: string
}

/** Upstream begins a COPY: in takes rows from downstream, out sends them, both is replication. */
export interface CopyResponse {
  readonly kind: 'CopyInResponse' | 'CopyOutResponse' | 'CopyBothResponse'
  /** 0 is text or CSV, 1 is binary. */
  readonly format: number
  readonly columnFormats: readonly number[]
}

/** Reads the body of a CopyData. It has the same type byte in both directions, as CopyDone has. */
export function decodeCopyData(body: Buffer): CopyData {
  return { kind: 'CopyData', data: body }
}

/** Writes a whole CopyData message. */
export function encodeCopyData(data: Buffer): Buffer {
  return encodeBytes(FrontendType.copyData, data)
}

/** Writes a whole CopyDone message. */
export function encodeCopyDone(): Buffer {
  return encodeEmpty(FrontendType.copyDone)
}

/** Reads the body of a CopyFail. */
export function decodeCopyFail(body: Buffer): CopyFail {
  const reader = new BodyReader(FrontendType.copyFail, body)
  const reason = reader.text()
  reader.end()
  return { kind: 'CopyFail', reason }
}

/** Writes a whole CopyFail message. */
export function encodeCopyFail(reason: string): Buffer {
  return encodeText(FrontendType.copyFail, reason)
}

const responseTypes = {
  CopyInResponse: BackendType.copyInResponse,
  CopyOutResponse: BackendType.copyOutResponse,
  CopyBothResponse: BackendType.copyBothResponse,
} as const

/** Reads the body of a CopyInResponse, CopyOutResponse or CopyBothResponse. */
export function decodeCopyResponse(kind: CopyResponse['kind'], body: Buffer): CopyResponse {
  const reader = new BodyReader(responseTypes[kind], body)
  const format = reader.byte()
  if (format > 1) reader.fail('an unknown COPY format')
  const columnFormats = reader.int16s()
  reader.end()
  return { kind, format, columnFormats }
}

/** Writes a whole CopyInResponse, CopyOutResponse or CopyBothResponse. */
export function encodeCopyResponse(response: CopyResponse): Buffer {
  const { kind, format, columnFormats } = response
  const writer = new FrameWriter(responseTypes[kind], 1 + int16sBytes(columnFormats))
  return writer.byte(format).int16s(columnFormats).finish()
}

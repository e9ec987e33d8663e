import { WireError } from '../wire-error.ts'
import { BodyReader } from './body-reader.ts'
import { type Fields, FrameWriter, textBytes } from './frame-writer.ts'
import { BackendType } from './message-types.ts'

/** Parts of an error or notice by their letter, in the order of the wire: S severity, C code, M message, D detail, H hint. */
export type DiagnosticFields = ReadonlyMap<string, string>

/** A command failed. */
export interface ErrorResponse {
  readonly kind: 'ErrorResponse'
  readonly fields: DiagnosticFields
}

/** A warning or a message for people. */
export interface NoticeResponse {
  readonly kind: 'NoticeResponse'
  readonly fields: DiagnosticFields
}

/** What LISTEN waits for. */
export interface NotificationResponse {
  readonly kind: 'NotificationResponse'
  readonly processId: number
  readonly channel: string
  readonly payload: string
}

/** Reads the body of an ErrorResponse. */
export function decodeErrorResponse(body: Buffer): ErrorResponse {
  return { kind: 'ErrorResponse', fields: decodeFields(BackendType.errorResponse, body) }
}

/** Writes a whole ErrorResponse message. */
export function encodeErrorResponse(fields: DiagnosticFields): Buffer {
  return encodeFields(BackendType.errorResponse, fields)
}

/** Reads the body of a NoticeResponse. */
export function decodeNoticeResponse(body: Buffer): NoticeResponse {
  return { kind: 'NoticeResponse', fields: decodeFields(BackendType.noticeResponse, body) }
}

/** Writes a whole NoticeResponse message. */
export function encodeNoticeResponse(fields: DiagnosticFields): Buffer {
  return encodeFields(BackendType.noticeResponse, fields)
}

/** Reads the body of a NotificationResponse. */
export function decodeNotificationResponse(body: Buffer): NotificationResponse {
  const reader = new BodyReader(BackendType.notificationResponse, body)
  const processId = reader.uint32()
  const channel = reader.text()
  const payload = reader.text()
  reader.end()
  return { kind: 'NotificationResponse', processId, channel, payload }
}

/** Writes a whole NotificationResponse message. */
export function encodeNotificationResponse(message: Fields<NotificationResponse>): Buffer {
  const { processId, channel, payload } = message
  const bytes = 4 + textBytes(channel) + textBytes(payload)
  const writer = new FrameWriter(BackendType.notificationResponse, bytes)
  return writer.uint32(processId).text(channel).text(payload).finish()
}

function decodeFields(type: number, body: Buffer): DiagnosticFields {
  const reader = new BodyReader(type, body)
  const fields = new Map<string, string>()
  for (let byte = reader.byte(); byte !== 0; byte = reader.byte()) {
    const letter = String.fromCharCode(byte)
    // A map keeps one of two: the other would pass unseen, and so unmasked, where the message is forwarded as it came.
    if (fields.has(letter)) reader.fail('a field that stands twice in one message')
    fields.set(letter, reader.text())
  }
  reader.end()
  return fields
}

function encodeFields(type: number, fields: DiagnosticFields): Buffer {
  let bytes = 1
  for (const [letter, text] of fields) {
    const code = letter.charCodeAt(0)
    if (letter.length !== 1 || code === 0 || code > 255) {
      throw new WireError('malformed', 'a field whose name is not one byte', type)
    }
    bytes += 1 + textBytes(text)
  }
  const writer = new FrameWriter(type, bytes)
  for (const [letter, text] of fields) writer.byte(letter.charCodeAt(0)).text(text)
  return writer.byte(0).finish()
}

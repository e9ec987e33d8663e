import { WireError } from '../wire-error.ts'
import { type Authentication, decodeAuthentication, encodeAuthentication } from './auth.ts'
import { BodyReader } from './body-reader.ts'
import {
  type CopyData,
  type CopyDone,
  type CopyResponse,
  decodeCopyData,
  decodeCopyResponse,
  encodeCopyData,
  encodeCopyDone,
  encodeCopyResponse,
} from './copy.ts'
import * as diagnostic from './diagnostic.ts'
import { BackendType } from './message-types.ts'
import * as response from './response.ts'
import * as session from './session.ts'

/** Every message from upstream to downstream. */
export type BackendMessage =
  | Authentication
  | session.BackendKeyData
  | session.ParameterStatus
  | session.ReadyForQuery
  | session.NegotiateProtocolVersion
  | response.RowDescription
  | response.ParameterDescription
  | response.DataRow
  | response.CommandComplete
  | response.FunctionCallResponse
  | response.BareResponse
  | diagnostic.ErrorResponse
  | diagnostic.NoticeResponse
  | diagnostic.NotificationResponse
  | CopyResponse
  | CopyData
  | CopyDone

type Decode = (body: Buffer) => BackendMessage

const decoders: ReadonlyMap<number, Decode> = new Map<number, Decode>([
  [BackendType.authentication, decodeAuthentication],
  [BackendType.backendKeyData, session.decodeBackendKeyData],
  [BackendType.parameterStatus, session.decodeParameterStatus],
  [BackendType.readyForQuery, session.decodeReadyForQuery],
  [BackendType.negotiateProtocolVersion, session.decodeNegotiateProtocolVersion],
  [BackendType.rowDescription, response.decodeRowDescription],
  [BackendType.parameterDescription, response.decodeParameterDescription],
  [BackendType.dataRow, response.decodeDataRow],
  [BackendType.commandComplete, response.decodeCommandComplete],
  [BackendType.functionCallResponse, response.decodeFunctionCallResponse],
  [BackendType.emptyQueryResponse, bare('EmptyQueryResponse')],
  [BackendType.noData, bare('NoData')],
  [BackendType.parseComplete, bare('ParseComplete')],
  [BackendType.bindComplete, bare('BindComplete')],
  [BackendType.closeComplete, bare('CloseComplete')],
  [BackendType.portalSuspended, bare('PortalSuspended')],
  [BackendType.errorResponse, diagnostic.decodeErrorResponse],
  [BackendType.noticeResponse, diagnostic.decodeNoticeResponse],
  [BackendType.notificationResponse, diagnostic.decodeNotificationResponse],
  [BackendType.copyInResponse, (body) => decodeCopyResponse('CopyInResponse', body)],
  [BackendType.copyOutResponse, (body) => decodeCopyResponse('CopyOutResponse', body)],
  [BackendType.copyBothResponse, (body) => decodeCopyResponse('CopyBothResponse', body)],
  [BackendType.copyData, decodeCopyData],
  [BackendType.copyDone, decodeCopyDone],
])

/** Reads one message. Values share memory with `body`; a type that does not exist is malformed. */
export function decodeBackend(type: number, body: Buffer): BackendMessage {
  const decode = decoders.get(type)
  if (decode === undefined) throw new WireError('malformed', 'an unknown type of message', type)
  return decode(body)
}

/** Writes one message with its type and length. */
export function encodeBackend(message: BackendMessage): Buffer {
  switch (message.kind) {
    case 'BackendKeyData':
      return session.encodeBackendKeyData(message)
    case 'ParameterStatus':
      return session.encodeParameterStatus(message)
    case 'ReadyForQuery':
      return session.encodeReadyForQuery(message.status)
    case 'NegotiateProtocolVersion':
      return session.encodeNegotiateProtocolVersion(message)
    case 'RowDescription':
      return response.encodeRowDescription(message.columns)
    case 'ParameterDescription':
      return response.encodeParameterDescription(message.typeOids)
    case 'DataRow':
      return response.encodeDataRow(message.values)
    case 'CommandComplete':
      return response.encodeCommandComplete(message.tag)
    case 'FunctionCallResponse':
      return response.encodeFunctionCallResponse(message.value)
    case 'ErrorResponse':
      return diagnostic.encodeErrorResponse(message.fields)
    case 'NoticeResponse':
      return diagnostic.encodeNoticeResponse(message.fields)
    case 'NotificationResponse':
      return diagnostic.encodeNotificationResponse(message)
    case 'CopyInResponse':
    case 'CopyOutResponse':
    case 'CopyBothResponse':
      return encodeCopyResponse(message)
    case 'CopyData':
      return encodeCopyData(message.data)
    case 'CopyDone':
      return encodeCopyDone()
    case 'EmptyQueryResponse':
    case 'NoData':
    case 'ParseComplete':
    case 'BindComplete':
    case 'CloseComplete':
    case 'PortalSuspended':
      return response.encodeBareResponse(message.kind)
    case 'AuthenticationOk':
    case 'AuthenticationCleartextPassword':
    case 'AuthenticationMD5Password':
    case 'AuthenticationSASL':
    case 'AuthenticationSASLContinue':
    case 'AuthenticationSASLFinal':
    case 'AuthenticationUnsupported':
      return encodeAuthentication(message)
  }
}

function bare(kind: response.BareResponse['kind']): Decode {
  return (body) => response.decodeBareResponse(kind, body)
}

function decodeCopyDone(body: Buffer): CopyDone {
  new BodyReader(BackendType.copyDone, body).end()
  return { kind: 'CopyDone' }
}

import { WireError } from '../wire-error.ts'
import { type PasswordMessage, decodePasswordMessage, encodeSaslResponse } from './auth.ts'
import { BodyReader } from './body-reader.ts'
import {
  type CopyData,
  type CopyDone,
  type CopyFail,
  decodeCopyData,
  decodeCopyFail,
  encodeCopyData,
  encodeCopyDone,
  encodeCopyFail,
} from './copy.ts'
import { FrontendType } from './message-types.ts'
import * as query from './query.ts'
import { type Terminate, encodeTerminate } from './session.ts'

/** Every typed message from downstream to upstream. */
export type FrontendMessage =
  | query.Query
  | query.Parse
  | query.Bind
  | query.Describe
  | query.Execute
  | query.Close
  | query.Flush
  | query.Sync
  | query.FunctionCall
  | CopyData
  | CopyDone
  | CopyFail
  | PasswordMessage
  | Terminate

/** Reads one message. Values share memory with `body`; a type that does not exist is malformed. */
export function decodeFrontend(type: number, body: Buffer): FrontendMessage {
  switch (type) {
    case FrontendType.query:
      return query.decodeQuery(body)
    case FrontendType.parse:
      return query.decodeParse(body)
    case FrontendType.bind:
      return query.decodeBind(body)
    case FrontendType.describe:
      return query.decodeDescribe(body)
    case FrontendType.execute:
      return query.decodeExecute(body)
    case FrontendType.close:
      return query.decodeClose(body)
    case FrontendType.flush:
      return decodeBare('Flush', type, body)
    case FrontendType.sync:
      return decodeBare('Sync', type, body)
    case FrontendType.functionCall:
      return query.decodeFunctionCall(body)
    case FrontendType.copyData:
      return decodeCopyData(body)
    case FrontendType.copyDone:
      return decodeBare('CopyDone', type, body)
    case FrontendType.copyFail:
      return decodeCopyFail(body)
    case FrontendType.password:
      return decodePasswordMessage(body)
    case FrontendType.terminate:
      return decodeBare('Terminate', type, body)
    default:
      throw new WireError('malformed', 'an unknown type of message', type)
  }
}

/** Writes one message with its type and length. */
export function encodeFrontend(message: FrontendMessage): Buffer {
  switch (message.kind) {
    case 'Query':
      return query.encodeQuery(message.text)
    case 'Parse':
      return query.encodeParse(message)
    case 'Bind':
      return query.encodeBind(message)
    case 'Describe':
      return query.encodeDescribe(message)
    case 'Execute':
      return query.encodeExecute(message)
    case 'Close':
      return query.encodeClose(message)
    case 'Flush':
      return query.encodeFlush()
    case 'Sync':
      return query.encodeSync()
    case 'FunctionCall':
      return query.encodeFunctionCall(message)
    case 'CopyData':
      return encodeCopyData(message.data)
    case 'CopyDone':
      return encodeCopyDone()
    case 'CopyFail':
      return encodeCopyFail(message.reason)
    case 'PasswordMessage':
      return encodeSaslResponse(message.data)
    case 'Terminate':
      return encodeTerminate()
  }
}

type BareKind = 'Flush' | 'Sync' | 'CopyDone' | 'Terminate'

function decodeBare(kind: BareKind, type: number, body: Buffer): { readonly kind: BareKind } {
  new BodyReader(type, body).end()
  return { kind }
}

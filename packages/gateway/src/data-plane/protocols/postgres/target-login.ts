import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { randomBytes } from 'node:crypto'
import {
  md5Password,
  SallyportError,
  ScramClientExchange,
  tlsServerEndPoint,
} from '@sallyport/core'
import {
  decodeBackend,
  encodePassword,
  encodeSaslInitialResponse,
  encodeSaslResponse,
  encodeStartupMessage,
  type BackendMessage,
} from '@sallyport/wire'
import type { ConnectionConfig } from '../../../boundary/snapshot.ts'
import type { TargetCancelKey } from '../../../target/cancel-target.ts'
import { dialMsMax, reach, secure } from '../../../target/reach-target.ts'
import { FrameSource } from './frame-source.ts'

/** A target that is logged in and idle: `ReadyForQuery` has been read, and nothing else is under way. */
export interface Target {
  readonly socket: Socket
  /** The connection below TLS; the same as `socket` without it. */
  readonly wire: Socket
  readonly parameters: ReadonlyMap<string, string>
  readonly cancelKey: TargetCancelKey
  /** Notices that the target sent while logging in, as they came. */
  readonly notices: readonly Buffer[]
  /** Bytes that came after `ReadyForQuery`. */
  readonly rest: Buffer
}

/** No login message of a target is near this. */
const loginMessageBytesMax = 1024 * 1024

/** Opens one connection to the target with the gateway's own credential. Throws a SallyportError that says which part failed. */
export async function dialTarget(
  config: ConnectionConfig,
  parameters: ReadonlyMap<string, string>,
): Promise<Target> {
  const wire = await reach(config)
  const socket = await secure(wire, config)
  try {
    return { wire, ...(await logIn(socket, config, parameters)) }
  } catch (error) {
    socket.destroy()
    throw error
  }
}

async function logIn(
  socket: Socket,
  config: ConnectionConfig,
  asked: ReadonlyMap<string, string>,
): Promise<Omit<Target, 'wire'>> {
  const { user, password } = config.login
  const source = new FrameSource(socket, loginMessageBytesMax, dialMsMax)
  socket.write(encodeStartupMessage(new Map([['user', user], ...asked])))

  const parameters = new Map<string, string>()
  const notices: Buffer[] = []
  let cancelKey = { processId: 0, secretKey: Buffer.alloc(4) }
  let scram: ScramClientExchange | undefined
  for (;;) {
    const frame = await source.next().catch((cause: unknown) => {
      throw new SallyportError('SP_TARGET_CLOSED', `logging in at ${config.name}`, { cause })
    })
    const message = decodeBackend(frame.readUInt8(0), frame.subarray(5))
    switch (message.kind) {
      case 'AuthenticationOk':
        break
      case 'AuthenticationCleartextPassword':
        // In plain text a password would be anyone's, so only an operator who chose `tls: off` for a target on this machine sends it so.
        if (!('encrypted' in socket) && !isLocal(config.target.host)) {
          throw new SallyportError(
            'SP_TARGET_LOGIN',
            `${config.name} asks for a password in plain text`,
          )
        }
        socket.write(encodePassword(password))
        break
      case 'AuthenticationMD5Password':
        socket.write(encodePassword(md5Password(user, password, Buffer.from(message.salt))))
        break
      case 'AuthenticationSASL': {
        scram = new ScramClientExchange({
          password,
          clientNonce: randomBytes(18).toString('base64'),
          offered: message.mechanisms,
          ...channelBinding(socket),
        })
        const first = scram.first()
        socket.write(
          encodeSaslInitialResponse({
            mechanism: first.mechanism,
            data: Buffer.from(first.message),
          }),
        )
        break
      }
      case 'AuthenticationSASLContinue': {
        if (scram === undefined) throw badLogin(config, message)
        socket.write(encodeSaslResponse(Buffer.from(await scram.continue(message.data.toString()))))
        break
      }
      case 'AuthenticationSASLFinal':
        if (scram?.final(message.data.toString()) !== true) throw badLogin(config, message)
        break
      case 'ParameterStatus':
        parameters.set(message.name, message.value)
        break
      case 'BackendKeyData':
        cancelKey = { processId: message.processId, secretKey: Buffer.from(message.key) }
        break
      case 'NoticeResponse':
        notices.push(Buffer.from(frame))
        break
      case 'ReadyForQuery':
        return { socket, parameters, cancelKey, notices, rest: source.release() }
      case 'ErrorResponse':
        throw targetError(config, message.fields)
      case 'AuthenticationUnsupported':
      case 'BindComplete':
      case 'CloseComplete':
      case 'CommandComplete':
      case 'CopyBothResponse':
      case 'CopyData':
      case 'CopyDone':
      case 'CopyInResponse':
      case 'CopyOutResponse':
      case 'DataRow':
      case 'EmptyQueryResponse':
      case 'FunctionCallResponse':
      case 'NegotiateProtocolVersion':
      case 'NoData':
      case 'NotificationResponse':
      case 'ParameterDescription':
      case 'ParseComplete':
      case 'PortalSuspended':
      case 'RowDescription':
        throw badLogin(config, message)
    }
  }
}

function channelBinding(socket: Socket): { channelBinding?: Buffer } {
  if (!('getPeerX509Certificate' in socket)) return {}
  const certificate = (socket as TLSSocket).getPeerX509Certificate()
  return certificate === undefined ? {} : { channelBinding: tlsServerEndPoint(certificate.raw) }
}

/** Class 28 is the gateway's own credential; a missing database (3D000) is the caller's to mend, so they are told. */
function targetError(
  config: ConnectionConfig,
  fields: ReadonlyMap<string, string>,
): SallyportError {
  const state = fields.get('C') ?? ''
  const message = `${config.name} said ${state}: ${fields.get('M') ?? ''}`
  if (state.startsWith('28')) return new SallyportError('SP_TARGET_LOGIN', message)
  const detail =
    state === '3D000' || state === '53300' || state.startsWith('57P') ? fields.get('M') : undefined
  return new SallyportError(
    'SP_TARGET_UNREACHABLE',
    message,
    detail === undefined ? {} : { detail },
  )
}

function isLocal(host: string): boolean {
  return host.startsWith('/') || host === 'localhost' || host === '::1' || host.startsWith('127.')
}

function badLogin(config: ConnectionConfig, message: BackendMessage): SallyportError {
  return new SallyportError(
    'SP_TARGET_LOGIN',
    `unexpected ${message.kind} while logging in at ${config.name}`,
  )
}

import { connect as connectTcp, isIP, type Socket } from 'node:net'
import { connect as connectTls, type TLSSocket } from 'node:tls'
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
  encodeSslRequest,
  encodeStartupMessage,
  type BackendMessage,
} from '@sallyport/wire'
import type { ConnectionConfig } from '../../../boundary/snapshot.ts'
import { FrameSource } from './frame-source.ts'

/** A target that is logged in and idle: `ReadyForQuery` has been read, and nothing else is under way. */
export interface Target {
  readonly socket: Socket
  /** The connection below TLS; the same as `socket` without it. */
  readonly wire: Socket
  readonly parameters: ReadonlyMap<string, string>
  readonly cancelKey: { readonly processId: number; readonly secretKey: Buffer }
  /** Notices that the target sent while logging in, as they came. */
  readonly notices: readonly Buffer[]
  /** Bytes that came after `ReadyForQuery`. */
  readonly rest: Buffer
}

/** A target that doesn't answer within this is unreachable: long enough for a slow fork, short enough for a person. */
const dialMsMax = 10_000

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

/** Connects, without TLS or login. */
export async function reach(config: ConnectionConfig): Promise<Socket> {
  const { host, port } = config.target
  const socket = host.startsWith('/')
    ? connectTcp({ path: `${host}/.s.PGSQL.${port}` })
    : connectTcp({ host, port, noDelay: true, keepAlive: true })
  return await new Promise<Socket>((resolve, reject) => {
    const fail = (cause: unknown): void => {
      socket.destroy()
      reject(
        new SallyportError('SP_TARGET_UNREACHABLE', `dialling ${config.name} at ${host}:${port}`, {
          cause,
          detail: `The connection ${config.name} could not be opened.`,
        }),
      )
    }
    const timer = setTimeout(() => fail(new Error(`no answer in ${dialMsMax} ms`)), dialMsMax)
    socket.once('error', fail)
    socket.once('connect', () => {
      clearTimeout(timer)
      socket.off('error', fail)
      resolve(socket)
    })
  })
}

/** Negotiates TLS as the connection asks (protocol section 54.2.10). */
export async function secure(socket: Socket, config: ConnectionConfig): Promise<Socket> {
  const { mode, ca } = config.tls
  if (mode === 'off' || config.target.host.startsWith('/')) return socket
  const fail = (cause: unknown, detail: string): SallyportError => {
    socket.destroy()
    return new SallyportError('SP_TARGET_TLS', `securing ${config.name}`, { cause, detail })
  }
  socket.write(encodeSslRequest())
  const answer = await firstByte(socket).catch((error: unknown) => {
    throw fail(error, 'The target hung up while TLS was asked for.')
  })
  if (answer !== 0x53) {
    throw fail(undefined, 'The target does not offer TLS, and this connection requires it.')
  }
  return await new Promise<TLSSocket>((resolve, reject) => {
    const { host } = config.target
    const secured = connectTls({
      socket,
      ...(isIP(host) === 0 ? { servername: host } : {}),
      host,
      ...(ca === undefined ? {} : { ca }),
      rejectUnauthorized: mode === 'full' || mode === 'ca',
      ...(mode === 'ca' ? { checkServerIdentity: () => undefined } : {}),
      ALPNProtocols: ['postgresql'],
    })
    secured.once('error', (error) => {
      reject(fail(error, `The certificate check said: ${error.message}`))
    })
    secured.once('secureConnect', () => {
      secured.removeAllListeners('error')
      resolve(secured)
    })
  })
}

async function firstByte(socket: Socket): Promise<number> {
  return await new Promise<number>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('no answer')), dialMsMax)
    const settle = (act: () => void): void => {
      clearTimeout(timer)
      socket.off('readable', onReadable)
      socket.off('error', onError)
      socket.off('end', onEnd)
      act()
    }
    const onReadable = (): void => {
      const byte: unknown = socket.read(1)
      if (Buffer.isBuffer(byte)) settle(() => resolve(byte[0] ?? 0))
    }
    const onError = (error: Error): void => settle(() => reject(error))
    const onEnd = (): void => settle(() => reject(new Error('closed')))
    socket.on('readable', onReadable)
    socket.once('error', onError)
    socket.once('end', onEnd)
  })
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

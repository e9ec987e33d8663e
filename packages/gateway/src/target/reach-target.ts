import { connect as connectTcp, isIP, type Socket } from 'node:net'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { SallyportError } from '@sallyport/core'
import { encodeSslRequest } from '@sallyport/wire'
import type { TargetPlace } from '../boundary/snapshot.ts'

/** A target that doesn't answer within this is unreachable: long enough for a slow fork, short enough for a person. */
export const dialMsMax = 10_000

/** Connects, without TLS or login. Rejects with `SP_TARGET_UNREACHABLE`. */
export async function reach(place: TargetPlace): Promise<Socket> {
  const { host, port } = place.target
  const socket = host.startsWith('/')
    ? connectTcp({ path: `${host}/.s.PGSQL.${port}` })
    : connectTcp({ host: place.address ?? host, port, noDelay: true, keepAlive: true })
  return await new Promise<Socket>((resolve, reject) => {
    const fail = (cause: unknown): void => {
      clearTimeout(timer)
      socket.destroy()
      reject(
        new SallyportError('SP_TARGET_UNREACHABLE', `dialling ${place.name} at ${host}:${port}`, {
          cause,
          detail: `The connection ${place.name} could not be opened.`,
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

/** Negotiates TLS as the connection asks (protocol section 54.2.10). Rejects with `SP_TARGET_TLS`. */
export async function secure(socket: Socket, place: TargetPlace): Promise<Socket> {
  const { mode, ca } = place.tls
  if (mode === 'off' || place.target.host.startsWith('/')) return socket
  const fail = (cause: unknown, detail: string): SallyportError => {
    socket.destroy()
    return new SallyportError('SP_TARGET_TLS', `securing ${place.name}`, { cause, detail })
  }
  socket.write(encodeSslRequest())
  const answer = await firstByte(socket).catch((error: unknown) => {
    throw fail(error, 'The target hung up while TLS was asked for.')
  })
  if (answer !== 0x53) {
    throw fail(undefined, 'The target does not offer TLS, and this connection requires it.')
  }
  return await new Promise<TLSSocket>((resolve, reject) => {
    const { host } = place.target
    const secured = connectTls({
      socket,
      ...(isIP(host) === 0 ? { servername: host } : {}),
      host,
      ...(ca === undefined ? {} : { ca }),
      rejectUnauthorized: mode === 'full' || mode === 'ca',
      ...(mode === 'ca' ? { checkServerIdentity: () => undefined } : {}),
      ALPNProtocols: ['postgresql'],
    })
    const timer = setTimeout(() => {
      secured.destroy()
      reject(fail(undefined, 'The target did not finish the TLS handshake.'))
    }, dialMsMax)
    secured.once('error', (error) => {
      clearTimeout(timer)
      reject(fail(error, `The certificate check said: ${error.message}`))
    })
    secured.once('secureConnect', () => {
      clearTimeout(timer)
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

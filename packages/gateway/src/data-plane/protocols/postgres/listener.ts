import { X509Certificate } from 'node:crypto'
import type { Socket } from 'node:net'
import { createSecureContext, TLSSocket, type SecureContext } from 'node:tls'
import { SallyportError, tlsServerEndPoint } from '@sallyport/core'
import { decodeStartupPacket, sniffFirstBytes, WireError } from '@sallyport/wire'
import type { WorkerConfig } from '../../../boundary/messages.ts'
import { answerLink, linkLineBytesMax, linkProtocol, readLink, type Link } from './link.ts'
import { openSession, type Arrival, type PostgresWorker } from './login.ts'
import { fatalErrorOf } from './refuse.ts'

/** What the listener needs beside the worker: how it secures a connection, and where foreign cancel keys go. */
export interface ListenerTls {
  readonly context: SecureContext
  readonly channelBinding: Buffer
  readonly isRequired: boolean
}

export function listenerTls(config: WorkerConfig): ListenerTls {
  const { cert, key } = config.tls
  return {
    context: createSecureContext({ cert, key, minVersion: 'TLSv1.2' }),
    channelBinding: tlsServerEndPoint(new X509Certificate(cert).raw),
    isRequired: config.tlsRequired,
  }
}

/** Serves one accepted socket up to the start of its session. Never throws: a failure is the caller's to read, and ends here. */
export async function serveSocket(
  socket: Socket,
  worker: PostgresWorker,
  tls: ListenerTls,
): Promise<void> {
  const onError = (): void => void socket.destroy()
  socket.on('error', onError)
  const timer = setTimeout(() => socket.destroy(), worker.limits.loginMsMax)
  let current = socket
  try {
    const arrival = await receive(socket, tls, worker, (secured) => {
      current = secured
    })
    if (arrival === undefined) return
    await openSession(arrival, worker)
  } catch (error) {
    const known = asKnown(error)
    worker.meter.refused(known.code)
    worker.log.info({
      event: 'login.refused',
      code: known.code,
      reason: known.message,
      source: socket.remoteAddress,
    })
    if (!current.destroyed) current.end(fatalErrorOf(known))
    setTimeout(() => socket.destroy(), lingerMsMax).unref()
  } finally {
    clearTimeout(timer)
    if (current !== socket || current.destroyed) current.on('error', onError)
  }
}

/** A refused caller gets this long to read why. */
const lingerMsMax = 2_000

/** Reads packets until a StartupMessage, through TLS where it is asked for (protocol sections 54.2.1, 54.2.10 and 54.2.11). */
async function receive(
  accepted: Socket,
  tls: ListenerTls,
  worker: PostgresWorker,
  onSecured: (socket: TLSSocket) => void,
): Promise<Arrival | undefined> {
  let socket = accepted
  let isTls = false
  let link: Link | undefined
  let bytes: Buffer = Buffer.alloc(0)
  for (;;) {
    const chunk = await nextChunk(socket)
    if (chunk === undefined) return undefined
    bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk])
    const first = sniffFirstBytes(bytes)
    if (first === 'tls' && !isTls) {
      const secured = await secureSocket(accepted, bytes, tls, onSecured)
      socket = secured
      isTls = true
      bytes = Buffer.alloc(0)
      if (secured.alpnProtocol === linkProtocol) {
        link = await receiveLink(secured, worker)
        if (link === undefined) return undefined
      }
      continue
    }
    if (first === 'http') {
      socket.end(httpAnswer)
      return undefined
    }
    const decoded = decodeStartupPacket(bytes, worker.limits.startupBytesMax)
    if (decoded === undefined) continue
    const { packet } = decoded
    const rest = bytes.subarray(decoded.bytes)
    bytes = Buffer.alloc(0)
    switch (packet.kind) {
      case 'SSLRequest':
        if (isTls) throw new SallyportError('SP_PROTOCOL', 'SSLRequest inside TLS')
        if (rest.length > 0)
          throw new SallyportError('SP_PROTOCOL', 'bytes behind SSLRequest in plain text')
        socket.write('S')
        socket = await secureSocket(accepted, undefined, tls, onSecured)
        isTls = true
        break
      case 'GSSENCRequest':
        socket.write('N')
        break
      case 'CancelRequest': {
        const key = { processId: packet.processId, secret: packet.key.toString('base64') }
        socket.end()
        const isOurs = await worker.cancels.cancel(key).catch(() => true)
        if (!isOurs) worker.tell({ kind: 'cancel', worker: worker.worker, key })
        return undefined
      }
      case 'StartupMessage':
        if (rest.length > 0)
          throw new SallyportError('SP_PROTOCOL', 'bytes before the login was asked for')
        if (!isTls && tls.isRequired) throw new SallyportError('SP_TLS_REQUIRED', 'plain text')
        return {
          socket,
          startup: packet,
          isTls,
          channelBinding: isTls ? tls.channelBinding : undefined,
          link,
        }
    }
  }
}

const directProtocols: ReadonlySet<string | false | null> = new Set(['postgresql', linkProtocol])

/** The broker's login, answered. Nothing where it is refused, which it has read in its own form then. */
async function receiveLink(socket: TLSSocket, worker: PostgresWorker): Promise<Link | undefined> {
  try {
    const link = await readLink(await firstLine(socket), worker.agents, worker.now())
    answerLink(socket)
    return link
  } catch (error) {
    const known = asKnown(error)
    worker.meter.refused(known.code)
    worker.log.info({ event: 'link.refused', code: known.code, reason: known.message })
    answerLink(socket, known)
    socket.end()
    return undefined
  }
}

/** A broker waits for its answer before it sends more, so whatever stands behind its line is no broker's. */
async function firstLine(socket: TLSSocket): Promise<string> {
  let bytes: Buffer = Buffer.alloc(0)
  for (;;) {
    const chunk = await nextChunk(socket)
    if (chunk === undefined) throw new SallyportError('SP_PROTOCOL', 'a link without a first line')
    bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk])
    const end = bytes.indexOf(10)
    if (end === -1 && bytes.length <= linkLineBytesMax) continue
    if (end === bytes.length - 1) return bytes.toString('utf8', 0, end)
    throw new SallyportError('SP_PROTOCOL', 'a link whose first line is too long, or is not alone')
  }
}

async function secureSocket(
  socket: Socket,
  early: Buffer | undefined,
  tls: ListenerTls,
  onSecured: (socket: TLSSocket) => void,
): Promise<TLSSocket> {
  const isDirect = early !== undefined
  if (early !== undefined) socket.unshift(early)
  const secured = new TLSSocket(socket, {
    isServer: true,
    secureContext: tls.context,
    // Direct TLS needs ALPN (protocol section 54.2.11): it keeps another protocol's bytes from being taken for ours.
    ALPNProtocols: ['postgresql', linkProtocol],
  })
  return await new Promise<TLSSocket>((resolve, reject) => {
    secured.once('secure', () => {
      secured.off('error', reject)
      secured.on('error', () => secured.destroy())
      // From here on even a refusal has to be encrypted to be read.
      onSecured(secured)
      if (isDirect && !directProtocols.has(secured.alpnProtocol)) {
        reject(new SallyportError('SP_PROTOCOL', 'direct TLS without ALPN postgresql'))
      } else resolve(secured)
    })
    secured.once('error', reject)
    secured.once('close', () => reject(new Error('closed during the TLS handshake')))
  })
}

/** The next bytes, or nothing when the peer is gone. Leaves the socket paused. */
async function nextChunk(socket: Socket): Promise<Buffer | undefined> {
  return await new Promise<Buffer | undefined>((resolve) => {
    const settle = (chunk: Buffer | undefined): void => {
      socket.pause()
      socket.off('data', settle)
      socket.off('close', onGone)
      socket.off('end', onGone)
      resolve(chunk)
    }
    const onGone = (): void => settle(undefined)
    if (socket.destroyed || socket.readableEnded) {
      resolve(undefined)
      return
    }
    socket.on('data', settle)
    socket.on('close', onGone)
    socket.on('end', onGone)
    socket.resume()
  })
}

function asKnown(error: unknown): SallyportError {
  if (error instanceof SallyportError) return error
  if (error instanceof WireError) return new SallyportError('SP_PROTOCOL', error.message)
  const cause = error instanceof Error ? error : new Error(String(error))
  return new SallyportError('SP_PROTOCOL', cause.message, { cause })
}

const httpText =
  'This port speaks the PostgreSQL protocol, not HTTP. Use psql or a PostgreSQL driver. (SP_PROTOCOL)\n'
const httpAnswer = `HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: ${httpText.length}\r\n\r\n${httpText}`

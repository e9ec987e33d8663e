import { once } from 'node:events'
import { connect, type TLSSocket } from 'node:tls'
import { ERRORS, SallyportError, type ErrorCode } from '@sallyport/core'
import type { GatewayAddress } from './gateway-address.ts'
import { readOneLine } from './lines.ts'
import type { Evidence } from './processes.ts'

/** What a broker says before the caller's own protocol begins. */
export interface LinkPreface {
  readonly v: 1
  readonly credential: string
  readonly evidence?: Evidence
}

const linkProtocol = 'sallyport-link'
/** A gateway that takes longer is as good as gone: the caller waits for it. */
const linkTimeoutMs = 10_000

/** Opens an encrypted stream to the gateway whose certificate is the pinned one. */
export async function openLink(address: GatewayAddress): Promise<TLSSocket> {
  const { host, port, certSha256 } = address
  const socket = connect({
    host,
    port,
    ALPNProtocols: [linkProtocol],
    minVersion: 'TLSv1.3',
    // A pinned certificate needs no authority and no name; without a pin both are checked.
    rejectUnauthorized: certSha256 === undefined,
  })
  socket.setNoDelay(true)
  socket.setTimeout(linkTimeoutMs, () => socket.destroy(new Error('timed out')))
  try {
    await once(socket, 'secureConnect')
    if (certSha256 !== undefined && fingerprintOf(socket) !== normal(certSha256)) {
      throw new Error('the certificate is not the one that the gateway announced')
    }
    if (socket.alpnProtocol !== linkProtocol) throw new Error('it takes no links')
    return socket
  } catch (cause) {
    socket.destroy()
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new SallyportError('SP_GATEWAY_UNREACHABLE', `gateway at ${host}:${port}: ${why}`, {
      cause,
      detail: `gateway at ${host}:${port}: ${why}`,
    })
  }
}

/** Names the credential and the process, and waits for the gateway's word. The socket is paused afterwards. */
export async function beginLink(socket: TLSSocket, preface: LinkPreface): Promise<void> {
  const answer = readOneLine(socket).catch((cause: unknown) => {
    throw new SallyportError('SP_GATEWAY_UNREACHABLE', 'the gateway closed the link', { cause })
  })
  socket.write(`${JSON.stringify(preface)}\n`)
  const said: unknown = JSON.parse(await answer)
  socket.setTimeout(0)
  if (typeof said === 'object' && said !== null && 'ok' in said && said.ok === true) return
  throw refusalOf(said)
}

function refusalOf(said: unknown): SallyportError {
  const { code, message }: { code?: unknown; message?: unknown } =
    typeof said === 'object' && said !== null ? said : {}
  const words = typeof message === 'string' ? message : 'the gateway refused the link'
  return new SallyportError(isErrorCode(code) ? code : 'SP_LOGIN_REFUSED', words, { detail: words })
}

/** Whether `code` is one of the catalogue. */
export function isErrorCode(code: unknown): code is ErrorCode {
  return typeof code === 'string' && Object.hasOwn(ERRORS, code)
}

function fingerprintOf(socket: TLSSocket): string {
  return normal(socket.getPeerX509Certificate()?.fingerprint256 ?? '')
}

function normal(fingerprint: string): string {
  return fingerprint.replaceAll(':', '').toLowerCase()
}

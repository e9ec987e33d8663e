import { randomBytes } from 'node:crypto'
import type { Socket } from 'node:net'
import {
  mockVerifier,
  SallyportError,
  ScramError,
  ScramServerExchange,
  type CredentialId,
} from '@sallyport/core'
import {
  FrontendType,
  decodeSaslInitialResponse,
  encodeAuthentication,
  frameBody,
  frameType,
} from '@sallyport/wire'
import type { AgentCredential } from '../../../boundary/agents.ts'
import type { AgentIndex } from '../../agents/agent-index.ts'
import { FrameSource } from './frame-source.ts'

/** Dummy verifiers are made from this, so that an unknown id answers like a known one for as long as the worker lives. */
const dummyKey = randomBytes(32)

/** A SASL message is far below this. */
const loginMessageBytesMax = 16 * 1024

export interface LoginInput {
  readonly socket: Socket
  readonly user: string
  readonly agents: AgentIndex
  /** `tls-server-end-point` of the gateway's certificate; absent in plain text. */
  readonly channelBinding: Buffer | undefined
  readonly waitMsMax: number
  readonly nowMs: number
}

/**
 * The caller's SCRAM login (protocol section 54.3) against the stored verifier. Returns the credential, and bytes that came early.
 * An unknown id, a wrong secret and a wrong connection cost the same and read the same.
 */
export async function logInCaller(
  input: LoginInput,
): Promise<{ credential: AgentCredential; rest: Buffer }> {
  const { socket, user, agents, channelBinding } = input
  const dot = user.lastIndexOf('.')
  const credential = agents.credential(user.slice(dot + 1) as CredentialId)
  const isForThis =
    credential !== undefined && user.slice(0, Math.max(dot, 0)) === credential.connection
  const verifier = isForThis ? credential.scram : mockVerifier(user, dummyKey)
  const plusOffered = channelBinding !== undefined
  const mechanisms = plusOffered ? ['SCRAM-SHA-256-PLUS', 'SCRAM-SHA-256'] : ['SCRAM-SHA-256']
  const exchange = new ScramServerExchange({
    verifier,
    serverNonce: randomBytes(18).toString('base64'),
    plusOffered,
    ...(channelBinding === undefined ? {} : { channelBinding }),
  })
  const source = new FrameSource(socket, loginMessageBytesMax, input.waitMsMax)
  try {
    socket.resume()
    socket.write(encodeAuthentication({ kind: 'AuthenticationSASL', mechanisms }))
    const first = decodeSaslInitialResponse(await password(source))
    const challenge = exchange.first(first.mechanism, first.data?.toString() ?? '')
    socket.write(
      encodeAuthentication({ kind: 'AuthenticationSASLContinue', data: Buffer.from(challenge) }),
    )
    const outcome = exchange.final((await password(source)).toString())
    if (!outcome.ok || !isForThis) throw new SallyportError('SP_LOGIN_REFUSED', 'wrong credential')
    if (credential.expiresAtMs <= input.nowMs) {
      throw new SallyportError('SP_CREDENTIAL_EXPIRED', `credential ${credential.id} has expired`)
    }
    socket.write(
      encodeAuthentication({
        kind: 'AuthenticationSASLFinal',
        data: Buffer.from(outcome.serverFinal),
      }),
    )
    return { credential, rest: source.release() }
  } catch (error) {
    source.release()
    if (error instanceof ScramError) {
      throw new SallyportError('SP_LOGIN_REFUSED', error.message, { cause: error })
    }
    throw error
  }
}

async function password(source: FrameSource): Promise<Buffer> {
  const frame = await source.next()
  if (frameType(frame, 0) !== FrontendType.password) {
    throw new SallyportError('SP_PROTOCOL', 'no answer to the login')
  }
  return frameBody(frame, 0)
}

import { timingSafeEqual } from 'node:crypto'
import type { Socket } from 'node:net'
import { SallyportError, scramVerifier, type CredentialId } from '@sallyport/core'
import type { AgentCredential } from '../../../boundary/agents.ts'
import type { AgentIndex } from '../../agents/agent-index.ts'

/** The ALPN name by which a local broker tells its links from drivers that speak TLS at once. */
export const linkProtocol = 'sallyport-link'

/** A credential and evidence about a process take a few kilobytes at most. */
export const linkLineBytesMax = 16 * 1024

/** A login that a broker has made for a program that connected to its socket. */
export interface Link {
  readonly credential: AgentCredential
  /** What the broker saw of the process, as JSON. */
  readonly evidence: string
}

const dummy = {
  salt: Buffer.alloc(16).toString('base64'),
  iterations: 4096,
  storedKey: '',
  serverKey: '',
}

/**
 * Reads the broker's first line, `{"v":1,"credential":"spc_…","evidence":{…}}`, and answers it. The secret travels whole,
 * inside TLS whose certificate the broker has pinned. An unknown id and a wrong secret cost and read the same.
 */
export async function readLink(line: string, agents: AgentIndex, nowMs: number): Promise<Link> {
  const { secret, evidence } = parse(line)
  const credential = agents.credential((secret.split('_')[1] ?? '') as CredentialId)
  const { salt, iterations, storedKey } = credential?.scram ?? dummy
  const made = await scramVerifier(secret, Buffer.from(salt, 'base64'), iterations)
  const expected = Buffer.from(storedKey, 'base64')
  const actual = Buffer.from(made.storedKey, 'base64')
  const isRight = expected.length === actual.length && timingSafeEqual(expected, actual)
  if (credential === undefined || !isRight) {
    throw new SallyportError('SP_LOGIN_REFUSED', 'a link with a wrong credential')
  }
  if (credential.expiresAtMs <= nowMs) {
    throw new SallyportError('SP_CREDENTIAL_EXPIRED', `credential ${credential.id} has expired`)
  }
  return { credential, evidence }
}

/** The answer to a link's first line; where it is refused, the last words on this connection. */
export function answerLink(socket: Socket, error?: SallyportError): void {
  const answer =
    error === undefined
      ? { ok: true }
      : { ok: false, code: error.code, message: error.detail ?? error.message }
  socket.write(`${JSON.stringify(answer)}\n`)
}

function parse(line: string): { secret: string; evidence: string } {
  try {
    const value: unknown = JSON.parse(line)
    if (typeof value === 'object' && value !== null && 'credential' in value) {
      const { credential } = value
      const evidence = 'evidence' in value ? JSON.stringify(value.evidence) : '{}'
      const isKnown = 'v' in value && value.v === 1
      if (isKnown && typeof credential === 'string') return { secret: credential, evidence }
    }
  } catch {
    // Told below, with the other forms that are none.
  }
  throw new SallyportError('SP_PROTOCOL', 'the first line of a link is not what it must be')
}

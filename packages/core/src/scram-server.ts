import { timingSafeEqual } from 'node:crypto'
import {
  CHANNEL_BINDING,
  SCRAM_KEY_BYTES,
  ScramError,
  type ScramVerifier,
  attribute,
  checkNonce,
  decodeBase64,
  hmac,
  sha256,
  xor,
} from './scram.ts'

/** What a login came to. `reason` is for logs: a caller hears the same whatever it is. */
export type ScramOutcome =
  | { readonly ok: true; readonly serverFinal: string }
  | { readonly ok: false; readonly reason: string }

/** The side that checks a password (RFC 5802, RFC 7677). One instance per login; a malformed message is a `ScramError`. */
export class ScramServerExchange {
  readonly #verifier: ScramVerifier
  readonly #serverNonce: string
  readonly #channelBinding: Buffer | undefined
  readonly #plusOffered: boolean
  #opening: Opening | undefined

  /** `channelBinding` is the `tls-server-end-point` of our own certificate; -PLUS cannot be offered without it. */
  constructor(options: {
    readonly verifier: ScramVerifier
    readonly serverNonce: string
    readonly channelBinding?: Buffer
    readonly plusOffered: boolean
  }) {
    this.#verifier = options.verifier
    this.#serverNonce = checkNonce(options.serverNonce)
    this.#channelBinding = options.channelBinding
    this.#plusOffered = options.plusOffered && options.channelBinding !== undefined
  }

  /** Takes the client's first message and returns ours. */
  first(mechanism: string, clientFirst: string): string {
    if (this.#opening !== undefined) throw new ScramError('a second first message')
    const { gs2Header, bare } = splitHeader(clientFirst)
    this.#checkBinding(mechanism, gs2Header)
    const nonce = checkNonce(readBare(bare)) + this.#serverNonce
    const serverFirst = `r=${nonce},s=${this.#verifier.salt},i=${this.#verifier.iterations}`
    this.#opening = { gs2Header, nonce, transcript: `${bare},${serverFirst}` }
    return serverFirst
  }

  /** Takes the client's proof. It can be called once. */
  final(clientFinal: string): ScramOutcome {
    const opening = this.#opening
    if (opening === undefined) throw new ScramError('a final message without a first one')
    this.#opening = undefined
    const { binding, nonce, withoutProof, proof } = readFinal(clientFinal)
    if (nonce !== opening.nonce) return { ok: false, reason: 'another nonce' }
    if (!equal(binding, this.#expectedBinding(opening.gs2Header))) {
      return { ok: false, reason: 'another channel binding' }
    }
    const authMessage = `${opening.transcript},${withoutProof}`
    const storedKey = decodeBase64(this.#verifier.storedKey)
    const clientKey = xor(proof, hmac(storedKey, authMessage))
    if (!equal(sha256(clientKey), storedKey)) return { ok: false, reason: 'a wrong password' }
    const signature = hmac(decodeBase64(this.#verifier.serverKey), authMessage)
    return { ok: true, serverFinal: `v=${signature.toString('base64')}` }
  }

  #checkBinding(mechanism: string, gs2Header: string): void {
    const isPlus = mechanism === 'SCRAM-SHA-256-PLUS'
    if (!isPlus && mechanism !== 'SCRAM-SHA-256') throw new ScramError('an unknown mechanism')
    if (isPlus && !this.#plusOffered) throw new ScramError('a mechanism that was not offered')
    const isBound = gs2Header.startsWith('p=')
    if (isBound !== isPlus) throw new ScramError('channel binding does not fit the mechanism')
    // RFC 5802 section 6: the client could bind and saw no offer. We made one, so somebody took it away.
    if (gs2Header.startsWith('y') && this.#plusOffered) throw new ScramError('a downgrade')
  }

  #expectedBinding(gs2Header: string): Buffer {
    const data = gs2Header.startsWith('p=') ? this.#channelBinding : undefined
    return Buffer.concat([Buffer.from(gs2Header), data ?? Buffer.alloc(0)])
  }
}

interface Opening {
  readonly gs2Header: string
  readonly nonce: string
  readonly transcript: string
}

/** An authorization identity is refused, as PostgreSQL does: nobody acts for somebody else here. */
const gs2Headers = ['n,,', 'y,,', `p=${CHANNEL_BINDING},,`]

function splitHeader(clientFirst: string): { readonly gs2Header: string; readonly bare: string } {
  const gs2Header = gs2Headers.find((header) => clientFirst.startsWith(header))
  if (gs2Header === undefined)
    throw new ScramError('a channel binding header that is not supported')
  return { gs2Header, bare: clientFirst.slice(gs2Header.length) }
}

/** Reads `n=user,r=nonce`. The user counts for nothing, since the startup message named one; extensions may follow. */
function readBare(bare: string): string {
  const parts = bare.split(',')
  if (parts[0]?.startsWith('m=') === true) throw new ScramError('an unknown mandatory extension')
  attribute(parts[0], 'n')
  return attribute(parts[1], 'r')
}

function readFinal(clientFinal: string): {
  readonly binding: Buffer
  readonly nonce: string
  readonly withoutProof: string
  readonly proof: Buffer
} {
  const proofAt = clientFinal.lastIndexOf(',p=')
  if (proofAt === -1) throw new ScramError('the attribute p is missing')
  const withoutProof = clientFinal.slice(0, proofAt)
  const [channel, nonce] = withoutProof.split(',')
  const proof = decodeBase64(clientFinal.slice(proofAt + 3))
  if (proof.length !== SCRAM_KEY_BYTES) throw new ScramError('a proof of another length')
  const binding = decodeBase64(attribute(channel, 'c'))
  return { binding, nonce: attribute(nonce, 'r'), withoutProof, proof }
}

function equal(left: Buffer, right: Buffer): boolean {
  return left.length === right.length && timingSafeEqual(left, right)
}

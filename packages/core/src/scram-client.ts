import { timingSafeEqual } from 'node:crypto'
import {
  CHANNEL_BINDING,
  ScramError,
  type ScramMechanism,
  attribute,
  checkNonce,
  decodeBase64,
  hmac,
  readIterations,
  saltPassword,
  sha256,
  xor,
} from './scram.ts'

/** A target names the count and we do the work: this is seconds of one thread, two thousand times what PostgreSQL asks for. */
export const SCRAM_ITERATIONS_MAX = 10_000_000

/** The side that proves a password (RFC 5802, RFC 7677). One instance per login; a message we cannot accept is a `ScramError`. */
export class ScramClientExchange {
  readonly #password: string
  readonly #clientNonce: string
  readonly #channelBinding: Buffer | undefined
  readonly #mechanism: ScramMechanism
  readonly #gs2Header: string
  readonly #bare: string
  #serverSignature: Buffer | undefined

  /** `channelBinding` is the `tls-server-end-point` of the target's certificate; `offered` its list of mechanisms. */
  constructor(options: {
    readonly password: string
    readonly clientNonce: string
    readonly offered: readonly string[]
    readonly channelBinding?: Buffer
    /** PostgreSQL takes the user from the startup message and ignores this one. */
    readonly user?: string
  }) {
    this.#password = options.password
    this.#clientNonce = checkNonce(options.clientNonce)
    this.#channelBinding = options.channelBinding
    this.#mechanism = chooseScramMechanism(options.offered, options.channelBinding !== undefined)
    this.#gs2Header = gs2Header(this.#mechanism, options.channelBinding !== undefined)
    this.#bare = `n=${saslName(options.user ?? '')},r=${options.clientNonce}`
  }

  first(): { readonly mechanism: ScramMechanism; readonly message: string } {
    return { mechanism: this.#mechanism, message: this.#gs2Header + this.#bare }
  }

  /** Takes the server's first message and returns the proof. */
  async continue(serverFirst: string): Promise<string> {
    const parts = serverFirst.split(',')
    const nonce = checkNonce(attribute(parts[0], 'r'))
    if (!nonce.startsWith(this.#clientNonce) || nonce.length === this.#clientNonce.length) {
      throw new ScramError('a nonce that does not extend ours')
    }
    const salt = decodeBase64(attribute(parts[1], 's'))
    const iterations = readIterations(attribute(parts[2], 'i'), SCRAM_ITERATIONS_MAX)
    const withoutProof = `c=${this.#binding().toString('base64')},r=${nonce}`
    const authMessage = `${this.#bare},${serverFirst},${withoutProof}`
    const salted = await saltPassword(this.#password, salt, iterations)
    const clientKey = hmac(salted, 'Client Key')
    const proof = xor(clientKey, hmac(sha256(clientKey), authMessage))
    this.#serverSignature = hmac(hmac(salted, 'Server Key'), authMessage)
    return `${withoutProof},p=${proof.toString('base64')}`
  }

  /** Whether the server knows the verifier too. False for an error message; a login without this check proves nothing. */
  final(serverFinal: string): boolean {
    const expected = this.#serverSignature
    if (expected === undefined) throw new ScramError('a final message without a first one')
    const [part] = serverFinal.split(',')
    if (part?.startsWith('e=') === true) return false
    const signature = decodeBase64(attribute(part, 'v'))
    return signature.length === expected.length && timingSafeEqual(signature, expected)
  }

  #binding(): Buffer {
    const isPlus = this.#mechanism === 'SCRAM-SHA-256-PLUS'
    const data = isPlus ? this.#channelBinding : undefined
    return Buffer.concat([Buffer.from(this.#gs2Header), data ?? Buffer.alloc(0)])
  }
}

/** The strongest mechanism that both sides have. */
export function chooseScramMechanism(offered: readonly string[], canBind: boolean): ScramMechanism {
  if (canBind && offered.includes('SCRAM-SHA-256-PLUS')) return 'SCRAM-SHA-256-PLUS'
  if (offered.includes('SCRAM-SHA-256')) return 'SCRAM-SHA-256'
  throw new ScramError('no mechanism in common')
}

/** `y` tells the server that we would have bound, so that it notices when its offer was taken away on the way. */
function gs2Header(mechanism: ScramMechanism, canBind: boolean): string {
  if (mechanism === 'SCRAM-SHA-256-PLUS') return `p=${CHANNEL_BINDING},,`
  return canBind ? 'y,,' : 'n,,'
}

function saslName(name: string): string {
  return name.replaceAll('=', '=3D').replaceAll(',', '=2C')
}

import { createHash } from 'node:crypto'
import { SallyportError } from '@sallyport/core'
import { calculateJwkThumbprint, EmbeddedJWK, errors, jwtVerify } from 'jose'
import { leewaySeconds, tokenAlgorithms } from './births/workload/verify-token.ts'

/** A proof is made for one request; a minute allows for slow networks and clocks. */
const ageSecondsMax = 60
const proofCharactersMax = 8192
const idCharactersMax = 256

/** Remembers proofs until they are too old to be taken, also over a restart. */
export interface ProofUses {
  /** False where it was taken before. Atomic. */
  take(id: string, forgetAtMs: number): Promise<boolean>
}

/** What a proof must have been made for. */
export interface ProofTarget {
  readonly method: string
  /** The gateway may be reached by several names; it is one gateway, so a proof is good for one of them, once. */
  readonly urls: readonly string[]
  /** The handle that the request comes with, where it does (RFC 9449, section 7). */
  readonly token?: string
}

/** A proof that is right. */
export interface CheckedProof {
  /** SHA-256 of the key that signed it. */
  readonly thumbprint: string
  /** Rejects where the proof was used already. Anybody can sign proofs, so only those that came with something good are remembered. */
  use(): Promise<void>
}

/** Checks proofs of possession (RFC 9449, section 4.3); each is taken once. */
export class DpopProofs {
  readonly #uses: ProofUses
  readonly #now: () => number

  constructor(uses: ProofUses, now: () => number = Date.now) {
    this.#uses = uses
    this.#now = now
  }

  async check(proof: string, { method, urls, token }: ProofTarget): Promise<CheckedProof> {
    if (proof.length > proofCharactersMax) throw refused('the proof is too large')
    try {
      const { payload, protectedHeader } = await jwtVerify(proof, EmbeddedJWK, {
        algorithms: tokenAlgorithms,
        typ: 'dpop+jwt',
        requiredClaims: ['jti', 'htm', 'htu', 'iat'],
        maxTokenAge: ageSecondsMax,
        clockTolerance: leewaySeconds,
        currentDate: new Date(this.#now()),
      })
      if (payload['htm'] !== method) throw refused('htm is another method')
      if (!urls.includes(withoutQuery(payload['htu'])))
        throw refused(`htu is not ${urls[0] ?? 'here'}`)
      if (token !== undefined && payload['ath'] !== digest(token))
        throw refused('ath is not of this handle')
      const { jwk } = protectedHeader
      // EmbeddedJWK takes public keys only, so the head has one here.
      if (jwk === undefined) throw refused('the proof has no key')
      const thumbprint = await calculateJwkThumbprint(jwk, 'sha256')
      const { jti } = payload
      if (typeof jti !== 'string' || jti.length > idCharactersMax)
        throw refused(`jti is no text of at most ${idCharactersMax} characters`)
      return { thumbprint, use: async () => await this.#takeOnce(`${thumbprint} ${jti}`) }
    } catch (error) {
      if (error instanceof errors.JOSEError) throw refused(error.message)
      throw error
    }
  }

  async #takeOnce(id: string): Promise<void> {
    const forgetAtMs = this.#now() + (ageSecondsMax + 2 * leewaySeconds) * 1000
    if (!(await this.#uses.take(digest(id), forgetAtMs)))
      throw refused('this proof was used already')
  }
}

/** RFC 9449, section 4.3: query and fragment are not compared. */
function withoutQuery(htu: unknown): string {
  if (typeof htu !== 'string' || !URL.canParse(htu)) return ''
  const { origin, pathname } = new URL(htu)
  return origin + pathname
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('base64url')
}

function refused(why: string): SallyportError {
  return new SallyportError('SP_PROOF_REFUSED', why, { detail: why })
}

import { calculateJwkThumbprint, EmbeddedJWK, errors, jwtVerify } from 'jose'
import { OAuthError } from '../oauth/oauth-error.ts'
import { leewaySeconds, tokenAlgorithms } from './verify-token.ts'

/** A proof is made for one request; a minute allows for slow networks and clocks. */
const ageSecondsMax = 60
const proofCharactersMax = 8192
/** Ids are kept until their proof is too old. */
const idCharactersMax = 256
/** Enough for the proofs of one window at a rate that no deployment reaches. */
const seenMax = 50_000

/** A proof that is right. */
export interface CheckedProof {
  /** SHA-256 of the key that signed it. */
  readonly thumbprint: string
  /** Throws where the proof was used already. Anybody can sign proofs, so only those that came with something good are remembered. */
  use(): void
}

/** Checks proofs of possession (RFC 9449, section 4.3); each is taken once. */
export class DpopProofs {
  readonly #seen = new Map<string, number>()
  readonly #now: () => number

  constructor(now: () => number = Date.now) {
    this.#now = now
  }

  /** For this method and address. */
  async check(proof: string, method: string, url: string): Promise<CheckedProof> {
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
      if (withoutQuery(payload['htu']) !== url) throw refused(`htu is not ${url}`)
      const { jwk } = protectedHeader
      // EmbeddedJWK takes public keys only, so the head has one here.
      if (jwk === undefined) throw refused('the proof has no key')
      const thumbprint = await calculateJwkThumbprint(jwk, 'sha256')
      const { jti } = payload
      if (typeof jti !== 'string' || jti.length > idCharactersMax)
        throw refused(`jti is no text of at most ${idCharactersMax} characters`)
      return { thumbprint, use: () => this.#takeOnce(`${thumbprint} ${jti}`) }
    } catch (error) {
      if (error instanceof errors.JOSEError) throw refused(error.message)
      throw error
    }
  }

  #takeOnce(id: string): void {
    const now = this.#now()
    for (const [each, until] of this.#seen) {
      if (until > now) break
      this.#seen.delete(each)
    }
    if (this.#seen.has(id)) throw refused('this proof was used already')
    if (this.#seen.size >= seenMax) throw refused('too many proofs at this moment')
    this.#seen.set(id, now + (ageSecondsMax + 2 * leewaySeconds) * 1000)
  }
}

/** RFC 9449, section 4.3: query and fragment are not compared. */
function withoutQuery(htu: unknown): string {
  if (typeof htu !== 'string' || !URL.canParse(htu)) return ''
  const { origin, pathname } = new URL(htu)
  return origin + pathname
}

function refused(why: string): OAuthError {
  return new OAuthError('invalid_dpop_proof', why)
}

import { readFile } from 'node:fs/promises'
import { SallyportError } from '@sallyport/core'
import {
  createLocalJWKSet,
  errors,
  type JSONWebKeySet,
  type JWTVerifyGetKey,
  type LocalJWKSet,
} from 'jose'
import type { TrustRule } from '../config/identity-config.ts'
import { fetchJson } from './bounded-fetch.ts'

/** GitHub's has 5 keys and 10 KB. */
const keySetBytesMax = 256 * 1024
const discoveryBytesMax = 64 * 1024
const keysMax = 100
/** Issuers publish a new key well before they use it. */
const freshMs = 10 * 60_000
/** A token with an unknown key makes the keys be looked at again, at most this often: anybody can write such a token. */
const cooldownMs = 30_000
/** An issuer that failed is left alone for this long. */
const failureMs = 10_000
/** Keys of an issuer that is down stay good for this long after they were read. */
const staleMs = 3_600_000
/** As many as there are rules; the bound only guards the memory. */
const sourcesMax = 2000

interface Source {
  keys?: LocalJWKSet
  readAtMs: number
  triedAtMs: number
  failure?: Error
  running?: Promise<void>
}

type KeyRule = Pick<TrustRule, 'issuer' | 'keys'>

/** The public keys of issuers, by discovery, from a URL or from a file. */
export class IssuerKeys {
  readonly #sources = new Map<string, Source>()
  readonly #now: () => number

  constructor(now: () => number = Date.now) {
    this.#now = now
  }

  /** Finds the key that a token's head names. Two clusters may share the name of an issuer, so keys are held by rule and place. */
  keyOf(rule: KeyRule): JWTVerifyGetKey {
    return async (head, token) => {
      const source = this.#sourceOf(rule)
      if (this.#now() - source.readAtMs >= freshMs) await this.#renew(source, rule)
      try {
        return await this.#keysOf(source)(head, token)
      } catch (error) {
        if (!(error instanceof errors.JWKSNoMatchingKey)) throw error
        if (this.#now() - source.readAtMs < cooldownMs) throw error
        await this.#renew(source, rule)
        return this.#keysOf(source)(head, token)
      }
    }
  }

  #sourceOf(rule: KeyRule): Source {
    const id = JSON.stringify([rule.issuer, rule.keys])
    const known = this.#sources.get(id)
    if (known !== undefined) return known
    if (this.#sources.size >= sourcesMax) this.#sources.clear()
    const made: Source = { readAtMs: -Infinity, triedAtMs: -Infinity }
    this.#sources.set(id, made)
    return made
  }

  #keysOf(source: Source): LocalJWKSet {
    if (source.keys !== undefined && this.#now() - source.readAtMs < staleMs) return source.keys
    throw source.failure ?? malformed('the keys are too old')
  }

  /** One fetch at a time, however many tokens wait for it. */
  async #renew(source: Source, rule: KeyRule): Promise<void> {
    if (source.running === undefined) {
      if (this.#now() - source.triedAtMs < (source.failure === undefined ? cooldownMs : failureMs))
        return
      source.triedAtMs = this.#now()
      source.running = this.#read(source, rule).finally(() => {
        delete source.running
      })
    }
    await source.running
  }

  async #read(source: Source, rule: KeyRule): Promise<void> {
    try {
      source.keys = createLocalJWKSet(keySet(await this.#document(rule), rule.issuer))
      source.readAtMs = this.#now()
      delete source.failure
    } catch (error) {
      source.failure = error instanceof Error ? error : malformed('the keys cannot be read')
    }
  }

  async #document({ issuer, keys }: KeyRule): Promise<unknown> {
    if (keys.kind === 'uri') return fetchJson(keys.uri, keySetBytesMax)
    if (keys.kind === 'file') return JSON.parse(await readFile(keys.path, 'utf8')) as unknown
    const base = issuer.endsWith('/') ? issuer.slice(0, -1) : issuer
    const found = await fetchJson(`${base}/.well-known/openid-configuration`, discoveryBytesMax)
    const { issuer: named, jwks_uri: uri } = asObject(found)
    // OpenID Connect Discovery 1.0, section 4.3: a document that names another issuer is not this issuer's.
    if (named !== issuer) throw malformed(`${issuer}: its discovery document names another issuer`)
    if (typeof uri !== 'string')
      throw malformed(`${issuer}: its discovery document has no jwks_uri`)
    return fetchJson(uri, keySetBytesMax)
  }
}

function keySet(document: unknown, issuer: string): JSONWebKeySet {
  const { keys } = asObject(document)
  if (!Array.isArray(keys) || keys.length === 0 || keys.length > keysMax) {
    throw malformed(`${issuer}: its keys are not a JSON Web Key Set of 1 to ${keysMax} keys`)
  }
  // A symmetric key in a public document is no secret.
  const usable = keys.filter((key) => asObject(key)['kty'] !== 'oct')
  return { keys: usable } as JSONWebKeySet
}

function asObject(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}

function malformed(why: string): SallyportError {
  return new SallyportError('SP_TARGET_UNREACHABLE', why, {
    detail: 'the keys of the issuer cannot be read',
  })
}

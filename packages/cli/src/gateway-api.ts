import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ERRORS, SallyportError, type ErrorCode } from '@sallyport/core'
import type { ProofKey } from './proof-key.ts'
import { patientFetch } from './patient-fetch.ts'

/** Calls the API of the gateway that runs on a data folder. */
export class GatewayApi {
  readonly #url: string
  readonly #token: string
  readonly #key: ProofKey | undefined

  /** With a key, `token` is a handle that is bound to it. */
  constructor(url: string, token: string, key?: ProofKey) {
    this.#url = url
    this.#token = token
    this.#key = key
  }

  /** Finds the running gateway by the files in its data folder. */
  static async open(dataDir: string): Promise<GatewayApi> {
    try {
      const [announced, token] = await Promise.all([
        readFile(join(dataDir, 'gateway.json'), 'utf8'),
        readFile(join(dataDir, 'owner.token'), 'utf8'),
      ])
      const { url }: { url: string } = JSON.parse(announced)
      return new GatewayApi(process.env['SALLYPORT_URL'] ?? url, token.trim())
    } catch (cause) {
      throw unreachable(`no gateway runs on ${dataDir}`, cause)
    }
  }

  /** The answer is what the gateway of the same version documents for the path. */
  async json<T>(method: string, path: string, body?: unknown): Promise<T> {
    const response = await this.#fetch(method, path, body)
    return (await response.json()) as T
  }

  /** As `json`, for a birth: the new handle is bound to `key`. */
  async born<T>(path: string, body: unknown, key: ProofKey): Promise<T> {
    const response = await this.#fetch('POST', path, body, key)
    return (await response.json()) as T
  }

  async done(method: string, path: string): Promise<void> {
    await this.#fetch(method, path)
  }

  /** A long answer, piece by piece. */
  async *text(path: string, method = 'GET', body?: unknown): AsyncGenerator<string> {
    const response = await this.#fetch(method, path, body)
    const decoder = new TextDecoder()
    for await (const piece of response.body ?? []) yield decoder.decode(piece, { stream: true })
    yield decoder.decode()
  }

  /** An answer without an end, piece by piece; the signal ends it. */
  async *live(path: string, signal: AbortSignal): AsyncGenerator<string> {
    const response = await this.#fetch('GET', path, undefined, undefined, signal)
    const decoder = new TextDecoder()
    for await (const piece of response.body ?? []) yield decoder.decode(piece, { stream: true })
  }

  /** A long answer, as it comes. */
  async *bytes(path: string): AsyncGenerator<Uint8Array> {
    const response = await this.#fetch('GET', path)
    yield* response.body ?? []
  }

  async #fetch(
    method: string,
    path: string,
    body?: unknown,
    newKey?: ProofKey,
    signal?: AbortSignal,
  ): Promise<Response> {
    const url = this.#url + path
    const send = async (): Promise<Response> =>
      await fetch(url, {
        method,
        headers: { ...this.#headers(method, url, newKey), 'content-type': 'application/json' },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        ...(signal === undefined ? {} : { signal }),
      })
    const response = await patientFetch(send, this.#key ?? newKey).catch((cause: unknown) => {
      throw unreachable(`nothing answers at ${this.#url}`, cause)
    })
    if (response.ok) return response
    throw failureOf(await response.text(), response.status)
  }

  #headers(method: string, url: string, newKey: ProofKey | undefined): Record<string, string> {
    if (this.#key !== undefined) {
      const dpop = this.#key.proof(method, url, this.#token)
      return { authorization: `DPoP ${this.#token}`, dpop }
    }
    const authorization = `Bearer ${this.#token}`
    return newKey === undefined
      ? { authorization }
      : { authorization, dpop: newKey.proof(method, url) }
  }
}

function unreachable(message: string, cause: unknown): SallyportError {
  return new SallyportError('SP_GATEWAY_UNREACHABLE', message, { cause })
}

function failureOf(text: string, status: number): SallyportError {
  try {
    const { error }: { error: { code: string; message: string } } = JSON.parse(text)
    if (isErrorCode(error.code)) return new SallyportError(error.code, error.message)
  } catch {
    // Something other than a gateway answered; the line below says so.
  }
  return new SallyportError('SP_GATEWAY_UNREACHABLE', `the answer (${status}) is not a gateway's`)
}

function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(ERRORS, code)
}

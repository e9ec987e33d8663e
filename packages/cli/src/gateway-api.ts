import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ERRORS, SallyportError, type ErrorCode } from '@sallyport/core'
import type { Answered, Asking, JsonCall, MediaCall } from '@sallyport/gateway'
import { addressOf, type ApiAddress } from './api-address.ts'
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

  /** Types are those of the schemas that the gateway holds a call to: of the gateway of the same version. */
  async call<Each extends JsonCall>(call: Each, ...asking: Asking<Each>): Promise<Answered<Each>> {
    return await this.send(addressOf(call, ...asking))
  }

  /** As `call`, for one that was put together elsewhere: by a program that asks the broker. */
  async send<Each extends JsonCall>({
    method,
    path,
    body,
  }: ApiAddress<Each>): Promise<Answered<Each>> {
    return await answerOf<Each>(await this.#fetch(method, path, body))
  }

  /** As `call`, for a birth: the new handle is bound to `key`. */
  async born<Each extends JsonCall>(
    key: ProofKey,
    call: Each,
    ...asking: Asking<Each>
  ): Promise<Answered<Each>> {
    const { method, path, body } = addressOf(call, ...asking)
    return await answerOf<Each>(await this.#fetch(method, path, body, key))
  }

  /** A long answer, piece by piece. */
  async *text<Each extends MediaCall>(call: Each, ...asking: Asking<Each>): AsyncGenerator<string> {
    const { method, path, body } = addressOf(call, ...asking)
    const response = await this.#fetch(method, path, body)
    const decoder = new TextDecoder()
    for await (const piece of response.body ?? []) yield decoder.decode(piece, { stream: true })
    yield decoder.decode()
  }

  /** An answer without an end, piece by piece; the signal ends it. */
  async *live<Each extends MediaCall>(
    signal: AbortSignal,
    call: Each,
    ...asking: Asking<Each>
  ): AsyncGenerator<string> {
    const { method, path } = addressOf(call, ...asking)
    const response = await this.#fetch(method, path, undefined, undefined, signal)
    const decoder = new TextDecoder()
    for await (const piece of response.body ?? []) yield decoder.decode(piece, { stream: true })
  }

  /** A long answer, as it comes. */
  async *bytes<Each extends MediaCall>(
    call: Each,
    ...asking: Asking<Each>
  ): AsyncGenerator<Uint8Array> {
    const { method, path, body } = addressOf(call, ...asking)
    const response = await this.#fetch(method, path, body)
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

async function answerOf<Each extends JsonCall>(response: Response): Promise<Answered<Each>> {
  const text = await response.text()
  return (text === '' ? undefined : JSON.parse(text)) as Answered<Each>
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

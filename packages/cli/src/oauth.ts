import { SallyportError, type ErrorCode } from '@sallyport/core'
import type { ProofKey } from './proof-key.ts'
import { patientFetch } from './patient-fetch.ts'

/** What this program calls itself; a public client (RFC 6749, section 2.1). */
export const clientId = 'sallyport-cli'
/** A gateway that takes longer is as good as gone: somebody waits for it. */
const answerMsMax = 15_000

/** Where people log in, as the gateway says it (RFC 8414). */
export interface LoginServer {
  readonly issuer: string
  readonly authorization: string
  /** Its answers name it (RFC 9207). */
  readonly namesItself: boolean
}

/**
 * Asks a gateway where people log in. `mustBeIt`: it was reached by its name, so it has to call itself by that name (RFC
 * 8414, section 3.3); one that was found in its data folder may have another in public.
 */
export async function loginServer(url: string, mustBeIt: boolean): Promise<LoginServer> {
  const { body } = await ask(url, '/.well-known/oauth-authorization-server', {})
  const known = body as {
    readonly issuer?: unknown
    readonly authorization_endpoint?: unknown
    readonly code_challenge_methods_supported?: unknown
    readonly authorization_response_iss_parameter_supported?: unknown
  }
  const { issuer, authorization_endpoint: authorization } = known
  if (typeof issuer !== 'string' || (mustBeIt && issuer !== url))
    throw refused(`the gateway at ${url} calls itself ${String(issuer)}`)
  if (typeof authorization !== 'string')
    throw refused('nobody can log in there with a browser: no OidcProvider is configured')
  if (URL.parse(authorization)?.origin !== URL.parse(issuer)?.origin)
    throw refused(`the gateway at ${url} sends logins to another place`)
  const methods = known.code_challenge_methods_supported
  if (!Array.isArray(methods) || !methods.includes('S256'))
    throw refused(`the gateway at ${url} takes no S256 challenge`)
  const namesItself = known.authorization_response_iss_parameter_supported === true
  return { issuer, authorization, namesItself }
}

/** What a gateway calls itself: assertions are made for that name. */
export async function issuerAt(url: string): Promise<string> {
  const { body } = await ask(url, '/.well-known/oauth-authorization-server', {})
  const { issuer }: { issuer?: unknown } = body
  // One that was asked over the network has to be the one that was meant.
  if (issuer === url || isLoopback(url)) return String(issuer)
  throw refused(`the gateway at ${url} calls itself ${String(issuer)}`)
}

function isLoopback(url: string): boolean {
  return /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/u.test(new URL(url).hostname)
}

/** Posts a form to an OAuth endpoint of a gateway. What is born there has a handle that is bound to `key`. */
export async function post(
  url: string,
  path: string,
  fields: Readonly<Record<string, string>>,
  key?: ProofKey,
): Promise<{ body: object }> {
  return await ask(url, path, { method: 'POST', body: new URLSearchParams(fields) }, key)
}

async function ask(
  url: string,
  path: string,
  request: RequestInit,
  key?: ProofKey,
): Promise<{ body: object }> {
  const send = async (): Promise<Response> => {
    const signal = AbortSignal.timeout(answerMsMax)
    const headers = key === undefined ? {} : { dpop: key.proof('POST', url + path) }
    return await fetch(url + path, { ...request, headers, signal, redirect: 'error' })
  }
  const response = await patientFetch(send, key).catch((cause: unknown) => {
    throw new SallyportError('SP_GATEWAY_UNREACHABLE', `nothing answers at ${url}`, { cause })
  })
  const body: unknown = await response.json().catch(() => undefined)
  if (typeof body === 'object' && body !== null) return { body }
  throw new SallyportError('SP_GATEWAY_UNREACHABLE', `the answer of ${url} is not a gateway's`)
}

/** The endpoint's own words, where it refused. */
export function refusedBy(code: ErrorCode, body: object): SallyportError {
  const { error, error_description: words }: { error?: unknown; error_description?: unknown } = body
  const text = typeof words === 'string' ? words : JSON.stringify(error ?? body)
  return new SallyportError(code, `the gateway refused: ${text}`, { detail: text })
}

function refused(why: string): SallyportError {
  return new SallyportError('SP_NOT_LOGGED_IN', why, { detail: why })
}

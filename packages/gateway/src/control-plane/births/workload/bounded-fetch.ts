import { SallyportError } from '@sallyport/core'
import { urlProblem } from '../config/read-values.ts'

/** An issuer that answers slower is down. */
const timeoutMs = 5000

/**
 * Gets a JSON document of an issuer: https or loopback only, no redirect (it could lead to another host, or inside), one
 * deadline for head and body, and no more bytes than a document of its kind needs.
 */
export async function fetchJson(url: string, bytesMax: number): Promise<unknown> {
  const problem = urlProblem(url)
  if (problem !== undefined) throw unavailable(`${url}: ${problem}`)
  try {
    const answer = await fetch(url, {
      redirect: 'error',
      signal: AbortSignal.timeout(timeoutMs),
      headers: { accept: 'application/json' },
      credentials: 'omit',
    })
    if (answer.status !== 200) {
      await answer.body?.cancel()
      throw unavailable(`${url} answers ${answer.status}`)
    }
    return JSON.parse(await readBody(answer, url, bytesMax)) as unknown
  } catch (cause) {
    if (cause instanceof SallyportError) throw cause
    throw unavailable(`${url} cannot be read: ${reasonOf(cause)}`, cause)
  }
}

/** The text of an answer, and no more bytes of it than wanted. */
export async function readBody(answer: Response, url: string, bytesMax: number): Promise<string> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  // Leaving the loop early cancels the body.
  for await (const chunk of answer.body ?? []) {
    bytes += chunk.byteLength
    if (bytes > bytesMax) throw unavailable(`${url} is larger than ${bytesMax} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown'
  return error.cause instanceof Error ? error.cause.message : error.message
}

/** Keys that cannot be had: the token may be good, so it is worth another try. */
function unavailable(why: string, cause?: unknown): SallyportError {
  return new SallyportError('SP_TARGET_UNREACHABLE', why, {
    cause,
    detail: 'the keys of the issuer cannot be read',
  })
}

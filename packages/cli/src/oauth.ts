import { SallyportError, type ErrorCode } from '@sallyport/core'

/** Posts a form to an OAuth endpoint of a gateway. */
export async function post(
  url: string,
  path: string,
  fields: Readonly<Record<string, string>>,
): Promise<{ body: object }> {
  const response = await fetch(url + path, {
    method: 'POST',
    body: new URLSearchParams(fields),
  }).catch((cause: unknown) => {
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

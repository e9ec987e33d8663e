import { Buffer } from 'node:buffer'
import type { AnchorSink } from './anchor-place.ts'

const waitMsMax = 10_000

/**
 * Posts each object to an address: the body is the object as it stands in the store, the header `sallyport-object` is its name.
 * An anchor is a compact JWS (RFC 7515), so what comes is as much signed as the anchor is. Any answer of 2xx takes it.
 */
export function postTo(url: URL): AnchorSink {
  const closed = new AbortController()
  // The rest of an address may be a secret of its own.
  const where = `${url.origin}/…`
  return {
    where,
    async put(key, bytes) {
      const signal = AbortSignal.any([closed.signal, AbortSignal.timeout(waitMsMax)])
      let response: Response
      try {
        response = await fetch(url, {
          method: 'POST',
          headers: {
            'content-type': key.endsWith('.jws') ? 'application/jose' : 'application/x-pem-file',
            'sallyport-object': key,
          },
          body: Buffer.from(bytes),
          // Who may answer for this address may not send it on to another.
          redirect: 'error',
          signal,
        })
      } catch (cause) {
        throw new Error(`${where} does not answer: ${reasonOf(cause)}`, { cause })
      }
      await response.body?.cancel()
      if (!response.ok) throw new Error(`${where} answers ${response.status}`)
    },
    close: () => closed.abort(new Error('the gateway stops')),
  }
}

function reasonOf(error: unknown): string {
  const cause = error instanceof Error ? (error.cause ?? error) : error
  return cause instanceof Error ? cause.message : String(cause)
}

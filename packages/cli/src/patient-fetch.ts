import { setTimeout as sleep } from 'node:timers/promises'
import type { ProofKey } from './proof-key.ts'

/** Jobs of one run begin together: each is let in within a few seconds. */
const triesMax = 5
/** A gateway that says longer than this means another day; a person should read that. */
const waitSecondsMax = 15

/**
 * Sends a request, and again where the gateway says that it came too often and when to come back (RFC 6585, section 4), or
 * where its clock and ours are so far apart that it took no proof of `key`.
 */
export async function patientFetch(
  send: () => Promise<Response>,
  key?: ProofKey,
): Promise<Response> {
  for (let tries = 1; ; tries += 1) {
    const response = await send()
    const waitMs = response.status === 429 ? waitOf(response, tries) : clockWait(response, key)
    if (waitMs === undefined || tries === triesMax) return response
    await response.body?.cancel()
    await sleep(waitMs)
  }
}

function waitOf({ headers }: Response, tries: number): number | undefined {
  const seconds = Number(headers.get('retry-after') ?? Number.NaN)
  if (!(seconds >= 0 && seconds <= waitSecondsMax)) return undefined
  // Those who were refused together should not come back together.
  return seconds * 1000 * (1 + Math.random() * (tries - 1))
}

function clockWait({ status, headers }: Response, key: ProofKey | undefined): number | undefined {
  const isRefused = status === 400 || status === 401
  return isRefused && key?.setClock(headers.get('date')) === true ? 0 : undefined
}

import { setTimeout as sleep } from 'node:timers/promises'

/** Jobs of one run begin together: each is let in within a few seconds. */
const triesMax = 5
/** A gateway that says longer than this means another day; a person should read that. */
const waitSecondsMax = 15

/** Sends a request, and again where the gateway says that it came too often and when to come back (RFC 6585, section 4). */
export async function patientFetch(send: () => Promise<Response>): Promise<Response> {
  for (let tries = 1; ; tries += 1) {
    const response = await send()
    const seconds = Number(response.headers.get('retry-after') ?? Number.NaN)
    const isWorthIt = response.status === 429 && seconds >= 0 && seconds <= waitSecondsMax
    if (!isWorthIt || tries === triesMax) return response
    await response.body?.cancel()
    // Those who were refused together should not come back together.
    await sleep(seconds * 1000 * (1 + Math.random() * (tries - 1)))
  }
}

import { setTimeout as sleep } from 'node:timers/promises'

/** How long a test waits for something that must happen; far above what a loaded machine needs. */
const waitMsMax = 20_000
const pollMs = 10

/** Waits until `check` gives something other than false, undefined or null, and returns it; fails with `what` otherwise. */
export async function until<T>(
  what: string,
  check: () => T | Promise<T>,
  timeoutMs: number = waitMsMax,
): Promise<NonNullable<Exclude<T, false>>> {
  const end = performance.now() + timeoutMs
  for (;;) {
    const found = await check()
    if (found !== undefined && found !== null && found !== false)
      return found as NonNullable<Exclude<T, false>>
    if (performance.now() > end) throw new Error(`waited ${timeoutMs} ms in vain: ${what}`)
    await sleep(pollMs)
  }
}

import type { GrantClient, GrantLayer, GrantWindow, Permission } from '../chain.ts'
import { cidrLeq, parseCidr, printCidr, type Cidr } from './cidr.ts'
import { parseHours } from './hours.ts'
import { canonicalPermission } from './permission.ts'
import { printAllow } from './print-allow.ts'

/** The one form of all layers that say the same word by word. What can't be read stays as it is, so that it keeps allowing nothing. */
export function canonicalLayer({ permits, window, client }: GrantLayer): GrantLayer {
  return {
    permits: canonicalPermits(permits),
    ...(window === undefined ? {} : { window: canonicalWindow(window) }),
    ...(client === undefined ? {} : { client: canonicalClient(client) }),
  }
}

/** Sorted by their text, each once. */
export function canonicalPermits(permits: readonly Permission[]): readonly Permission[] {
  const byText = new Map(permits.map((permit) => [printAllow(permit), canonicalPermission(permit)]))
  return [...byText].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, permit]) => permit)
}

function canonicalWindow(window: GrantWindow): GrantWindow {
  const hours = window.hours === undefined ? undefined : parseHours(window.hours)
  return hours === undefined || typeof hours === 'string'
    ? window
    : { ...window, hours: hours.text }
}

function canonicalClient(client: GrantClient): GrantClient {
  if (client.cidr === undefined) return client
  const cidrs: Cidr[] = []
  for (const text of client.cidr) {
    const cidr = parseCidr(text)
    if (typeof cidr !== 'string') cidrs.push(cidr)
  }
  const widest = cidrs.filter((cidr, at) => {
    return !cidrs.some((other, index) => {
      return index !== at && cidrLeq(cidr, other) && !(cidrLeq(other, cidr) && at < index)
    })
  })
  return { ...client, cidr: widest.map(printCidr).toSorted() }
}

import { timingSafeEqual } from 'node:crypto'
import { isIPv6 } from 'node:net'
import { credentialDigest, secretIdOf } from '../credential-text.ts'
import type { AgentContext } from './agent-context.ts'
import type { AgentNode } from './agent-node.ts'

/** A handle in memory: never the secret. */
export interface HandleNode {
  readonly id: string
  readonly agent: AgentNode
  readonly digest: string
  /** Thumbprint of the key without which it is worth nothing (RFC 9449). */
  readonly boundTo: string | undefined
  /** From which it was used: one of each family at first. */
  networks: readonly string[]
}

/** The handle that a text is, whatever the state of its agent. */
export function handleOf(handles: AgentContext['handles'], text: string): HandleNode | undefined {
  const known = handles.get(secretIdOf('spa', text) ?? '')
  if (known === undefined) return undefined
  const isSame = timingSafeEqual(Buffer.from(known.digest), Buffer.from(credentialDigest(text)))
  return isSame ? known : undefined
}

/** The network that somebody stays in who moves a little: 24 bits of IPv4, 48 of IPv6. All of this machine is one. */
export function roamingNetworkOf(source: string): string | undefined {
  const address = source.startsWith('::ffff:') ? source.slice('::ffff:'.length) : source
  if (address === '::1' || address.startsWith('127.')) return 'here'
  const v4 = /^(\d+\.\d+\.\d+)\.\d+$/u.exec(address)?.[1]
  if (v4 !== undefined) return `${v4}.0/24`
  if (!isIPv6(address)) return undefined
  const [head = '', tail] = address.split('%')[0]?.split('::') ?? []
  const left = head === '' ? [] : head.split(':')
  const right = (tail ?? '') === '' ? [] : (tail ?? '').split(':')
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - left.length - right.length)
  const groups = [...left, ...Array.from({ length: zeros }, () => '0'), ...right]
  return `${groups
    .slice(0, 3)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':')}::/48`
}

/** Whether a network is the first of its family: a machine with two families uses either. */
export function isFirstOfFamily(network: string, known: readonly string[]): boolean {
  const family = (each: string): string => (each === 'here' ? each : each.includes(':') ? '6' : '4')
  return !known.some((each) => family(each) === family(network))
}

import {
  type Budget,
  canonicalLayer,
  type DelegateLimits,
  type GrantLayer,
  layerProblem,
  parseGrantDocument,
  parseTtl,
} from '@sallyport/core'
import type * as z from 'zod'
import { present } from '../api/present.ts'
import type {
  mint,
  narrowing,
  newChild,
  newRoot,
  newTicket,
  redemption,
  renewal,
} from '../contract/agent-requests.ts'
import type { MintRequest, SpawnRequest, TicketRequest } from './agent-requests.ts'
import { parseAllows } from './grant-asks.ts'
import { PURPOSE_CHARACTERS_MAX } from './limits.ts'
import { checkedText, invalid } from './spawn-rules.ts'
import type { Redemption } from './tickets.ts'

/** What every birth may state. */
interface GrantFields {
  readonly layers: readonly GrantLayer[]
  readonly budget: Budget
  readonly delegate: DelegateLimits
  readonly ttlMs?: number
}

export interface NewRoot extends GrantFields {
  readonly name?: string
}

type Child = z.output<typeof newChild>

/** What is read here has the fields of its schema; their texts are read now. Throws SP_CONFIG_INVALID. */
export function newRootOf({ name, ...fields }: z.output<typeof newRoot>): NewRoot {
  return { ...grantOf(fields), ...present({ name }) }
}

export function childOf(fields: Child, key: string | undefined): SpawnRequest {
  return { ...spawnOf(fields), ...present({ key }) }
}

export function ticketOf({
  expect,
  ticketTtl,
  ...fields
}: z.output<typeof newTicket>): TicketRequest {
  checkedWords('expect', expect)
  const ticketTtlMs = ttlMsOf('ticketTtl', ticketTtl)
  return { ...spawnOf(fields), born: 'ticket', ...present({ expect, ticketTtlMs }) }
}

export function redemptionOf({
  ticket,
  name,
  declared,
}: z.output<typeof redemption>): Redemption & { readonly ticket: string } {
  checkedWords('declared', declared)
  return { ticket, ...present({ name, declared }) }
}

export function mintOf({ connection, maxUses, ttl, level }: z.output<typeof mint>): MintRequest {
  const ttlMs = ttlMsOf('ttl', ttl)
  return { connection, protocol: 'postgres', ...present({ maxUses, ttlMs, level }) }
}

export function narrowingOf(fields: z.output<typeof narrowing>): GrantLayer {
  const [layer] = grantOf(fields).layers
  if (layer === undefined) throw invalid('allow or grant is missing')
  return layer
}

export function renewalOf({ ttl }: z.output<typeof renewal>): number {
  return ttlMsOf('ttl', ttl) ?? 0
}

function spawnOf({
  name,
  purpose,
  declared,
  cut,
  detach,
  reserve,
  ...fields
}: Child): SpawnRequest {
  if (purpose !== undefined) checkedText('purpose', purpose, PURPOSE_CHARACTERS_MAX)
  checkedWords('declared', declared)
  const grant = grantOf(fields)
  if (reserve === true && Object.keys(grant.budget).length === 0)
    throw invalid('reserve needs a budget: what is to be reserved')
  return {
    ...grant,
    name,
    born: 'mint',
    handle: true,
    cut: cut === true,
    detach: detach === true,
    ...(reserve === true ? { reserve } : {}),
    ...present({ purpose, declared }),
  }
}

type Granted = Pick<Child, 'allow' | 'grant'> & Partial<Pick<Child, 'ttl' | 'budget'>>

/** One layer of `allow` texts or of a grant document; none where neither is given. */
function grantOf({ allow, grant, ttl, budget }: Granted): GrantFields {
  if (allow !== undefined && grant !== undefined) throw invalid('give allow or grant, not both')
  const more = { budget: present(budget ?? {}), ...present({ ttlMs: ttlMsOf('ttl', ttl) }) }
  if (grant !== undefined) {
    const parsed = parseGrantDocument(grant)
    if (parsed.kind === 'refused')
      throw invalid(parsed.problems.map((problem) => JSON.stringify(problem)).join('; '))
    const { layer, delegate } = parsed.grant
    return {
      layers: [layer],
      delegate,
      ...more,
      budget: { ...parsed.grant.budget, ...more.budget },
    }
  }
  if (allow === undefined || allow.length === 0) return { layers: [], delegate: {}, ...more }
  const permits = parseAllows(allow)
  // Before anything is compared with anything: sorting and comparing take the square of their number.
  const problem = layerProblem({ permits })
  if (problem !== undefined) throw invalid(problem)
  return { layers: [canonicalLayer({ permits })], delegate: {}, ...more }
}

function ttlMsOf(field: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const parsed = parseTtl(text)
  if (typeof parsed === 'number') return parsed
  throw invalid(`${field} ${parsed}`)
}

/** What is shown again must be visible. */
function checkedWords(what: string, words: Readonly<Record<string, string>> | undefined): void {
  for (const [key, each] of Object.entries(words ?? {}))
    checkedText(`a text of ${what}`, key + each, wordCharactersMax)
}

/** Each is kept with the agent for good. */
const wordCharactersMax = 200

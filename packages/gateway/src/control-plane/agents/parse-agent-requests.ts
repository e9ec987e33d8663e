import {
  type Budget,
  type BudgetKind,
  canonicalLayer,
  type DelegateLimits,
  type GrantLayer,
  layerProblem,
  parseGrantDocument,
  parseTtl,
} from '@sallyport/core'
import type { MintRequest, SpawnRequest, TicketRequest } from './agent-requests.ts'
import { parseAllows } from './grant-asks.ts'
import { PURPOSE_CHARACTERS_MAX } from './limits.ts'
import { checkedText, invalid } from './spawn-rules.ts'
import type { Redemption } from './tickets.ts'

type Fields = Readonly<Record<string, unknown>>

const budgetKinds: readonly string[] = [
  'commands',
  'rows',
  'bytes',
  'writes',
  'sessions',
  'approvals',
]
const grantFields = ['allow', 'grant', 'ttl', 'budget']
const childFields = ['name', ...grantFields, 'purpose', 'cut', 'detach', 'declared', 'reserve']
/** Enough for a run, a model and a host; each is kept with the agent for good. */
const declaredMax = 16
const declaredCharactersMax = 200

/** What every birth may state. */
export interface GrantFields {
  readonly layers: readonly GrantLayer[]
  readonly budget: Budget
  readonly delegate: DelegateLimits
  readonly ttlMs?: number
}

export function parseRoot(body: unknown): GrantFields & { readonly name?: string } {
  const fields = fieldsOf(body, ['name', ...grantFields])
  const name = text(fields, 'name')
  return { ...grantOf(fields), ...(name === undefined ? {} : { name }) }
}

export function parseChild(body: unknown, key: string | undefined): SpawnRequest {
  const fields = fieldsOf(body, childFields)
  return { ...childOf(fields), ...(key === undefined ? {} : { key }) }
}

export function parseTicket(body: unknown): TicketRequest {
  const fields = fieldsOf(body, [...childFields, 'expect', 'ticketTtl'])
  const expect = texts(fields, 'expect')
  const ticketTtlMs = ttl(fields, 'ticketTtl')
  return {
    ...childOf(fields),
    born: 'ticket',
    ...(expect === undefined ? {} : { expect }),
    ...(ticketTtlMs === undefined ? {} : { ticketTtlMs }),
  }
}

export function parseRedemption(body: unknown): Redemption & { readonly ticket: string } {
  const fields = fieldsOf(body, ['ticket', 'name', 'declared'])
  const ticket = text(fields, 'ticket')
  if (ticket === undefined) throw invalid('ticket is missing')
  const name = text(fields, 'name')
  const declared = texts(fields, 'declared')
  return {
    ticket,
    ...(name === undefined ? {} : { name }),
    ...(declared === undefined ? {} : { declared }),
  }
}

export function parseMint(body: unknown): MintRequest {
  const fields = fieldsOf(body, ['connection', 'protocol', 'maxUses', 'ttl', 'level'])
  const connection = text(fields, 'connection')
  if (connection === undefined) throw invalid('connection is missing')
  if ((fields['protocol'] ?? 'postgres') !== 'postgres') throw invalid('protocol must be postgres')
  const maxUses = number(fields, 'maxUses')
  const ttlMs = ttl(fields, 'ttl')
  const level = number(fields, 'level')
  return {
    connection,
    protocol: 'postgres',
    ...(maxUses === undefined ? {} : { maxUses }),
    ...(ttlMs === undefined ? {} : { ttlMs }),
    ...(level === undefined ? {} : { level }),
  }
}

export function parseNarrow(body: unknown): GrantLayer {
  const { layers } = grantOf(fieldsOf(body, ['allow', 'grant']))
  const [layer] = layers
  if (layer === undefined) throw invalid('allow or grant is missing')
  return layer
}

export function parseRenew(body: unknown): number {
  const ttlMs = ttl(fieldsOf(body, ['ttl']), 'ttl')
  if (ttlMs === undefined) throw invalid('ttl is missing')
  return ttlMs
}

export function parseReason(body: unknown): string | undefined {
  return text(fieldsOf(body, ['reason']), 'reason')
}

function childOf(fields: Fields): SpawnRequest {
  const name = text(fields, 'name')
  if (name === undefined) throw invalid('name is missing')
  const purpose = text(fields, 'purpose')
  const declared = texts(fields, 'declared')
  return {
    ...grantOf(fields),
    name,
    born: 'mint',
    handle: true,
    cut: flag(fields, 'cut'),
    detach: flag(fields, 'detach'),
    ...reserveOf(fields),
    ...(purpose === undefined
      ? {}
      : { purpose: checkedText('purpose', purpose, PURPOSE_CHARACTERS_MAX) }),
    ...(declared === undefined ? {} : { declared }),
  }
}

function reserveOf(fields: Fields): { reserve?: true } {
  if (!flag(fields, 'reserve')) return {}
  if (Object.keys(grantOf(fields).budget).length === 0)
    throw invalid('reserve needs a budget: what is to be reserved')
  return { reserve: true }
}

/** One layer of `allow` texts or of a grant document; none where neither is given. */
function grantOf(fields: Fields): GrantFields {
  const { allow, grant } = fields
  if (allow !== undefined && grant !== undefined) throw invalid('give allow or grant, not both')
  const ttlMs = ttl(fields, 'ttl')
  const more = { budget: budget(fields), ...(ttlMs === undefined ? {} : { ttlMs }) }
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
  if (allow === undefined) return { layers: [], delegate: {}, ...more }
  if (!Array.isArray(allow) || !allow.every((each) => typeof each === 'string'))
    throw invalid('allow must be a list of texts')
  if (allow.length === 0) return { layers: [], delegate: {}, ...more }
  const permits = parseAllows(allow)
  // Before anything is compared with anything: sorting and comparing take the square of their number.
  const problem = layerProblem({ permits })
  if (problem !== undefined) throw invalid(problem)
  return { layers: [canonicalLayer({ permits })], delegate: {}, ...more }
}

function budget(fields: Fields): Budget {
  const given = fields['budget']
  if (given === undefined) return {}
  if (!isFields(given)) throw invalid('budget must be an object')
  const caps: Partial<Record<BudgetKind, number>> = {}
  for (const [kind, cap] of Object.entries(given)) {
    if (!budgetKinds.includes(kind)) throw invalid(`budget has no kind "${kind.slice(0, 32)}"`)
    if (typeof cap !== 'number' || !Number.isSafeInteger(cap) || cap < 0)
      throw invalid(`budget.${kind} must be a whole number`)
    caps[kind as BudgetKind] = cap
  }
  return caps
}

function fieldsOf(body: unknown, known: readonly string[]): Fields {
  if (!isFields(body)) throw invalid('the body must be an object')
  const other = Object.keys(body).find((name) => !known.includes(name))
  if (other === undefined) return body
  throw invalid(`there is no field "${other.slice(0, 64)}" here`)
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function text(fields: Fields, name: string): string | undefined {
  const value = fields[name]
  if (value === undefined || typeof value === 'string') return value
  throw invalid(`${name} must be a text`)
}

function number(fields: Fields, name: string): number | undefined {
  const value = fields[name]
  if (value === undefined || typeof value === 'number') return value
  throw invalid(`${name} must be a number`)
}

function flag(fields: Fields, name: string): boolean {
  const value = fields[name] ?? false
  if (typeof value === 'boolean') return value
  throw invalid(`${name} must be true or false`)
}

function ttl(fields: Fields, name: string): number | undefined {
  const value = text(fields, name)
  if (value === undefined) return undefined
  const parsed = parseTtl(value)
  if (typeof parsed === 'number') return parsed
  throw invalid(`${name} ${parsed}`)
}

function texts(fields: Fields, name: string): Record<string, string> | undefined {
  const value = fields[name]
  if (value === undefined) return undefined
  if (!isFields(value) || Object.keys(value).length > declaredMax)
    throw invalid(`${name} must be an object of at most ${declaredMax} texts`)
  const pairs = Object.entries(value).map(([key, each]): [string, string] => {
    if (typeof each !== 'string') throw invalid(`${name}.${key.slice(0, 32)} must be a text`)
    checkedText(`a text of ${name}`, key + each, declaredCharactersMax)
    return [key, each]
  })
  return Object.fromEntries(pairs)
}

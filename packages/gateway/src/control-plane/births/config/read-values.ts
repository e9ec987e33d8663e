import {
  parseAllow,
  parseBytes,
  parseCidr,
  parseHours,
  parseInstant,
  parseTtl,
  type Budget,
  type BudgetKind,
  type DelegateLimits,
  type GrantClient,
  type GrantWindow,
} from '@sallyport/core'
import { isScalar } from 'yaml'
import { FieldReader } from '../../policies/field-reader.ts'
import type { GrantTarget } from './identity-config.ts'

const minuteMs = 60_000
const dayMs = 24 * 60 * minuteMs
const budgetKinds = ['commands', 'rows', 'writes', 'approvals', 'sessions'] as const
/** Hard limits of any tree. */
const depthMax = 16
const childrenMax = 256
const agentsMax = 10_000

export function readDuration(fields: FieldReader, name: string, maxMs: number): number | undefined {
  const ms = readParsed(fields, name, parseTtl)
  if (ms !== undefined && ms > maxMs)
    fields.report(name, `at most ${maxMs / minuteMs}m are possible`)
  return ms
}

/** Reads a text with one of the parsers of core, whose texts say what is wrong. */
function readParsed(
  fields: FieldReader,
  name: string,
  parse: (text: string) => number | string,
): number | undefined {
  const text = fields.text(name)
  if (text === undefined) return undefined
  const parsed = parse(text)
  if (typeof parsed === 'number') return parsed
  fields.report(name, `"${text}" ${parsed}`)
  return undefined
}

export function readUrl(fields: FieldReader, name: string): string | undefined {
  const text = fields.text(name)
  if (text === undefined) return undefined
  const problem = urlProblem(text)
  if (problem !== undefined) fields.report(name, problem)
  return problem === undefined ? text : undefined
}

/** Says why keys and logins may not be fetched from a URL; undefined where they may. */
export function urlProblem(text: string): string | undefined {
  if (!URL.canParse(text) || text.includes('|')) return `"${text}" is not a URL`
  const { protocol, hostname, username, password, hash, search } = new URL(text)
  if (username !== '' || password !== '' || hash !== '' || search !== '') {
    return 'a URL here has no user, no query and no fragment'
  }
  if (protocol === 'https:') return undefined
  const isLoopback = ['127.0.0.1', '[::1]', 'localhost'].includes(hostname)
  return protocol === 'http:' && isLoopback ? undefined : 'only https is taken, except on loopback'
}

/** Reads `on`: connections by name, glob or label, and what narrows them. */
export function readTargets(fields: FieldReader, labelsAllowed: boolean): GrantTarget[] {
  const known = ['connections', 'db', 'schema', 'table', 'maxRows']
  if (labelsAllowed) known.push('labels')
  return fields.items('on').map(({ node, path }) => {
    const on = new FieldReader(fields.source, node, path, known)
    const connections = on.texts('connections')
    const labels = readLabels(on)
    if (connections.length === 0 && Object.keys(labels).length === 0) {
      on.report('', 'name connections or labels', "all of them: connections: ['*']")
    }
    const dimensions = Object.fromEntries(
      ['db', 'schema', 'table']
        .filter((name) => on.has(name))
        .map((name) => [name, on.texts(name, true)]),
    )
    for (const [name, globs] of Object.entries(dimensions)) {
      if (globs.length === 0) on.report(name, `${name} names nothing`)
      else checkAllow(on, name, `*:read ${name}=${globs.map(quote).join(',')}`)
    }
    for (const connection of connections) checkAllow(on, 'connections', `${connection}:read`)
    const rowsMax = on.int('maxRows', 1, Number.MAX_SAFE_INTEGER)
    return { connections, labels, dimensions, ...(rowsMax === undefined ? {} : { rowsMax }) }
  })
}

/** Reads `allow`: effect classes with their shorthands. */
export function readClasses(fields: FieldReader): readonly string[] {
  const words = fields.texts('allow', true)
  if (fields.has('allow') && words.length === 0) fields.report('allow', 'allow names no class')
  return words.flatMap((word) => {
    const parsed = parseAllow(`*:${word}`)
    if (parsed.kind === 'ok') return parsed.permission.classes
    fields.report('allow', parsed.message)
    return []
  })
}

function checkAllow(fields: FieldReader, name: string, text: string): void {
  const parsed = parseAllow(text)
  if (parsed.kind === 'refused') fields.report(name, parsed.message)
}

function quote(name: string): string {
  return /[\s,"]/u.test(name) ? `"${name.replaceAll('"', '""')}"` : name
}

function readLabels(on: FieldReader): Record<string, string> {
  if (!on.has('labels')) return {}
  const labels = new FieldReader(on.source, on.get('labels'), on.at('labels'), [])
  return Object.fromEntries(labels.names().map((name) => [name, labels.text(name) ?? '']))
}

export function readWindow(spec: FieldReader): GrantWindow | undefined {
  if (!spec.has('window')) return undefined
  const known = ['after', 'before', 'hours']
  const window = new FieldReader(spec.source, spec.get('window'), spec.at('window'), known)
  const afterMs = readParsed(window, 'after', parseInstant)
  const beforeMs = readParsed(window, 'before', parseInstant)
  const hours = window.text('hours')
  const parsed = hours === undefined ? undefined : parseHours(hours)
  if (typeof parsed === 'string') window.report('hours', parsed)
  return {
    ...(afterMs === undefined ? {} : { afterMs }),
    ...(beforeMs === undefined ? {} : { beforeMs }),
    ...(hours === undefined ? {} : { hours }),
  }
}

export function readClient(spec: FieldReader): GrantClient | undefined {
  if (!spec.has('client')) return undefined
  const client = new FieldReader(spec.source, spec.get('client'), spec.at('client'), [
    'cidr',
    'minLevel',
  ])
  const level = client.oneOf('minLevel', ['L0', 'L1', 'L2', 'L3', 'L4'])
  const cidr = client.texts('cidr')
  if (client.has('cidr') && cidr.length === 0) client.report('cidr', 'cidr names no network')
  for (const text of cidr) {
    const parsed = parseCidr(text)
    if (typeof parsed === 'string') client.report('cidr', parsed)
  }
  return {
    ...(client.has('cidr') ? { cidr } : {}),
    ...(level === undefined ? {} : { minLevel: Number(level.slice(1)) }),
  }
}

export function readBudget(spec: FieldReader): Budget {
  if (!spec.has('budget')) return {}
  const known = [...budgetKinds, 'bytes']
  const budget = new FieldReader(spec.source, spec.get('budget'), spec.at('budget'), known)
  const caps: Partial<Record<BudgetKind, number>> = {}
  for (const kind of budgetKinds) {
    const cap = budget.int(kind, 0, Number.MAX_SAFE_INTEGER)
    if (cap !== undefined) caps[kind] = cap
  }
  const bytes = readBytes(budget)
  return bytes === undefined ? caps : { ...caps, bytes }
}

function readBytes(budget: FieldReader): number | undefined {
  const node = budget.get('bytes')
  if (isScalar(node) && typeof node.value === 'number')
    return budget.int('bytes', 0, Number.MAX_SAFE_INTEGER)
  return readParsed(budget, 'bytes', parseBytes)
}

export function readDelegate(spec: FieldReader): DelegateLimits {
  if (!spec.has('delegate')) return {}
  const known = ['depth', 'children', 'agents', 'ttl', 'detach']
  const fields = new FieldReader(spec.source, spec.get('delegate'), spec.at('delegate'), known)
  const depth = fields.int('depth', 0, depthMax)
  const children = fields.int('children', 0, childrenMax)
  const agents = fields.int('agents', 0, agentsMax)
  const ttlMs = readDuration(fields, 'ttl', dayMs)
  const detach = fields.flag('detach')
  return {
    ...(depth === undefined ? {} : { depth }),
    ...(children === undefined ? {} : { children }),
    ...(agents === undefined ? {} : { agents }),
    ...(ttlMs === undefined ? {} : { ttlMs }),
    ...(detach === undefined ? {} : { detach }),
  }
}

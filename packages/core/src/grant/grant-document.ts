import type {
  Budget,
  BudgetKind,
  GrantClient,
  GrantLayer,
  GrantWindow,
  Permission,
} from '../chain.ts'
import { parseCidr } from './cidr.ts'
import { canonicalLayer } from './canonical-layer.ts'
import { DocumentReader, type DocumentProblem } from './document-reader.ts'
import { parseHours } from './hours.ts'
import { CLASS_SHORTHANDS } from './parse-allow.ts'
import {
  classProblem,
  connectionProblem,
  DIMENSIONS,
  dimensionProblem,
  globProblem,
  layerProblem,
  rowsProblem,
} from './permission.ts'
import { suggest } from './suggest.ts'
import { parseBytes, parseInstant, parseTtl, printTtl } from './units.ts'

/** How far an agent may pass on what it holds. A limit that is absent leaves the limits of the gateway. */
export interface DelegateLimits {
  /** Levels below the agent. */
  readonly depth?: number
  /** Live children of the agent. */
  readonly children?: number
  /** Agents of the whole subtree. */
  readonly agents?: number
  /** The longest life of a child. */
  readonly ttlMs?: number
  /** Whether a child may outlive its parent's process. */
  readonly detach?: boolean
}

/** A grant as people and programs write it down: what may be done, how much of it, and how it may be passed on. */
export interface GrantDocument {
  readonly layer: GrantLayer
  readonly budget: Budget
  readonly delegate: DelegateLimits
}

export type ParsedGrant =
  | { readonly kind: 'ok'; readonly grant: GrantDocument }
  | { readonly kind: 'refused'; readonly problems: readonly DocumentProblem[] }

const levels = ['L0', 'L1', 'L2', 'L3', 'L4']
const budgetKinds = ['commands', 'rows', 'bytes', 'writes', 'sessions', 'approvals'] as const
const dimensionFields: readonly string[] = DIMENSIONS

/** Reads a grant document, a value that came from JSON. Everything that is unknown, impossible or of a wrong type is refused with its path; the result is canonical. */
export function parseGrantDocument(value: unknown): ParsedGrant {
  const problems: DocumentProblem[] = []
  const reader = new DocumentReader(value, '', problems)
  if (problems.length === 0 && !reader.has('permits')) reader.problem('permits', 'is missing')
  const permits = reader.objects('permits').map(readPermit)
  const window = readWindow(reader.object('window'))
  const client = readClient(reader.object('client'))
  const budget = readBudget(reader.object('budget'))
  const delegate = readDelegate(reader.object('delegate'))
  reader.refuseOthers(unknownField)
  if (problems.length > 0) return { kind: 'refused', problems }
  const layer = canonicalLayer({
    permits,
    ...(window === undefined ? {} : { window }),
    ...(client === undefined ? {} : { client }),
  })
  const tooLarge = layerProblem(layer)
  if (tooLarge !== undefined) {
    return { kind: 'refused', problems: [{ path: 'permits', message: tooLarge }] }
  }
  return { kind: 'ok', grant: { layer, budget, delegate } }
}

/** The one text of all grants that say the same: sorted, without repetition, and readable by `parseGrantDocument`. */
export function canonicalGrant(grant: GrantDocument): string {
  const { permits, window, client } = canonicalLayer(grant.layer)
  const { afterMs, beforeMs, hours } = window ?? {}
  const { ttlMs, ...counts } = grant.delegate
  return JSON.stringify({
    permits: permits.map(({ connections, classes, dimensions, rowsMax }) => {
      return { conn: connections, classes, ...dimensions, maxRows: rowsMax }
    }),
    window: filled({
      after: afterMs === undefined ? undefined : new Date(afterMs).toISOString(),
      before: beforeMs === undefined ? undefined : new Date(beforeMs).toISOString(),
      hours,
    }),
    budget: filled(Object.fromEntries(budgetKinds.map((kind) => [kind, grant.budget[kind]]))),
    delegate: filled({
      depth: counts.depth,
      children: counts.children,
      agents: counts.agents,
      ttl: ttlMs === undefined ? undefined : printTtl(ttlMs),
      detach: counts.detach,
    }),
    client: filled({
      cidr: client?.cidr,
      minLevel: client?.minLevel === undefined ? undefined : levels[client.minLevel],
    }),
  })
}

function filled(fields: Readonly<Record<string, unknown>>): object | undefined {
  return Object.values(fields).some((value) => value !== undefined) ? fields : undefined
}

function readPermit(reader: DocumentReader): Permission {
  for (const name of ['conn', 'classes']) if (!reader.has(name)) reader.problem(name, 'is missing')
  const dimensions: [string, readonly string[]][] = []
  const connections = reader.strings('conn', connectionProblem)
  const classes = reader
    .strings('classes', (name) => classProblem(name, Object.keys(CLASS_SHORTHANDS)))
    .flatMap((name): readonly string[] => {
      return name === 'ro' || name === 'rw' ? CLASS_SHORTHANDS[name] : [name]
    })
  for (const name of DIMENSIONS) {
    if (reader.has(name)) dimensions.push([name, reader.strings(name, globProblem)])
  }
  const rowsMax = reader.number('maxRows', rowsProblem)
  reader.refuseOthers((name) => {
    const near = suggest(name, ['conn', 'classes', ...dimensionFields, 'maxRows'])
    return near === ''
      ? (dimensionProblem(name) ?? 'is not known here')
      : `is not known here${near}`
  })
  return {
    connections,
    classes,
    dimensions: Object.fromEntries(dimensions),
    ...(rowsMax === undefined ? {} : { rowsMax }),
  }
}

function readWindow(reader: DocumentReader | undefined): GrantWindow | undefined {
  if (reader === undefined) return undefined
  const afterMs = reader.text('after', parseInstant)
  const beforeMs = reader.text('before', parseInstant)
  const hours = reader.text('hours', parseHours)
  if (afterMs !== undefined && beforeMs !== undefined && afterMs >= beforeMs) {
    reader.problem('before', 'is not later than after, so the grant would never hold')
  }
  reader.refuseOthers(unknownField)
  const window = {
    ...(afterMs === undefined ? {} : { afterMs }),
    ...(beforeMs === undefined ? {} : { beforeMs }),
    ...(hours === undefined ? {} : { hours: hours.text }),
  }
  return Object.keys(window).length === 0 ? undefined : window
}

function readClient(reader: DocumentReader | undefined): GrantClient | undefined {
  if (reader === undefined) return undefined
  const cidr = reader.has('cidr')
    ? reader.strings('cidr', (text) => {
        const found = parseCidr(text)
        return typeof found === 'string' ? found : undefined
      })
    : undefined
  const minLevel = reader.text('minLevel', (text) => {
    const level = levels.indexOf(text)
    return level === -1 ? `must be one of ${levels.join(', ')}` : level
  })
  reader.refuseOthers(unknownField)
  const client = {
    ...(cidr === undefined ? {} : { cidr }),
    ...(minLevel === undefined ? {} : { minLevel }),
  }
  return Object.keys(client).length === 0 ? undefined : client
}

function readBudget(reader: DocumentReader | undefined): Budget {
  const budget: Partial<Record<BudgetKind, number>> = {}
  if (reader === undefined) return budget
  for (const kind of budgetKinds) {
    const isWithUnit = kind === 'bytes' && reader.isText(kind)
    const cap = isWithUnit ? reader.text(kind, parseBytes) : reader.number(kind, countProblem)
    if (cap !== undefined) budget[kind] = cap
  }
  reader.refuseOthers(unknownField)
  return budget
}

function readDelegate(reader: DocumentReader | undefined): DelegateLimits {
  if (reader === undefined) return {}
  const depth = reader.number('depth', countProblem)
  const children = reader.number('children', countProblem)
  const agents = reader.number('agents', countProblem)
  const ttlMs = reader.text('ttl', parseTtl)
  const detach = reader.boolean('detach')
  reader.refuseOthers(unknownField)
  return {
    ...(depth === undefined ? {} : { depth }),
    ...(children === undefined ? {} : { children }),
    ...(agents === undefined ? {} : { agents }),
    ...(ttlMs === undefined ? {} : { ttlMs }),
    ...(detach === undefined ? {} : { detach }),
  }
}

function countProblem(value: number): string | undefined {
  return Number.isSafeInteger(value) && value >= 0
    ? undefined
    : 'must be a whole number, at least 0'
}

function unknownField(name: string, known: readonly string[]): string {
  return `is not known here${suggest(name, known)}`
}

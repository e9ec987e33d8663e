import { type ColumnPattern, SallyportError } from '@sallyport/core'
import type { SetupLogin } from './guard-runs.ts'
import type { GuardOptions } from './plan-types.ts'

const guardActions = ['plan', 'apply', 'adopt', 'check', 'drop'] as const

/** What `connections guard` asks for. */
export interface GuardRequest {
  readonly action: (typeof guardActions)[number]
  /** Undefined where none is stated: what was applied last holds on. */
  readonly options: Partial<GuardOptions>
  readonly setup: SetupLogin | undefined
}

const lookupsMax = 1_000_000
const windowSecondsMax = 7 * 86_400

/** Checks a request that came from outside, and names every field that is wrong at once. */
export function parseGuardRequest(input: unknown): GuardRequest {
  const given = isRecord(input) ? input : {}
  const problems = Object.keys(given)
    .filter((field) => !['action', 'setup', 'writes', 'lookup', 'closePublic'].includes(field))
    .map((field) => `${field} is not a field of a guard`)
  const action = guardActions.find((each) => each === given['action'])
  if (action === undefined) problems.push(`action must be one of ${guardActions.join(', ')}`)
  const setup = readSetup(given['setup'], problems)
  if ((action === 'apply' || action === 'drop') && setup === undefined) {
    problems.push('setup must be the login that may change roles and rights: {user, password}')
  }
  const options = {
    ...readWrites(given['writes'], problems),
    ...readLookup(given['lookup'], problems),
    ...(given['closePublic'] === undefined ? {} : { closePublic: given['closePublic'] === true }),
  }
  if (problems.length === 0 && action !== undefined) return { action, options, setup }
  const detail = problems.join('; ')
  throw new SallyportError('SP_CONFIG_INVALID', detail, { detail })
}

function readSetup(value: unknown, problems: string[]): SetupLogin | undefined {
  if (value === undefined) return undefined
  const { user, password } = isRecord(value) ? value : {}
  if (typeof user === 'string' && user !== '' && typeof password === 'string') {
    return { user, password }
  }
  problems.push('setup must be {user, password}')
  return undefined
}

function readWrites(value: unknown, problems: string[]): Partial<Pick<GuardOptions, 'writes'>> {
  if (value === undefined) return {}
  if (value === 'none' || value === 'clean') return { writes: value }
  problems.push('writes must be none or clean')
  return {}
}

function readLookup(value: unknown, problems: string[]): Partial<Pick<GuardOptions, 'lookup'>> {
  if (value === undefined) return {}
  const { columns, count, windowSeconds } = isRecord(value) ? value : {}
  const isCount = (number: unknown, max: number): number is number =>
    typeof number === 'number' && Number.isInteger(number) && number > 0 && number <= max
  const patterns = Array.isArray(columns) ? columns.map(readPattern) : []
  if (!isCount(count, lookupsMax) || !isCount(windowSeconds, windowSecondsMax)) {
    problems.push(`lookup needs a count up to ${lookupsMax} in up to ${windowSecondsMax} seconds`)
    return {}
  }
  const known = patterns.filter((pattern) => pattern !== undefined)
  if (known.length === 0 || known.length < patterns.length) {
    problems.push('lookup.columns must be a list of [schema.]table.column')
    return {}
  }
  return { lookup: { columns: known, count, windowSeconds } }
}

function readPattern(text: unknown): ColumnPattern | undefined {
  if (typeof text !== 'string') return undefined
  const parts = text.match(/"(?:[^"]|"")*"|[^."]+/gu) ?? []
  if (parts.join('.') !== text || parts.length < 2 || parts.length > 3) return undefined
  return parts.map((part) =>
    part.startsWith('"') ? part.slice(1, -1).replaceAll('""', '"') : part,
  )
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

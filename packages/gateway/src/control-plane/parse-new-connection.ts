import { SallyportError } from '@sallyport/core'
import type { TargetTls } from '../boundary/snapshot.ts'
import { readSettings, settingNames, settingsDefault } from './connection-settings.ts'
import type { NewConnection } from './connections.ts'

const tlsModes: readonly string[] = ['full', 'ca', 'require', 'off']
const knownFields = [
  'name',
  'labels',
  'host',
  'port',
  'user',
  'password',
  'database',
  'tls',
  'ca',
  ...settingNames,
]

/** Checks a connection that came from outside, and names every field that is wrong at once. */
export function parseNewConnection(input: unknown): NewConnection {
  const given = isRecord(input) ? input : {}
  const problems = Object.keys(given)
    .filter((field) => !knownFields.includes(field))
    .map((field) => `${field} is not a field of a connection`)
  const text = (field: string, fallback?: string): string => {
    const value = given[field] ?? fallback
    if (typeof value === 'string' && value !== '' && !value.includes('\0')) return value
    problems.push(`${field} must be a text that is not empty`)
    return ''
  }
  const name = text('name')
  // The user name at the gateway is `<connection>.<credential>` in 64 bytes at most, so a name has no dot and 40 characters.
  if (name !== '' && !/^[a-z0-9][a-z0-9_-]{0,39}$/.test(name)) {
    problems.push('name must be lower-case letters, digits, "-" and "_", 40 at most')
  }
  const connection: NewConnection = {
    name,
    labels: labels(given['labels'] ?? {}, problems),
    host: text('host'),
    port: port(given['port'] ?? 5432, problems),
    user: text('user'),
    password: typeof given['password'] === 'string' ? given['password'] : '',
    database: text('database', typeof given['user'] === 'string' ? given['user'] : undefined),
    tls: tls(given['tls'] ?? 'full', given['ca'], problems),
    settings: { ...settingsDefault, ...readSettings(given, problems) },
  }
  if (problems.length === 0) return connection
  const detail = problems.join('; ')
  throw new SallyportError('SP_CONFIG_INVALID', detail, { detail })
}

function labels(value: unknown, problems: string[]): Record<string, string> {
  if (!isRecord(value)) {
    problems.push('labels must be an object')
    return {}
  }
  const entries: [string, string][] = []
  for (const [key, label] of Object.entries(value)) {
    if (typeof label === 'string') entries.push([key, label])
    else problems.push(`labels.${key} must be a text`)
  }
  return Object.fromEntries(entries)
}

function port(value: unknown, problems: string[]): number {
  if (typeof value === 'number' && Number.isInteger(value) && value > 0 && value < 65_536)
    return value
  problems.push('port must be a number from 1 to 65535')
  return 0
}

function tls(mode: unknown, ca: unknown, problems: string[]): TargetTls {
  if (!isTlsMode(mode)) problems.push(`tls must be one of ${tlsModes.join(', ')}`)
  if (ca !== undefined && typeof ca !== 'string') problems.push('ca must be a PEM text')
  return { mode: isTlsMode(mode) ? mode : 'full', ...(typeof ca === 'string' ? { ca } : {}) }
}

function isTlsMode(value: unknown): value is TargetTls['mode'] {
  return typeof value === 'string' && tlsModes.includes(value)
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

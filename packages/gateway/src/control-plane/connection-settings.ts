import { SallyportError } from '@sallyport/core'
import type { ConnectionConfig } from '../boundary/snapshot.ts'

const hourMs = 3_600_000

/** What can be set on a connection after it was added. */
export type ConnectionSettings = Pick<
  ConnectionConfig,
  'notices' | 'responses' | 'trustedFunctions' | 'masking' | 'holdMaxMs' | 'holdInTransactionMaxMs'
>

/** Settings of a connection that was added without any. */
export const settingsDefault: ConnectionSettings = {
  notices: 'auto',
  responses: 'masked',
  trustedFunctions: [],
  masking: 'lineage',
  holdMaxMs: 24 * hourMs,
  // A client that waits for a lock gives up after minutes, and everybody behind it with it.
  holdInTransactionMaxMs: 60_000,
}

export const settingNames: readonly string[] = Object.keys(settingsDefault)

const noticesValues = ['auto', 'always', 'never'] as const
const responsesValues = ['masked', 'shape'] as const
const maskingValues = ['lineage', 'guard'] as const
/** Every snapshot carries the list to every worker. */
const trustedFunctionsMax = 1000
/** A request lives no longer by any rule. */
const holdMsMax = 24 * hourMs
/** Locks that are held for longer than this stop a database. */
const holdInTransactionMsMax = hourMs
const holdMsMin = 1000
/** PostgreSQL cuts longer names, so a longer one would match nothing. */
const nameBytesMax = 63

/** Reads a change that came from outside: only the named settings change. */
export function parseSettingsChange(input: unknown): Partial<ConnectionSettings> {
  const problems: string[] = []
  const given = isRecord(input) ? input : {}
  for (const field of Object.keys(given)) {
    if (!settingNames.includes(field)) {
      problems.push(`${field} cannot be set; what can is ${settingNames.join(', ')}`)
    }
  }
  const change = readSettings(given, problems)
  if (problems.length === 0 && Object.keys(change).length === 0) {
    problems.push(`nothing to set: give ${settingNames.join(', ')}, or several of them`)
  }
  if (problems.length === 0) return change
  const detail = problems.join('; ')
  throw new SallyportError('SP_CONFIG_INVALID', detail, { detail })
}

/** Reads the settings among the fields of a connection; what is wrong with them is added to `problems`. */
export function readSettings(
  given: Readonly<Record<string, unknown>>,
  problems: string[],
): Partial<ConnectionSettings> {
  const notices = oneOf(given, 'notices', noticesValues, problems)
  // How many rows and bytes a command returned is part of every record, so there is no way to record less.
  const responses = oneOf(given, 'responses', responsesValues, problems)
  const masking = oneOf(given, 'masking', maskingValues, problems)
  const trustedFunctions = functions(given['trustedFunctions'], problems)
  const holdMaxMs = holdMs(given, 'holdMaxMs', holdMsMax, problems)
  const field = 'holdInTransactionMaxMs'
  const holdInTransactionMaxMs = holdMs(given, field, holdInTransactionMsMax, problems)
  return {
    ...(holdMaxMs === undefined ? {} : { holdMaxMs }),
    ...(holdInTransactionMaxMs === undefined ? {} : { holdInTransactionMaxMs }),
    ...(notices === undefined ? {} : { notices }),
    ...(responses === undefined ? {} : { responses }),
    ...(trustedFunctions === undefined ? {} : { trustedFunctions }),
    ...(masking === undefined ? {} : { masking }),
  }
}

function oneOf<T extends string>(
  given: Readonly<Record<string, unknown>>,
  field: string,
  values: readonly T[],
  problems: string[],
): T | undefined {
  const value = given[field]
  if (value === undefined) return undefined
  const found = values.find((each) => each === value)
  if (found === undefined) problems.push(`${field} must be one of ${values.join(', ')}`)
  return found
}

function holdMs(
  given: Readonly<Record<string, unknown>>,
  field: string,
  most: number,
  problems: string[],
): number | undefined {
  const value = given[field]
  if (value === undefined) return undefined
  if (Number.isInteger(value) && Number(value) >= holdMsMin && Number(value) <= most)
    return Number(value)
  problems.push(`${field} must be milliseconds, from ${holdMsMin} to ${most}`)
  return undefined
}

function functions(value: unknown, problems: string[]): string[] | undefined {
  if (value === undefined) return undefined
  if (!Array.isArray(value) || value.length > trustedFunctionsMax) {
    problems.push(`trustedFunctions must be a list of at most ${trustedFunctionsMax} names`)
    return undefined
  }
  const names = value.filter((name): name is string => isFunctionName(name))
  for (const name of value) {
    if (!isFunctionName(name)) {
      problems.push(
        `trustedFunctions: ${JSON.stringify(name)} is no schema.name, as the catalog spells it, without arguments or quotes`,
      )
    }
  }
  return [...new Set(names)].toSorted()
}

function isFunctionName(value: unknown): boolean {
  if (typeof value !== 'string' || /[\p{Cc}\s()"'*]/u.test(value)) return false
  const parts = value.split('.')
  const fits = (part: string): boolean => part !== '' && Buffer.byteLength(part) <= nameBytesMax
  return parts.length === 2 && parts.every(fits)
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

import { type ColumnPattern, SallyportError } from '@sallyport/core'
import type * as z from 'zod'
import type { guardRequest } from '../contract/connections.ts'
import type { SetupLogin } from './guard-runs.ts'
import type { GuardOptions } from './plan-types.ts'

/** What `connections guard` asks for. */
export interface GuardRequest {
  readonly action: 'plan' | 'apply' | 'adopt' | 'check' | 'drop'
  /** Undefined where none is stated: what was applied last holds on. */
  readonly options: Partial<GuardOptions>
  readonly setup: SetupLogin | undefined
}

/** Reads the names of columns in a request that was sent. Throws SP_CONFIG_INVALID. */
export function guardRequestOf({
  action,
  setup,
  writes,
  lookup,
  closePublic,
}: z.output<typeof guardRequest>): GuardRequest {
  return {
    action,
    setup,
    options: {
      ...(writes === undefined ? {} : { writes }),
      ...(lookup === undefined
        ? {}
        : { lookup: { ...lookup, columns: lookup.columns.map(readPattern) } }),
      ...(closePublic === undefined ? {} : { closePublic }),
    },
  }
}

function readPattern(text: string): ColumnPattern {
  const parts = text.match(/"(?:[^"]|"")*"|[^."]+/gu) ?? []
  if (parts.join('.') !== text || parts.length < 2 || parts.length > 3) {
    const detail = 'lookup.columns must be a list of [schema.]table.column'
    throw new SallyportError('SP_CONFIG_INVALID', detail, { detail })
  }
  return parts.map((part) =>
    part.startsWith('"') ? part.slice(1, -1).replaceAll('""', '"') : part,
  )
}

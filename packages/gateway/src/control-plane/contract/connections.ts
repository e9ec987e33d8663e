import type { AgentId, CredentialId } from '@sallyport/core'
import * as z from 'zod'
import { type Endpoints, media } from './endpoint.ts'
import { count, flag, given, id, list, moment, object, opt, text, upTo } from './schema.ts'

/** A target's name may be as long as a name of DNS. */
const hostCharactersMax = 255
/** PostgreSQL cuts names at 63 bytes; what stands before a target may know longer ones. */
const nameCharactersMax = 255
const passwordCharactersMax = 4096
const labelsMax = 64
const labelCharactersMax = 256
/** Every snapshot carries the list to every worker. */
const trustedFunctionsMax = 1000
const functionCharactersMax = 256
const hourMs = 3_600_000
/** A request lives no longer by any rule. */
const holdMsMax = 24 * hourMs
/** Locks that are held for longer than this stop a database. */
const holdInTransactionMsMax = hourMs
const holdMsMin = 1000
const lookupsMax = 1_000_000
const windowSecondsMax = 7 * 86_400
const lookupColumnsMax = 1000
const columnCharactersMax = 512
const allowMax = 1000
const allowCharactersMax = 4096

const settings = {
  notices: z.enum(['auto', 'always', 'never']),
  responses: z.enum(['masked', 'shape']),
  trustedFunctions: list(text),
  masking: z.enum(['lineage', 'guard']),
  holdMaxMs: z.int().describe('How long a command waits for an approval at most.'),
  holdInTransactionMaxMs: z
    .int()
    .describe('The same inside of a transaction, where others wait for its locks.'),
}

const settingNames = Object.keys(settings)

const givenSettings = {
  notices: settings.notices.optional(),
  // How many rows and bytes a command returned is part of every record, so there is no way to record less.
  responses: settings.responses.optional(),
  trustedFunctions: upTo(
    trustedFunctionsMax,
    given(functionCharactersMax).refine(isFunctionName, { error: notFunctionName }),
  )
    .transform((names) => [...new Set(names)].toSorted())
    .optional()
    .describe('Functions that masks may pass through, as schema.name.'),
  masking: settings.masking.optional(),
  holdMaxMs: holdMs('holdMaxMs', holdMsMax),
  holdInTransactionMaxMs: holdMs('holdInTransactionMaxMs', holdInTransactionMsMax),
}

function holdMs(field: string, most: number): z.ZodOptional<z.ZodInt> {
  const error = `${field} must be milliseconds, from ${holdMsMin} to ${most}`
  return z.int({ error }).min(holdMsMin, { error }).max(most, { error }).optional()
}

/** Of what does not fit, so much is said again. */
const shownCharactersMax = 100
/** PostgreSQL cuts longer names, so a longer one would match nothing. */
const functionBytesMax = 63

function isFunctionName(value: string): boolean {
  if (/[\p{Cc}\s()"'*]/u.test(value)) return false
  const parts = value.split('.')
  const fits = (part: string): boolean => part !== '' && Buffer.byteLength(part) <= functionBytesMax
  return parts.length === 2 && parts.every(fits)
}

function notFunctionName(issue: { readonly input?: unknown }): string {
  return `trustedFunctions: ${JSON.stringify(issue.input).slice(0, shownCharactersMax)} is no schema.name, as the catalog spells it, without arguments or quotes`
}

const tlsModes = z.enum(['full', 'ca', 'require', 'off'])

export const connectionView = object({
  name: text,
  type: z.literal('postgres'),
  labels: z.record(text, text),
  host: text,
  port: z.int(),
  user: text,
  database: text,
  tls: tlsModes,
  guardedAt: moment
    .nullable()
    .describe('When a guard was applied at the target; null where none is.'),
  ...settings,
  responses: z.enum(['masked', 'shape', 'none']),
}).meta({ id: 'Connection', description: 'All of a connection but its password.' })

/** A connection as people and scripts see it: everything but the password. */
export type ConnectionView = z.output<typeof connectionView>

// The user name at the gateway is `<connection>.<credential>` in 64 bytes at most, so a name has no dot and 40 characters.
const connectionName = z.string().regex(/^[a-z0-9][a-z0-9_-]{0,39}$/u, {
  error: 'name must be lower-case letters, digits, "-" and "_", 40 at most',
})

const wireText = (charactersMax: number): z.ZodString => given(charactersMax).regex(/^[^\0]*$/u)

export const newConnection = object({
  name: connectionName,
  labels: z
    .record(given(labelCharactersMax), z.string().max(labelCharactersMax))
    .refine((labels) => Object.keys(labels).length <= labelsMax, {
      error: `labels are ${labelsMax} at most`,
    })
    .optional(),
  host: wireText(hostCharactersMax),
  port: z
    .int({ error: 'port must be a number from 1 to 65535' })
    .min(1, { error: 'port must be a number from 1 to 65535' })
    .max(65_535, { error: 'port must be a number from 1 to 65535' })
    .optional()
    .describe('5432 where absent.'),
  user: wireText(nameCharactersMax),
  password: z.string().max(passwordCharactersMax).optional(),
  database: wireText(nameCharactersMax).optional().describe('The user where absent.'),
  tls: tlsModes.optional().describe('full where absent.'),
  ca: z.string().optional().describe('Certificates that may sign that of the target, as PEM.'),
  ...givenSettings,
}).meta({ id: 'NewConnection' })

export const settingsChange = object(givenSettings, (issue) =>
  issue.code === 'unrecognized_keys'
    ? `${issue.keys.join(', ')} cannot be set; what can is ${settingNames.join(', ')}`
    : undefined,
)
  .refine((change) => Object.values(change).some((value) => value !== undefined), {
    error: `nothing to set: give ${settingNames.join(', ')}, or several of them`,
  })
  .meta({ id: 'ConnectionSettings' })

const probeStep = z.enum(['ok', 'failed', 'skipped', 'off'])
const probeResult = object({
  reach: probeStep,
  tls: probeStep,
  login: probeStep,
  serverVersion: text.describe('Empty where the login failed.'),
  error: opt(object({ code: text, message: text })),
}).meta({ id: 'ProbeResult', description: 'How far a try at a target came.' })

export const guardRequest = object({
  action: z.enum(['plan', 'apply', 'adopt', 'check', 'drop']),
  setup: object({ user: given(nameCharactersMax), password: z.string().max(passwordCharactersMax) })
    .optional()
    .describe('The login that may change roles and rights: for apply and drop.'),
  writes: z.enum(['none', 'clean']).optional(),
  lookup: object({
    columns: upTo(lookupColumnsMax, given(columnCharactersMax), 1),
    count: z.int().min(1).max(lookupsMax),
    windowSeconds: z.int().min(1).max(windowSecondsMax),
  })
    .optional()
    .describe('Masked columns by whose true value callers may look rows up, and how often.'),
  closePublic: flag.optional(),
})
  .refine(({ action, setup }) => setup !== undefined || (action !== 'apply' && action !== 'drop'), {
    error: 'setup must be the login that may change roles and rights: {user, password}',
  })
  .meta({ id: 'GuardRequest' })

const guardEvent = z
  .discriminatedUnion('kind', [
    object({ kind: z.literal('progress'), step: text, done: count, of: count }),
    object({
      kind: z.literal('planned'),
      script: text,
      openings: list(text).describe('Rights of PUBLIC that lead past the masks, in words.'),
      notes: list(text),
    }),
    object({
      kind: z.literal('applied'),
      sets: list(object({ id: text, role: text })),
      relations: count,
      notes: list(text),
    }),
    object({
      kind: z.literal('checked'),
      unsafe: list(text).describe('What lets masked data out.'),
      drift: list(text).describe('What is not as it was applied.'),
    }),
    object({ kind: z.literal('dropped') }),
    object({ kind: z.literal('failed'), code: text, message: text }),
  ])
  .meta({ id: 'GuardEvent' })

/** One line of the answer to a guard request: progress as it is made, and at the end what came of it. */
export type GuardEvent = z.output<typeof guardEvent>

export const credentialRequest = object({
  connection: given(nameCharactersMax),
  allow: upTo(allowMax, given(allowCharactersMax))
    .optional()
    .describe('Such as shop:read; everything on the connection where absent or empty.'),
  ttlMs: z.number().optional(),
})

const issuedCredential = object({
  id: id<CredentialId>(),
  connection: text,
  agent: id<AgentId>().describe('The root agent that it belongs to.'),
  user: text,
  secret: text.describe('The only time that it is shown.'),
  expiresAtMs: z.int(),
}).meta({ id: 'IssuedCredential' })

/** The only time that the secret is shown. */
export type IssuedCredential = z.output<typeof issuedCredential>

const named = object({ name: given(nameCharactersMax) })

export const connectionEndpoints = {
  'GET /v1/connections': {
    does: 'Lists the connections.',
    who: 'owner',
    answer: list(connectionView),
  },
  'POST /v1/connections': {
    does: 'Adds a connection, or replaces the one of that name.',
    who: 'owner',
    body: newConnection,
    status: 201,
    answer: connectionView,
    fails: ['SP_RECORD_UNAVAILABLE'],
  },
  'GET /v1/connections/{name}': {
    does: 'Shows a connection.',
    who: 'owner',
    params: named,
    answer: connectionView,
    fails: ['SP_NOT_FOUND'],
  },
  'PATCH /v1/connections/{name}': {
    does: 'Changes the settings that are given, and no others.',
    who: 'owner',
    params: named,
    body: settingsChange,
    answer: connectionView,
    fails: ['SP_NOT_FOUND', 'SP_GUARD_MISSING', 'SP_RECORD_UNAVAILABLE'],
  },
  'DELETE /v1/connections/{name}': {
    does: 'Removes a connection and its credentials.',
    who: 'owner',
    params: named,
    status: 204,
    fails: ['SP_NOT_FOUND', 'SP_RECORD_UNAVAILABLE'],
  },
  'POST /v1/connections/{name}/test': {
    does: 'Tries to reach the target and to log in there.',
    who: 'owner',
    params: named,
    answer: probeResult,
    fails: ['SP_NOT_FOUND', 'SP_STATE_STALE'],
  },
  'POST /v1/connections/{name}/guard': {
    does: 'Makes the target enforce the masks, shows what that takes, looks whether it still does, or takes it away.',
    who: 'owner',
    params: named,
    body: guardRequest,
    answer: media({ 'application/x-ndjson': guardEvent }),
    fails: ['SP_NOT_FOUND', 'SP_RECORD_UNAVAILABLE'],
  },
  'POST /v1/credentials': {
    does: 'Makes a credential for callers of a connection, and a root agent that it belongs to.',
    who: 'owner',
    body: credentialRequest,
    status: 201,
    answer: issuedCredential,
    fails: ['SP_NOT_FOUND', 'SP_RECORD_UNAVAILABLE'],
  },
} as const satisfies Endpoints

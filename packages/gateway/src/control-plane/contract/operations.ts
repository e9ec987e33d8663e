import type { FactActor } from '@sallyport/core'
import * as z from 'zod'
import { channelStatus } from './channels.ts'
import type { Endpoints } from './endpoint.ts'
import { count, countIn, flag, given, list, moment, object, opaque, opt, text } from './schema.ts'

const queryCharactersMax = 4096
const afterCharactersMax = 256
const factLimitMax = 1000
const nameCharactersMax = 255

const port = z.int().min(0).max(65_535)

const deliveryStatus = object({
  name: text,
  type: text,
  where: text,
  waiting: count.describe('Events that wait.'),
  sinceMs: opt(z.number()).describe(
    'When the oldest of them happened, in milliseconds since the epoch; absent where none waits.',
  ),
  delivered: count.describe('Events that were delivered since the start.'),
  failures: count.describe('Tries that failed since the start.'),
  dropped: opt(count).describe('What was not told and never will be; absent where that cannot be.'),
  problem: opt(text).describe('Why it does not go on; absent while it does.'),
}).meta({ id: 'DeliveryStatus' })

/** What an export has done, and how far it is behind. */
export type DeliveryStatus = z.output<typeof deliveryStatus>

const exportTest = object({ name: text, where: text, ok: flag, problem: opt(text) }).meta({
  id: 'ExportTest',
})

/** How a try at an export went. */
export type ExportTest = z.output<typeof exportTest>

const shippingStatus = object({
  where: text,
  parts: count.describe('Sessions that are open, or not yet wholly in the store.'),
  pendingBytes: count,
  journalFiles: count,
  pendingSinceMs: opt(z.number()).describe(
    'When the oldest entry that is not in the store was recorded; absent where all is there.',
  ),
  anchoredAtMs: z.number(),
  problems: count.describe('What keeps recordings from being whole, as far as this run has seen.'),
  problem: opt(text).describe('Why it does not go on; absent while it does.'),
})

/** How far recordings are on their way into their store. Times are milliseconds since the epoch. */
export type ShippingStatus = z.output<typeof shippingStatus>

const copyStatus = object({
  where: text,
  behind: z.number().describe('Anchors that are in the recording store and not there yet.'),
  problem: opt(text).describe('Why it does not go on; absent while it does.'),
  missing: list(count).describe(
    'Numbers of anchors that were gone from the recording store before they could be copied, as far as this run has seen.',
  ),
})

/** How far the copies of anchors are at one place. */
export type CopyStatus = z.output<typeof copyStatus>

const searchStatus = object({
  pendingBytes: count.describe('Of rows that wait to be written.'),
  rebuilding: opt(object({ parts: count })).describe(
    'While the recordings are read again, how many parts were.',
  ),
  problem: opt(text).describe('Why it does not go on; absent while it does.'),
})

/** What `status` tells of the index. */
export type SearchStatus = z.output<typeof searchStatus>

const status = object({
  version: text,
  pid: count,
  dataDir: text,
  storage: text,
  host: text,
  ports: object({ api: port, postgres: port, metrics: opt(port) }),
  demo: flag,
  shipping: shippingStatus,
  anchors: list(copyStatus),
  journal: object({
    maxBytes: count.describe('Of all workers together.'),
    minFreeBytes: count.describe('Of the disk that they are on.'),
    bytes: count,
    freeBytes: opt(count).describe("Absent where the disk can't be asked."),
  }),
  search: searchStatus,
  exports: object({ all: list(deliveryStatus), problems: text }),
  channels: object({ all: list(channelStatus), problems: text }),
  policies: object({ version: count, rules: count, problems: text }),
  workers: list(
    object({
      worker: count,
      pid: count.optional().describe('Absent while it is being started.'),
      state: text,
      snapshotVersion: count,
      restarts: count,
    }),
  ),
}).meta({ id: 'Status' })

/** What `GET /v1/status` answers. */
export type Status = z.output<typeof status>

const foundFact = object({
  at: moment,
  ledger: text.describe('The ledger that holds it: replay and verify take the id.'),
  position: count.describe('Its place there.'),
  what: text,
  by: text as unknown as z.ZodType<FactActor, FactActor>,
  actor: text,
  chain: list(text).describe('Names of the agent that did it, root first.'),
  path: list(text).describe('The ids of the same.'),
  subject: text,
  source: text,
  detail: z.unknown(),
}).meta({ id: 'Fact' })

/** A fact as it was found. */
export type FoundFact = z.output<typeof foundFact>

const ledgerPage = object({
  facts: list(foundFact).describe('Newest first.'),
  next: opt(text).describe('Give it as after for the next page; absent on the last.'),
}).meta({ id: 'LedgerPage' })

/** Facts that a search of the ledger found. */
export type LedgerPage = z.output<typeof ledgerPage>

const keysView = object({
  current: text,
  first: text,
  changes: list(
    object({
      from: text,
      to: text,
      anchor: count.describe('The number of the first anchor that the new key signs.'),
      at: moment,
    }),
  ).describe('Oldest first.'),
}).meta({ id: 'Keys' })

/** The keys that the node has signed its recordings with, by their thumbprints (RFC 7638). */
export type KeysView = z.output<typeof keysView>

export const operationEndpoints = {
  'GET /v1/status': { does: 'Tells how the gateway is.', who: 'owner', answer: status },
  'GET /v1/ledger': {
    does: 'Searches what was done through the control plane, newest first.',
    who: 'owner',
    query: object({
      q: z.string().max(queryCharactersMax).optional().describe('All facts where absent.'),
      limit: countIn(1, factLimitMax).optional().describe('20 where absent.'),
      after: given(afterCharactersMax).optional().describe('The `next` of the page before.'),
    }),
    answer: ledgerPage,
    fails: ['SP_QUERY_INVALID', 'SP_RECORD_UNAVAILABLE'],
  },
  'GET /v1/keys': {
    does: 'Shows which keys sign the recordings, and signed them before.',
    who: 'owner',
    answer: keysView,
  },
  'POST /v1/keys/rotate': {
    does: 'Signs with a new key from here on.',
    who: 'owner',
    status: 201,
    answer: keysView,
    fails: ['SP_RECORD_UNAVAILABLE', 'SP_RECORDINGS_AWAY'],
  },
  'GET /v1/event-exports': {
    does: 'Lists where events are told, and how far each is behind.',
    who: 'owner',
    answer: list(deliveryStatus),
  },
  'POST /v1/event-exports/{name}/test': {
    does: 'Sends an event that says that it is a test.',
    who: 'owner',
    params: object({ name: given(nameCharactersMax) }),
    answer: exportTest,
    fails: ['SP_NOT_FOUND', 'SP_RECORD_UNAVAILABLE'],
  },
} as const satisfies Endpoints

export const publicEndpoints = {
  'GET /healthz': {
    does: 'Tells that the API answers.',
    who: 'anybody',
    answer: object({ ok: z.literal(true) }),
  },
  'GET /v1/openapi.json': {
    does: 'Hands this document out.',
    who: 'anybody',
    answer: opaque<object>('An OpenAPI document, version 3.1.'),
  },
} as const satisfies Endpoints

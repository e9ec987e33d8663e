import { mkdir } from 'node:fs/promises'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { takeDataLock } from './adapters/data-lock.ts'
import { ExportFeed } from './exports/export-feed.ts'
import { Outbox } from './exports/outbox.ts'
import { anchorSetting, openRecordings } from './recordings/open-recordings.ts'
import { openPgliteStore } from './adapters/pglite-store.ts'
import { openPostgresStore } from './adapters/postgres-store.ts'
import { AgentService } from './agents/agent-service.ts'
import { Connections } from './connections.ts'
import type { ControlPlaneOptions } from './control-plane-options.ts'
import { Credentials } from './credentials.ts'
import { GatewayCounts } from './metrics/gateway-counts.ts'
import { type DataKeys, loadDataKeys } from './keys/data-keys.ts'
import type { AnchorCopier } from './recordings/copies/anchor-copier.ts'
import { openCopiers } from './recordings/copies/open-copiers.ts'
import { KeyRing } from './keys/key-ring.ts'
import type { JournalLedger } from './ledger/journal-ledger.ts'
import { openLedger } from './ledger/open-ledger.ts'
import type { Store } from './ports/store.ts'
import { Exporter } from './recordings/export/exporter.ts'
import { SearchIndex } from './recordings/index/search-index.ts'
import { LiveSessions } from './recordings/live/live-sessions.ts'
import type { RecordingSources } from './recordings/recordings.ts'
import type { LastAnchor } from './recordings/shipping/anchors.ts'
import { Observers } from './recordings/shipping/observers.ts'
import { ShippedParts } from './recordings/shipping/shipped-parts.ts'
import { Shipper } from './recordings/shipping/shipper.ts'
import { Retention } from './retention/retention.ts'
import { readSetting, writeSetting } from './settings.ts'
import { SessionIndex } from './session-index.ts'
import { Snapshots } from './snapshots.ts'

/** What stands on the store, and is there before anything listens. */
export interface Parts {
  readonly options: ControlPlaneOptions
  /** The operating system's user name of the local owner. */
  readonly owner: string
  readonly journalDir: string
  readonly store: Store
  readonly keys: DataKeys
  readonly connections: Connections
  readonly agents: AgentService
  readonly ledger: JournalLedger
  readonly retention: Retention
  readonly credentials: Credentials
  readonly sessions: SessionIndex
  readonly snapshots: Snapshots
  readonly shipper: Shipper
  readonly signingKeys: KeyRing
  readonly copiers: readonly AnchorCopier[]
  readonly exporter: Exporter
  readonly live: LiveSessions
  readonly index: SearchIndex
  readonly counts: GatewayCounts
  readonly outbox: Outbox
  readonly feed: ExportFeed
  /** All that is recorded, shipped or not. */
  readonly recorded: RecordingSources
  /** Something failed that nobody waits for. */
  readonly fault: (error: unknown) => void
}

/** Opens the store, which may take seconds, and all that stands on it. */
export async function openParts(
  options: ControlPlaneOptions,
  undo: AsyncDisposableStack,
): Promise<Parts> {
  const fault = (error: unknown): void => {
    const message = error instanceof Error ? error.message : String(error)
    options.onEvent({ kind: 'fault', message })
  }
  await mkdir(options.dataDir, { recursive: true, mode: 0o700 })
  const store = await openStore(options, undo)
  const keys = await loadDataKeys(options.dataDir)
  const journalDir = join(options.dataDir, 'journal')
  await mkdir(journalDir, { recursive: true, mode: 0o700 })
  const owner = userInfo().username
  const ledger = await openLedger(options, {
    keys,
    journalDir,
    owner,
    storage: store.version,
    onFault: fault,
  })
  undo.defer(() => ledger.close('aborted'))
  const connections = new Connections(store, keys.kek, ledger)
  const counts = new GatewayCounts()
  const onClosure = counts.closure
  const agents = await AgentService.open(store, { onFault: fault, owner, ledger, onClosure })
  agents.start()
  undo.defer(() => agents.stop())
  const recordings = await openRecordings(options, store)
  undo.defer(() => recordings.close())
  const recordingKey = keys.recording.expose()
  const shippedParts = new ShippedParts(store)
  const recorded: RecordingSources = {
    journalDir,
    recordingKey,
    recordings,
    hold: () => shipper.hold(),
  }
  const index = new SearchIndex({ store, sources: () => recorded, onFault: fault })
  const signingKeys = await KeyRing.open(options.dataDir)
  const outbox = new Outbox(store)
  const feed = new ExportFeed(outbox)
  const shipper = new Shipper({
    journalDir,
    recordingKey,
    parts: shippedParts,
    anchors: {
      load: async () => (await readSetting(store, anchorSetting)) as LastAnchor | undefined,
      save: async (last) => await writeSetting(store, anchorSetting, last),
    },
    recordings,
    signingKeys,
    index: new Observers([index, feed]),
    now: () => Date.now(),
    onFault: fault,
  })
  const copiers = await openCopiers(options.anchors ?? [], {
    store,
    recordings,
    newest: () => shipper.newestAnchor,
    onFault: fault,
  })
  const sessions = new SessionIndex(store)
  await sessions.closeLost('the gateway ended')
  const retention = new Retention({
    dataDir: options.dataDir,
    store,
    recordings,
    ledger,
    settleLedger: async () => await shipper.settle([ledger.id]),
    inJournals: () => shipper.inJournals(),
    index: () => index.status(),
    now: () => Date.now(),
    onFault: fault,
  })
  return {
    options,
    owner,
    journalDir,
    store,
    keys,
    connections,
    agents,
    ledger,
    retention,
    credentials: new Credentials(store, agents, owner),
    sessions,
    snapshots: new Snapshots(store, connections, keys.mask),
    shipper,
    signingKeys,
    copiers,
    recorded,
    index,
    counts,
    live: new LiveSessions({
      journalDir,
      standing: () => shipper.standing(),
      sessions: async (ids) => await sessions.live(ids),
      onFault: fault,
    }),
    outbox,
    feed,
    exporter: new Exporter(recorded, shippedParts, shipper),
    fault,
  }
}

async function openStore(options: ControlPlaneOptions, undo: AsyncDisposableStack): Promise<Store> {
  if (options.databaseUrl === undefined) {
    const embedded = await openPgliteStore(options.dataDir)
    undo.defer(() => embedded.close())
    return embedded
  }
  // The journal and the keys are in the folder whatever the database, so it is held in both cases.
  const lock = await takeDataLock(options.dataDir)
  undo.defer(() => lock.release())
  const onServer = await openPostgresStore(options.databaseUrl)
  undo.defer(() => onServer.close())
  return onServer
}

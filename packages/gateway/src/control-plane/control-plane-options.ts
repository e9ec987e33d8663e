import type { BirthEvent } from './births/ports.ts'
import type { SignalEvent } from './signals/signal.ts'
import type { OpenLedgerJournal } from '../boundary/ledger-journal.ts'
import type { JournalConfig } from '../boundary/messages.ts'
import type { ApprovalLimits } from './approvals/approval-rates.ts'
import type { JournalBounds } from './recordings/journal-space.ts'

/** A running demo database. */
export interface DemoDatabase {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly password: string
  readonly database: string
  close(): Promise<void>
}

/** Ports; there are metrics where theirs is given. */
export interface GatewayPorts {
  readonly api: number
  readonly postgres: number
  readonly metrics?: number
}

/** What the gateway is started with. */
export interface ControlPlaneOptions {
  readonly dataDir: string
  /** 0 takes any free port. */
  readonly ports: GatewayPorts
  readonly host: string
  /** Where metrics are served, if a port is; this machine alone where absent. */
  readonly metricsHost?: string
  /** One per core, 8 at most, where absent. */
  readonly workers?: number
  readonly durability: JournalConfig['durability']
  /** A PostgreSQL database for the control plane; an embedded one where absent. */
  readonly databaseUrl?: string
  readonly demo: boolean
  /** Where recordings are kept: a folder, or `s3://bucket/prefix?…`. A folder in the data folder where absent. */
  readonly recordings?: string
  /** Where anchors are copied to: folders, buckets, webhooks. */
  readonly anchors?: readonly string[]
  /** The folder of channels that tell of requests for approval; `channels` in the data folder where absent. */
  readonly channels?: string
  /** How large all journals may become, and how much of their disk stays free. */
  readonly journal?: JournalBounds
  /** How often people may approve; see `APPROVAL_LIMITS`. */
  readonly approvalLimits?: Partial<ApprovalLimits>
  /** Where browsers and workloads reach the API, without a slash at the end; `http://host:port` where absent. */
  readonly publicUrl?: string
  /** Accepts callers without TLS too: for measurements, and for callers on the same machine. */
  readonly plainText?: boolean
  /** Things that operators should read as they happen. */
  readonly onEvent: (event: ControlPlaneEvent) => void
  /** The parts that stand outside the control plane. */
  readonly parts: ControlPlaneParts
}

/** Parts that `main.ts` puts in: the control plane imports nothing of the data plane or the demo. */
export interface ControlPlaneParts {
  readonly workerEntry: URL
  readonly openLedgerJournal: OpenLedgerJournal
  readonly startDemo: (options: { dataDir: string; port: number }) => Promise<DemoDatabase>
}

export type ControlPlaneEvent =
  | {
      readonly kind: 'step'
      readonly step: 'storage' | 'policies' | 'demo' | 'workers' | 'api'
      readonly text: string
      readonly ms: number
    }
  | { readonly kind: 'policies.loaded'; readonly version: number; readonly rules: number }
  | { readonly kind: 'policies.refused'; readonly text: string }
  /** The files of the folder `identity` were read again; `problems` is empty where they are in force. */
  | { readonly kind: 'identity.read'; readonly problems: string }
  /** The files of the folder `exports` were read again; `problems` is empty where they are in force. */
  | { readonly kind: 'exports.read'; readonly problems: string }
  /** The files of the folder of channels were read again; `problems` is empty where they are in force. */
  | { readonly kind: 'channels.read'; readonly problems: string }
  | { readonly kind: 'birth'; readonly event: BirthEvent }
  | { readonly kind: 'signal'; readonly event: SignalEvent }
  | { readonly kind: 'worker.lost'; readonly worker: number; readonly why: string }
  | { readonly kind: 'fault'; readonly message: string }

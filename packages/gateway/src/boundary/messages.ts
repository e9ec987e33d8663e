import type { AgentId, ApprovalId, SessionId } from '@sallyport/core'
import type {
  Admission,
  AdmissionRequest,
  AgentChanges,
  ClosedByAgent,
  Lease,
  LeaseRequest,
} from './agents.ts'
import type { HoldAnswer, HoldAsked, TargetQuestions } from './approvals.ts'
import type { WorkerCounts } from './counts.ts'
import type { ConnectionConfig, Snapshot, TargetPlace } from './snapshot.ts'
import type { TrialRequest, TrialResult } from './trial.ts'

/** Control plane to data-plane worker. */
export type ToWorker =
  | {
      readonly kind: 'start'
      readonly config: WorkerConfig
      readonly snapshot: Snapshot
      readonly agents: AgentChanges
    }
  | { readonly kind: 'snapshot'; readonly snapshot: Snapshot }
  /** Sent every second; a worker that misses it for `staleAfterMs` refuses new commands. One that is behind asks for what it missed. */
  | {
      readonly kind: 'heartbeat'
      readonly snapshotVersion: number
      readonly agentsVersion: number
    }
  | { readonly kind: 'agents'; readonly changes: AgentChanges }
  /** Sent to a worker that is slow to confirm a change: where that was lost, it asks for it. */
  | { readonly kind: 'agents.version'; readonly version: number }
  | { readonly kind: 'admission'; readonly id: number; readonly admission: Admission }
  | ({ readonly kind: 'leased'; readonly id: number } & Lease)
  | { readonly kind: 'hold.answered'; readonly id: ApprovalId; readonly answer: HoldAnswer }
  /** While it is held: something for its caller to read. */
  | { readonly kind: 'hold.told'; readonly id: ApprovalId; readonly text: string }
  /** A cancel request that arrived at another worker. */
  | { readonly kind: 'cancel'; readonly key: CancelKey }
  /** Tries a target once, as a session would, and answers `probed`. */
  | { readonly kind: 'probe'; readonly id: string; readonly connection: ConnectionConfig }
  /** Judges a command that nobody sends, and answers `tried`. */
  | { readonly kind: 'try'; readonly id: string; readonly request: TrialRequest }
  /** Ends sessions in order, then exits. */
  | { readonly kind: 'stop'; readonly graceMs: number }

/** Data-plane worker to control plane. */
export type FromWorker =
  | { readonly kind: 'ready'; readonly worker: number; readonly port: number }
  | { readonly kind: 'loaded'; readonly worker: number; readonly snapshotVersion: number }
  | {
      readonly kind: 'failed'
      readonly worker: number
      readonly code: string
      readonly message: string
    }
  | { readonly kind: 'cancel'; readonly worker: number; readonly key: CancelKey }
  /** Changes were lost on the way: asks for all agents. */
  | { readonly kind: 'agents.missed'; readonly worker: number }
  /** The changes up to this version are in force here, and the sessions that they end are closed. */
  | {
      readonly kind: 'agents.applied'
      readonly worker: number
      readonly version: number
      readonly closed: readonly ClosedByAgent[]
    }
  | { readonly kind: 'admit'; readonly id: number; readonly request: AdmissionRequest }
  | { readonly kind: 'lease'; readonly id: number; readonly request: LeaseRequest }
  | { readonly kind: 'lease.return'; readonly request: LeaseRequest }
  /** A command waits for an approval; the answer is `hold.answered`. */
  | {
      readonly kind: 'hold.asked'
      readonly hold: HoldAsked
      readonly questions: TargetQuestions
    }
  /** Nobody waits for the answer any more. */
  | { readonly kind: 'hold.withdrawn'; readonly id: ApprovalId; readonly why: string }
  | { readonly kind: 'probed'; readonly id: string; readonly result: ProbeResult }
  | { readonly kind: 'tried'; readonly id: string; readonly result: TrialResult }
  /** Sent before anything of the session can reach its target. Kept in memory only, and never logged. */
  | { readonly kind: 'target.opened'; readonly session: SessionId; readonly target: OpenedTarget }
  /** What was counted since the last of these, about once a second. */
  | { readonly kind: 'counted'; readonly worker: number; readonly counts: WorkerCounts }
  | { readonly kind: 'session.opened'; readonly session: SessionOpened }
  | { readonly kind: 'session.closed'; readonly session: SessionClosed }

/** How far a try at a target came. A step that was not reached is `skipped`, never shown as good. */
export interface ProbeResult {
  readonly reach: ProbeStep
  readonly tls: ProbeStep
  readonly login: ProbeStep
  /** Empty where the login failed. */
  readonly serverVersion: string
  readonly error?: { readonly code: string; readonly message: string }
}

export type ProbeStep = 'ok' | 'failed' | 'skipped' | 'off'

export interface WorkerConfig {
  readonly worker: number
  readonly node: string
  readonly listen: { readonly host: string; readonly port: number }
  /** PEM. */
  readonly tls: { readonly cert: string; readonly key: string }
  readonly tlsRequired: boolean
  readonly journal: JournalConfig
  /** Nobody is started for workers of this number and above: what they left is this worker's to recover. */
  readonly recoversFrom?: number
  readonly limits: Limits
  readonly staleAfterMs: number
  readonly logLevel: string
}

export interface JournalConfig {
  readonly dir: string
  readonly durability: 'auto' | 'disk' | 'process'
  /** Below this much free disk, in bytes, commands are refused. */
  readonly minFreeBytes: number
  /** Total size of this worker's journal files, in bytes, at which commands are refused. */
  readonly maxBytes: number
  /** Wraps each session's key: base64, 32 bytes. */
  readonly recordingKey: string
}

export interface Limits {
  readonly messageBytesMax: number
  readonly startupBytesMax: number
  readonly loginMsMax: number
  readonly preparedStatementsMax: number
  readonly portalsMax: number
  readonly sessionsMax: number
}

/** Process id and secret of a PostgreSQL BackendKeyData, as the caller got them from the gateway. */
export interface CancelKey {
  readonly processId: number
  /** Base64: four bytes in protocol 3.0, up to 256 in 3.2. */
  readonly secret: string
}

/** What ends a statement at the target when the worker of its session can't. */
export interface OpenedTarget {
  readonly place: TargetPlace
  /** The target's own BackendKeyData; callers have other keys. */
  readonly processId: number
  readonly secretKey: Uint8Array
}

export interface SessionOpened {
  readonly id: SessionId
  readonly worker: number
  readonly connection: string
  readonly database: string
  readonly credential: string
  readonly agent: AgentId
  /** Ids, root first, the agent last. */
  readonly path: readonly AgentId[]
  /** Attribution level, 0 to 4. */
  readonly level: number
  /** Names, root first. */
  readonly chain: readonly string[]
  readonly application: string
  readonly source: string
  readonly openedAtMs: number
}

export interface SessionClosed {
  readonly id: SessionId
  readonly closedAtMs: number
  readonly reason: string
  readonly commands: number
  readonly blocked: number
  readonly maskedValues: number
}

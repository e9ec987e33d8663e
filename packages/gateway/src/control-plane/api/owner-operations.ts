import type { ErrorCode } from '@sallyport/core'
import type { ProbeResult } from '../../boundary/messages.ts'
import type { ChannelOperations } from '../approvals/channels/channel-routes.ts'
import type { ConnectionSettings } from '../connection-settings.ts'
import type { NewConnection } from '../connections.ts'
import type { ConnectionView, IssuedCredential } from '../contract/connections.ts'
import type {
  DeliveryStatus,
  ExportTest,
  KeysView,
  LedgerPage,
  Status,
} from '../contract/operations.ts'
import type { Hold, RetentionPlan, RetentionReport } from '../contract/retention.ts'
import type { SearchPage, SessionView } from '../contract/sessions.ts'
import type { CredentialRequest } from '../credentials.ts'
import type { GuardRequest } from '../guard/guard-request.ts'
import type { IncidentOperations } from '../incidents/incident-routes.ts'
import type { PolicyOperations } from '../policies/policy-routes.ts'
import type { RecordingForm } from '../recorded-session.ts'
import type { SearchRequest } from '../recordings/index/query/search-sessions.ts'
import type { ViewForm } from '../recordings/live/live-view.ts'

/** What the API does for the owner; the control plane provides it. */
export interface OwnerOperations
  extends ConnectionOperations, GatewayOperations, RecordingOperations, RetentionOperations {
  readonly channels: ChannelOperations
  readonly incidents: IncidentOperations
  readonly policies: PolicyOperations
  /** A caller reads that it was refused. */
  refused(code: ErrorCode): void
}

export interface ConnectionOperations {
  listConnections(): Promise<readonly ConnectionView[]>
  getConnection(name: string): Promise<ConnectionView>
  putConnection(connection: NewConnection): Promise<ConnectionView>
  setConnection(name: string, change: Partial<ConnectionSettings>): Promise<ConnectionView>
  removeConnection(name: string): Promise<void>
  testConnection(name: string): Promise<ProbeResult>
  /** JSON lines, as they come about. */
  guardConnection(name: string, request: GuardRequest): Promise<AsyncIterable<string>>
  issueCredential(request: CredentialRequest): Promise<IssuedCredential>
}

export interface GatewayOperations {
  status(): Promise<Status>
  /** Facts of the ledger, newest first. */
  readLedger(request: SearchRequest): Promise<LedgerPage>
  listKeys(): Promise<KeysView>
  /** Signs with a new key from here on. */
  rotateKey(): Promise<KeysView>
  listExports(): Promise<readonly DeliveryStatus[]>
  /** Sends an event that says that it is a test. */
  testExport(name: string): Promise<ExportTest>
}

export interface RecordingOperations {
  listSessions(): Promise<readonly SessionView[]>
  searchSessions(request: SearchRequest): Promise<SearchPage>
  readSession(idPrefix: string, form: RecordingForm): Promise<AsyncIterable<string>>
  /** What is recorded from now on, of one session, of a tree, or of all that a search names; see `LiveView`. */
  watch(of: string, form: ViewForm): Promise<AsyncIterable<string>>
  /** A ZIP archive, piece by piece. */
  exportSessions(idPrefixes: readonly string[]): Promise<AsyncIterable<Uint8Array>>
  /** Makes the index of searches anew; `status` tells when it is done. */
  reindex(): Promise<void>
}

export interface RetentionOperations {
  planRetention(): Promise<RetentionPlan>
  applyRetention(): Promise<RetentionReport>
  /** Of a session or an agent, by id or the beginning of it. */
  addHold(subject: string, reason: string): Promise<Hold>
  listHolds(): Promise<readonly Hold[]>
  removeHold(id: string, reason: string): Promise<void>
}

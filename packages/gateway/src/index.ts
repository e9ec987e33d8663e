export { playDemo, startGateway, type GatewayOptions } from './main.ts'
export { printProblems } from './control-plane/policies/config-problem.ts'
export { readPolicyFiles } from './control-plane/policies/load-policy-folder.ts'
export type { ControlPlane } from './control-plane/control-plane.ts'
export type { ControlPlaneEvent, Status } from './control-plane/control-plane-options.ts'
export type { FoundFact, LedgerPage } from './control-plane/ledger/read-ledger.ts'
export type { KeysView } from './control-plane/api.ts'
export type { ConnectionView } from './control-plane/connections.ts'
export type { GuardEvent } from './control-plane/guard/guards.ts'
export type { IssuedCredential } from './control-plane/credentials.ts'
export { verifyPlace, type VerifyPlace } from './control-plane/recordings/export/verify-place.ts'
export type {
  FoundSession,
  SearchPage,
} from './control-plane/recordings/index/query/search-sessions.ts'
export type { LiveLine } from './control-plane/recordings/live/live-view.ts'
export type { Step } from './control-plane/recordings/steps.ts'
export type { SessionView } from './control-plane/session-index.ts'
export type { ProbeResult } from './boundary/messages.ts'

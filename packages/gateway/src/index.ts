export { playDemo, startGateway, type GatewayOptions } from './main.ts'
export { printProblems } from './control-plane/policies/config-problem.ts'
export { readPolicyFiles, type PolicyFile } from './control-plane/policies/load-policy-folder.ts'
export { lintPolicies, type LintKnowledge } from './control-plane/policies/lint/lint-policies.ts'
export type { Finding, LintReport } from './control-plane/policies/lint/finding.ts'
export { testsOfRecorded } from './workbench/record-tests.ts'
export { dangerMatrix, type DangerCell } from './workbench/danger-matrix.ts'
export { runPolicyTests, type TestReport, type TestResult } from './workbench/run-tests.ts'
export type { ControlPlane } from './control-plane/control-plane.ts'
export type { ControlPlaneEvent } from './control-plane/control-plane-options.ts'
export { verifyPlace, type VerifyPlace } from './control-plane/recordings/export/verify-place.ts'
export type { ProbeResult } from './boundary/messages.ts'
export type { ApprovalView } from './control-plane/approvals/approval.ts'
export type { ApprovalStats } from './control-plane/contract/approval-stats.ts'
export type { GlassBegun, GlassView } from './control-plane/contract/break-glass.ts'
export type { BundleView } from './control-plane/approvals/bundles.ts'
export type { ShapeView } from './control-plane/approvals/shapes.ts'
export type { Told } from './control-plane/approvals/preview/preview.ts'
export type {
  Explanation,
  PolicyVersion,
  PolicyVersionView,
  KnownGroup,
  SimulationEvent,
  SimulationReport,
  Change,
  RecordedCommand,
} from './control-plane/contract/policies.ts'
export type {
  Status,
  FoundFact,
  LedgerPage,
  KeysView,
  DeliveryStatus,
  ExportTest,
} from './control-plane/contract/operations.ts'
export type {
  ChannelStatus,
  ChannelTest,
  ChatLinkView,
  NoticeView,
} from './control-plane/contract/channels.ts'
export type { Hold, RetentionPlan, RetentionReport } from './control-plane/contract/retention.ts'
export type {
  ConnectionView,
  GuardEvent,
  IssuedCredential,
} from './control-plane/contract/connections.ts'
export type {
  FoundSession,
  SearchPage,
  LiveLine,
  Step,
  SessionView,
} from './control-plane/contract/sessions.ts'
export type {
  HeldIncident,
  IncidentView,
  IncidentReport,
} from './control-plane/contract/incident-views.ts'
export type {
  Answered,
  Asked,
  Asking,
  Call,
  JsonCall,
  MediaCall,
} from './control-plane/contract/client.ts'

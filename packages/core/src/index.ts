export {
  printChain,
  type AgentState,
  type Budget,
  type BudgetKind,
  type Chain,
  type ChainAgent,
  type GrantClient,
  type GrantLayer,
  type GrantWindow,
  type Permission,
  type Principal,
} from './chain.ts'
export {
  COARSE_CLASSES,
  EFFECT_CLASSES,
  type Access,
  type CoarseClass,
  type Command,
  type EffectClass,
  type Effects,
  type ObjectName,
  type SqlEffects,
} from './command.ts'
export { ERRORS, SallyportError, type ErrorCode, type ErrorEntry } from './errors.ts'
export {
  idCharacters,
  idLetter,
  isLedgerId,
  makeId,
  type AgentId,
  type ApprovalId,
  type CommandId,
  type CredentialId,
  type DecisionId,
  type SessionId,
} from './ids.ts'
export { Secret } from './secret.ts'
export { SharedSync } from './shared-sync.ts'
export {
  INFERENCE_MODES,
  type InferenceMode,
  type MaskFunction,
  type MaskRule,
  type Refusal,
  type Verdict,
} from './verdict.ts'
export {
  agentWords,
  areMet,
  demandsOf,
  describeDemands,
  isNamedIn,
  keyOfDemands,
  refusalOfApprover,
  sameDemands,
  withinOf,
  type ApprovalDemand,
  type Approver,
  type CountsFor,
  type Requester,
  type RuleDemand,
} from './approval/demand.ts'
export { RULE_SUBJECTS, type Policy, type Rule, type RuleSubject } from './policy/policy.ts'
export type {
  Clause,
  ClauseTree,
  CompileResult,
  Condition,
  ConditionEngine,
  CostMeter,
  FactPath,
  Facts,
  FactSchema,
  Outcome,
  Problem,
} from './policy/condition-engine.ts'
export {
  COMMAND_UNITS,
  ENTRY_KINDS,
  FACT_ACTORS,
  HOLD_OUTCOMES,
  RESPONSE_STATUSES,
  type AnsweredEntry,
  type CancelledEntry,
  type CommandEntry,
  type CommandFacts,
  type FactsEntry,
  type CommandUnit,
  type CopyDataEntry,
  type Entry,
  type FactActor,
  type FactEntry,
  type HeldEntry,
  type HoldOutcome,
  type MaskedEntry,
  type NoticeEntry,
  type RefusedEntry,
  type ResponseDataEntry,
  type ResponseEndEntry,
  type ResponseStatus,
  type SessionClosedEntry,
  type SessionOpenedEntry,
} from './entry/entry.ts'
export { ByteWriter } from './entry/byte-writer.ts'
export { ChainVerifier, EntryChain } from './entry/entry-chain.ts'
export { decodeFileHeader, encodeFileHeader, type FileHeader } from './entry/file-header.ts'
export {
  isRecoveredListName,
  journalFileName,
  LEDGER_WORKER,
  parseJournalFileName,
  parseRecoveredList,
  recoveredListName,
  type JournalName,
} from './entry/journal-names.ts'
export { JournalScanner, type Scanned } from './entry/journal-scanner.ts'
export {
  decodeEntry,
  encodeEntry,
  RECORD_BYTES_MAX,
  recordBytes,
  type DecodedRecord,
  type DecodeResult,
} from './entry/record.ts'
export { unwrapSessionKey, wrapSessionKey } from './entry/session-key.ts'
export { canonicalLayer } from './grant/canonical-layer.ts'
export {
  decideGrant,
  decideOpening,
  opensConnection,
  type GrantAllowed,
  type GrantDecision,
  type GrantRefused,
  type GrantRequest,
  type OpeningRequest,
} from './grant/decide-grant.ts'
export type { DocumentProblem } from './grant/document-reader.ts'
export {
  canonicalGrant,
  parseGrantDocument,
  type DelegateLimits,
  type GrantDocument,
  type ParsedGrant,
} from './grant/grant-document.ts'
export {
  cutTo,
  foldLayers,
  grantLeq,
  missingFrom,
  type CutLayer,
  type Missing,
} from './grant/grant-leq.ts'
export { parseAllow, type ParsedAllow } from './grant/parse-allow.ts'
export { layerProblem } from './grant/permission.ts'
export { printAllow } from './grant/print-allow.ts'
export { suggest } from './grant/suggest.ts'
export { parseBytes, parseInstant, parseTtl, printTtl } from './grant/units.ts'
export { hoursHold, parseHours } from './grant/hours.ts'
export { parseCidr } from './grant/cidr.ts'
export {
  compileCondition,
  compilePolicies,
  type CompiledPolicies,
  type CompiledPoliciesResult,
  type CompiledRule,
  type PolicyProblem,
} from './policy/compile-policies.ts'
export {
  decidePolicies,
  decideSelected,
  type PolicyOutcome,
  type RuleError,
} from './policy/decide.ts'
export { explainDecision, type ExplainedDecision, type ExplainedRule } from './policy/explain.ts'
export {
  clausesIn,
  explainClauses,
  factAt,
  type ClauseState,
  type ExplainedClause,
  type ExplainedTree,
} from './policy/explain-clauses.ts'
export {
  effectsFactsJson,
  FactsReader,
  sessionFactsJson,
  type RecordedSource,
  type SessionFacts,
} from './policy/recorded-facts.ts'
export { factSchema } from './policy/fact-schema.ts'
export { matchesAny } from './policy/star-glob.ts'
export { selectRules, type RuleConnection, type SelectedRules } from './policy/select-rules.ts'
export {
  buildSessionFacts,
  buildSqlFacts,
  printObjectName,
  type FactSource,
} from './policy/sql-facts.ts'
export {
  BLOCK,
  MASK_STRENGTH,
  calendarStep,
  isMaskFunction,
  numberStep,
  strongest,
  type Block,
} from './mask/mask-function.ts'
export { MaskKey } from './mask/mask-key.ts'
export { SENTINEL, maskText } from './mask/mask-text.ts'
export type { PgTypeInfo, PgTypes } from './mask/pg/pg-type-info.ts'
export { emptyPgValue, type PgFormat } from './mask/pg/pg-empty-value.ts'
export { isJsonType, isTextLike, isTextType, OID } from './mask/pg/pg-types.ts'
export {
  compilePgMask,
  maskPgValue,
  type PgMask,
  type PgMaskTarget,
} from './mask/pg/mask-pg-value.ts'
export { DETECTORS, DETECTOR_GROUPS, validateDetector } from './mask/detect/detectors.ts'
export { findDetections, type Detection } from './mask/detect/find-detections.ts'
export {
  DetectorSet,
  maskDetections,
  type DetectRule,
  type MaskedDetections,
  type Syntax,
} from './mask/detect/mask-detections.ts'
export { matchesColumn, matchesGlob, type ColumnPattern } from './mask/column-pattern.ts'
export { digestIn, violationsIn, violationsSql, type GuardedSet } from './guard/guard-violations.ts'
export { ident, idents, literal, qualified } from './guard/sql-text.ts'
export { coversMasks, maskSetOf, type MaskLine, type MaskSet } from './guard/mask-set.ts'
export { md5Password } from './md5-password.ts'
export {
  SCRAM_ITERATIONS,
  SCRAM_SALT_BYTES,
  ScramError,
  mockVerifier,
  scramVerifier,
  type ScramMechanism,
  type ScramVerifier,
} from './scram.ts'
export { ScramServerExchange, type ScramOutcome } from './scram-server.ts'
export { SCRAM_ITERATIONS_MAX, ScramClientExchange, chooseScramMechanism } from './scram-client.ts'
export { tlsServerEndPoint } from './tls-server-end-point.ts'
export {
  openSegment,
  parseSegment,
  sealSegment,
  SEGMENT_BYTES_MAX,
  segmentHash,
  type SealedSegment,
  type SegmentHeader,
} from './recording/segment.ts'
export {
  PartReader,
  type Finding,
  type ObjectSource,
  type PartItem,
  type PartSummary,
  type StoredRecord,
} from './recording/part-reader.ts'
export type { AnchorCopy, ComparedAnchors } from './recording/compare-anchors.ts'
export { openKeyChange, type KeyChange } from './recording/key-changes.ts'
export {
  extractName,
  extractSealName,
  type ExtractedLedger,
  type LedgerExtract,
  type VerifiedExtract,
} from './recording/ledger-extract.ts'
export { storeKeys } from './recording/store-keys.ts'
export { storedThings } from './recording/stored-parts.ts'
export {
  verifyRecordings,
  type Verification,
  type VerifyRequest,
} from './recording/verify-recordings.ts'
export { fieldsOf, membersOf, SigningKeys, thumbprint } from './recording/signed.ts'
export { tellVerification } from './recording/tell-verification.ts'
export { visibleJson, visibleText } from './visible-text.ts'

import type { AgentId, Approver } from '@sallyport/core'
import type { HoldAsked } from '../../../boundary/approvals.ts'
import type { ApprovalDecision, ApprovalState } from '../../approvals/approval.ts'
import type { Preview } from '../../approvals/preview/preview.ts'
import type { Json, NullableTimestamp, Timestamp } from './columns.ts'

/** Requests for approval. */
export interface ApprovalTables {
  approval: ApprovalTable
  approval_answer: ApprovalAnswerTable
  approved_shape: ApprovedShapeTable
  break_glass: BreakGlassTable
}

export interface ApprovalTable {
  id: string
  state: ApprovalState
  wait: 'hold' | 'return'
  session_id: string
  agent_id: string
  root_id: string
  connection: string
  binding: string
  asked: Json<HoldAsked>
  asked_at: Timestamp
  until_at: Timestamp
  ended_at: NullableTimestamp
  note: string
  /** What it would do, without rows of the target. */
  preview: Json<Omit<Preview, 'sample'>> | null
}

export interface ApprovedShapeTable {
  /** Of the request that was approved by its shape. */
  id: string
  rules: string
  by_names: Json<readonly string[]>
  since: Timestamp
  until_at: Timestamp
  uses: number
  ended_at: NullableTimestamp
  why: string
}

/** Commands that nobody was asked for. */
export interface BreakGlassTable {
  id: string
  grant_name: string
  by_whom: Json<Approver>
  agent_id: AgentId
  connections: Json<readonly string[]>
  reason: string
  incident_id: string
  opened_at: Timestamp
  until_at: Timestamp
  uses: number
  skipped: Json<readonly string[]>
  ended_at: NullableTimestamp
  why: string
}

export interface ApprovalAnswerTable {
  approval_id: string
  approver_id: string
  approver: Json<Approver>
  answer: ApprovalDecision
  note: string
  at: Timestamp
}

import { SallyportError, type Approver, type RuleDemand } from '@sallyport/core'
import type { HoldAsked } from '../../boundary/approvals.ts'
import type { Preview } from './preview/preview.ts'

/** How a request for approval stands. `used`: it was approved, and its command went on. */
export type ApprovalState = 'pending' | 'approved' | 'used' | 'denied' | 'expired' | 'withdrawn'

export type ApprovalDecision = 'approve' | 'deny'

/** What one person, or one agent, said to a request. */
export interface ApprovalAnswer {
  readonly approver: Approver
  readonly answer: ApprovalDecision
  readonly note: string
  readonly atMs: number
  /** For how long others of its shape need nobody's yes, `30m`; absent for this command alone. */
  readonly shape?: string
}

/** A request for approval as the API shows it. Times are ISO 8601. */
export interface ApprovalView {
  readonly id: string
  readonly state: ApprovalState
  readonly session: string
  readonly seq: number
  readonly agent: string
  /** Names, root first. */
  readonly chain: readonly string[]
  readonly level: number
  readonly connection: string
  readonly database: string
  readonly application: string
  readonly source: string
  /** The command as the caller sent it, perhaps cut: `textLength` is of the whole, in characters. */
  readonly text: string
  readonly textLength: number
  readonly parameters: readonly (string | null)[]
  readonly class: string
  readonly verb: string
  readonly objects: readonly string[]
  readonly unbounded: boolean
  readonly opaque: readonly string[]
  readonly inTransaction: boolean
  /** Whose approval is asked for, by which rules. */
  readonly demands: readonly DemandView[]
  readonly policyVersion: number
  /** SHA-256 of all that the approval is bound to. */
  readonly binding: string
  readonly wait: 'hold' | 'return'
  readonly askedAt: string
  readonly until: string
  readonly endedAt?: string
  readonly answers: readonly AnswerView[]
  /** Why it was withdrawn. */
  readonly note?: string
  /** Where many of its shape wait and all rules offer it: what it may be answered with. */
  readonly bundle?: { readonly id: string; readonly title: string }
  /** What it would do; absent before anybody has looked, and for the tree that asks. The sample only while it waits. */
  readonly preview?: PreviewView
}

export type PreviewView = Omit<Preview, 'sample'> & Partial<Pick<Preview, 'sample'>>

export interface DemandView {
  readonly rule: string
  readonly message: string
  readonly from: readonly string[]
  readonly count: number
  readonly selfRoot: 'deny' | 'allow'
  /** How it may be approved: `once`, `shape-30m`. */
  readonly offer: readonly string[]
}

export interface AnswerView {
  readonly by: string
  readonly kind: Approver['kind']
  readonly answer: ApprovalDecision
  readonly note: string
  readonly at: string
}

/** A request, and all that was said to it. */
export interface ApprovalRecord {
  readonly asked: HoldAsked
  readonly state: ApprovalState
  readonly rootId: string
  readonly answers: readonly ApprovalAnswer[]
  readonly endedAtMs?: number
  readonly note: string
  readonly preview?: PreviewView
  readonly bundle?: { readonly id: string; readonly title: string }
}

export function viewOf(record: ApprovalRecord): ApprovalView {
  const { asked, state, answers, endedAtMs, note, preview, bundle } = record
  const { path: _path, demands, objects, askedAtMs, untilMs, ...shown } = asked
  return {
    ...shown,
    state,
    objects: objects.map((object) => object.join('.')),
    demands: demands.map(demandView),
    askedAt: iso(askedAtMs),
    until: iso(untilMs),
    ...(endedAtMs === undefined ? {} : { endedAt: iso(endedAtMs) }),
    answers: answers.map(({ approver, answer, note: said, atMs }) => ({
      by: approver.name,
      kind: approver.kind,
      answer,
      note: said,
      at: iso(atMs),
    })),
    ...(note === '' ? {} : { note }),
    ...(bundle === undefined ? {} : { bundle }),
    ...(preview === undefined ? {} : { preview }),
  }
}

function demandView({ rule, message, demand }: RuleDemand): DemandView {
  const { from, count, selfRoot, offer } = demand
  return { rule, message, from, count, selfRoot, offer }
}

function iso(ms: number): string {
  return new Date(ms).toISOString()
}

/** Who asks may not answer like this. */
export function answerRefused(detail: string): SallyportError {
  return new SallyportError('SP_APPROVAL_REFUSED', detail, { detail })
}

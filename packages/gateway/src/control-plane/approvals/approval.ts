import { SallyportError, type Approver, type RuleDemand } from '@sallyport/core'
import type { HoldAsked } from '../../boundary/approvals.ts'
import type {
  AnswerView,
  ApprovalDecision,
  ApprovalState,
  ApprovalView,
  DemandView,
  PreviewView,
} from '../contract/approval-views.ts'

export type { AnswerView, ApprovalDecision, ApprovalState, ApprovalView, PreviewView }

/** What one person, or one agent, said to a request. */
export interface ApprovalAnswer {
  readonly approver: Approver
  readonly answer: ApprovalDecision
  readonly note: string
  readonly atMs: number
  /** For how long others of its shape need nobody's yes, `30m`; absent for this command alone. */
  readonly shape?: string
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
  readonly often?: number
}

export function viewOf(record: ApprovalRecord): ApprovalView {
  const { asked, state, answers, endedAtMs, note, preview, bundle, often } = record
  const { path, demands, objects, askedAtMs, untilMs, ...shown } = asked
  return {
    ...shown,
    tree: path[0] ?? asked.agent,
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
    ...(often === undefined ? {} : { often }),
    ...(preview === undefined ? {} : { preview }),
  }
}

function demandView({ rule, message, demand }: RuleDemand): DemandView {
  const { from, count, selfRoot, offer, chatRowsMax } = demand
  const chat = chatRowsMax === undefined ? {} : { chatRowsMax }
  return { rule, message, from, count, selfRoot, offer, ...chat }
}

function iso(ms: number): string {
  return new Date(ms).toISOString()
}

/** Who asks may not answer like this. */
export function answerRefused(detail: string): SallyportError {
  return new SallyportError('SP_APPROVAL_REFUSED', detail, { detail })
}

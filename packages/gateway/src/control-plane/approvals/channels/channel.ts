import { DeliveryError } from '../../exports/delivery/destination.ts'
import type { ToldApproval } from './told-approval.ts'

/** What is told of requests for approval. `decided` is approved or denied. */
export const NOTICE_KINDS = ['requested', 'decided', 'expired', 'withdrawn'] as const
export type NoticeKind = (typeof NOTICE_KINDS)[number]

/** `dropped`: it will not be told any more; why stands beside it. */
export type NoticeState = 'waiting' | 'delivered' | 'dropped'

/** One message: what happened of one kind in one tree, in a minute at most. */
export interface Notice {
  /** The same whenever it is tried again. */
  readonly id: string
  readonly kind: NoticeKind
  /** The root agent of the tree that asks. */
  readonly tree: string
  /** Milliseconds since the epoch. */
  readonly begunAtMs: number
  /** All requests that it is about, oldest first; `approvals` may be the first of them. */
  readonly count: number
  readonly approvals: readonly ToldApproval[]
  /** Of an end: the messages that told of these requests when they began, as they would read now. */
  readonly earlier: readonly EarlierMessage[]
}

export interface EarlierMessage {
  readonly receipt: Receipt
  readonly count: number
  readonly approvals: readonly ToldApproval[]
}

/** What a channel has to know of a message to find it again. `refused`: for whom it was not taken, while it was for others. */
export type Receipt = Readonly<Record<string, string>>

/** A way in which requests for approval reach people and systems. It tells; nothing that it does or fails to do decides. */
export interface Channel {
  /** For people; no secret stands in it. */
  readonly where: string
  /** Read by people: a request that has ended needs nobody's attention any more, and is not told as one that waits. */
  readonly isForPeople: boolean
  /** Ends are written into the message that told of the beginning, at once. */
  readonly edits: boolean
  /** Of one message. */
  readonly approvalsMax: number
  /** Resolves once the message is there. Rejects with a `DeliveryError` where it may not be. */
  deliver(notice: Notice, signal: AbortSignal): Promise<Receipt | undefined>
  /** Sends a message that says that it is a test. Rejects as `deliver`. */
  test(signal: AbortSignal): Promise<void>
  /** Resolves when nothing is held open any more. */
  close(): Promise<void>
}

/** A message that this channel will never take, however often it is tried. Its text holds no secret. */
export class MessageRefused extends DeliveryError {}

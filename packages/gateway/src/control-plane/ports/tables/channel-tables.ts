import type { Generated } from 'kysely'
import type { NoticeKind, NoticeState } from '../../approvals/channels/channel.ts'
import type { Json, NullableTimestamp, Timestamp } from './columns.ts'

/** What is told about requests for approval. */
export interface ChannelTables {
  channel_notice: ChannelNoticeTable
  channel_told: ChannelToldTable
}

export interface ChannelNoticeTable {
  id: Generated<string>
  channel: string
  kind: NoticeKind
  /** The root agent. */
  tree: string
  state: NoticeState
  begun_at: Timestamp
  /** When it is tried next. */
  due_at: Timestamp
  tries: number
  ended_at: NullableTimestamp
  problem: string
  /** What the channel needs to find its message again. */
  receipt: Json<unknown> | null
}

export interface ChannelToldTable {
  channel: string
  approval_id: string
  phase: 'requested' | 'ended'
  notice_id: string
}

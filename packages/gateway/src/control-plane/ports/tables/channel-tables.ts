import type { Generated } from 'kysely'
import type { NoticeKind, NoticeState } from '../../approvals/channels/channel.ts'
import type { Json, NullableTimestamp, Timestamp } from './columns.ts'

/** What is told about requests for approval. */
export interface ChannelTables {
  channel_notice: ChannelNoticeTable
  channel_told: ChannelToldTable
  chat_link: ChatLinkTable
  channel_lease: { channel: string; holder: string; until_at: Timestamp }
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

/** An account of a chat that a person has linked while logged in. */
export interface ChatLinkTable {
  team: string
  chat_user: string
  principal: string
  /** Of the person, as their provider had it. */
  name: string
  linked_at: Timestamp
}

export interface ChannelToldTable {
  channel: string
  approval_id: string
  phase: 'requested' | 'ended'
  notice_id: string
}

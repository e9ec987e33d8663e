import type { FactActor } from '@sallyport/core'
import type { ColumnType, Generated } from 'kysely'
import type { PartState } from '../../exports/facts/part-facts.ts'
import type { Int8, Json, NullableTimestamp, Timestamp } from './columns.ts'

/** Sessions, where their recordings are, and what is made from these to be searched and exported. */
export interface RecordingTables {
  command: CommandTable
  command_day: { day: ColumnType<Date, string, never>; commands: Int8; analyzed: Int8 }
  export_cursor: { name: string; position: Int8; since: Timestamp }
  export_event: { id: Generated<string>; uid: string; at: Timestamp; body: Json<unknown> }
  export_part: ExportPartTable
  erasure: { session_id: string; at: Timestamp }
  fact: FactTable
  incident: IncidentTable
  indexed_part: IndexedPartTable
  recording_part: RecordingPartTable
  legal_hold: LegalHoldTable
  search_term: { term: string; parts: string[] | null }
  session: SessionTable
}

export interface SessionTable {
  id: string
  worker: number
  connection: string
  database: string
  credential: string
  chain: Json<string[]>
  application: string
  source: string
  opened_at: Timestamp
  closed_at: ColumnType<Date | null, Date | null, Date | null>
  reason: string | null
  commands: Generated<number>
  blocked: Generated<number>
  masked_values: Generated<number>
  agent_id: Generated<string | null>
  path: Generated<string[] | null>
  level: Generated<number | null>
  /** What searches look up; see `recordings/index/terms.ts`. */
  terms: Generated<string[]>
}

/** How far a part of a session's recording is in the recording store. */
export interface RecordingPartTable {
  session_id: string
  /** `<worker>-<run>-<reference>`. */
  part: string
  worker: number
  run: number
  reference: Int8
  /** Position of the first entry that is not in the store. */
  shipped: number
  segments: number
  /** Of all segments. */
  bytes: Int8
  /** Chain hash of the last entry in the store, and SHA-256 of the last segment; hexadecimal, empty before the first. */
  head: string
  previous: string
  /** Numbers of the first and the newest anchor that name it; null where none does. */
  anchor_first: number | null
  anchor_last: number | null
  /** What keeps the recording from being whole, in words. */
  problems: Json<string[]>
  sealed_at: NullableTimestamp
}

/** A command as searches find it. */
export interface CommandTable {
  at: Timestamp
  session_id: string
  part: string
  /** Number of the command in its session. */
  seq: number
  id: string
  /** Empty where it was indexed before there was this column. */
  decision: string
  verdict: 'allowed' | 'held' | 'blocked'
  rules: string[]
  class: string
  verb: string
  /** Names as lists of parts. */
  objects: Json<string[][]>
  /** The beginning of the text; `text_bytes` is the length of the whole. */
  text: string
  text_bytes: number
  /** How the answer ended, or `refused`; null while it has not. */
  status: string | null
  /** SQLSTATE, or the code of a refusal. */
  code: string | null
  rows: Int8
  bytes: Int8
  /** Names of columns that came back. */
  columns: string[]
  /** Rules that masked values, and for each how many. */
  masks: string[]
  mask_values: string[]
  /** What searches look up; see `recordings/index/terms.ts`. */
  terms: string[]
}

/** How far a part of a session's recording is in the index. */
export interface IndexedPartTable {
  session_id: string
  part: string
  worker: number
  run: number
  /** Position of the first entry that was not read. */
  position: number
  /** Why no more of it is indexed. */
  problem: string | null
}

/** How far a part of a session's recording was read for exports. */
export interface ExportPartTable {
  session_id: string
  part: string
  worker: number
  run: number
  /** Position of the first entry that was not read. */
  position: number
  /** What is needed to go on; null where nothing more can come. */
  state: ColumnType<PartState | null, string | null, string | null>
}

/** What ledgers hold, to be searched. It is made from them, and they are the truth. */
export interface FactTable {
  session_id: string
  part: string
  position: number
  at: Timestamp
  what: string
  by_kind: FactActor
  actor: string
  chain: string[]
  path: string[]
  subject: string
  source: string
  detail: Json<unknown>
}

/** What an incident covers; see `incidents/incident.ts`. */
export interface IncidentTable {
  id: string
  title: string
  opened_by: string
  opened_at: Timestamp
  scope_kind: 'session' | 'agent' | 'query'
  scope: string
  from_at: NullableTimestamp
  until_at: NullableTimestamp
  sessions: string[]
  closed_at: NullableTimestamp
  closed_by: string | null
  close_note: string | null
  /** Of a glass that was broken: who did, and who may close it. */
  glass: ColumnType<IncidentGlass | null, string | null | undefined, string | null>
}

export interface IncidentGlass {
  readonly id: string
  readonly by: { readonly principal: string; readonly name: string }
  readonly review: readonly string[]
}

export interface LegalHoldTable {
  id: string
  kind: 'session' | 'tree'
  subject: string
  reason: string
  by_name: string
  at: Timestamp
}

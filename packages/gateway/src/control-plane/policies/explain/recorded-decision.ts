import {
  FactsReader,
  type CommandEntry,
  type RecordedSource,
  type SessionId,
  type SessionOpenedEntry,
} from '@sallyport/core'
import { sql } from 'kysely'
import type { Store } from '../../ports/store.ts'
import { sessionEntries, type RecordingSources } from '../../recordings/recordings.ts'

/** One decision, and what was recorded about it. */
export interface RecordedDecision {
  readonly session: SessionId
  readonly opened: SessionOpenedEntry
  readonly command: CommandEntry
  readonly atMs: number
  /** What the rules read then; undefined where it was not recorded, or the rules were not asked. */
  readonly source: RecordedSource | undefined
  readonly refused: { readonly code: string; readonly message: string } | undefined
  readonly masked: readonly { readonly rule: string; readonly values: number }[]
  /** Where masked columns came from, and what they decided. */
  readonly lineage: readonly string[]
}

/** Where a decision stands, by its id or the beginning of it; `many` where that is the beginning of several. */
export async function placeOfDecision(
  { db }: Store,
  prefix: string,
): Promise<{ session: string; decision: string } | 'many' | undefined> {
  const { rows } = await sql<{ session: string; decision: string }>`
    select session_id as session, decision from command
    where decision <> '' and decision >= ${prefix} and decision < ${`${prefix}~`} limit 2`.execute(
    db,
  )
  return rows.length > 1 ? 'many' : rows[0]
}

/** Reads a session up to the decision that is meant, and what is recorded of its command behind it. */
export async function readDecision(
  sources: RecordingSources,
  session: string,
  isMeant: (command: CommandEntry) => boolean,
): Promise<RecordedDecision | undefined> {
  const facts = new FactsReader()
  const masked: { rule: string; values: number }[] = []
  const lineage: string[] = []
  let opened: SessionOpenedEntry | undefined
  let found: Omit<RecordedDecision, 'refused' | 'masked' | 'lineage'> | undefined
  let refused: RecordedDecision['refused']
  for await (const item of sessionEntries(sources, session)) {
    if (item.kind === 'problem') continue
    const { entry } = item
    if (entry.kind === 'session.opened') opened = entry
    else if (entry.kind === 'facts') facts.take(entry)
    else if (entry.kind === 'command' && found === undefined) {
      if (opened === undefined || !isMeant(entry)) continue
      const source = facts.source(entry)
      found = { session: item.session, opened, command: entry, atMs: item.timeMs, source }
    } else if (found !== undefined && 'seq' in entry && entry.seq === found.command.seq) {
      if (entry.kind === 'refused') refused = { code: entry.code, message: entry.message }
      else if (entry.kind === 'masked') masked.push({ rule: entry.rule, values: entry.values })
      else if (entry.kind === 'lineage') lineage.push(...entry.text.split('\n'))
    }
  }
  return found === undefined ? undefined : { ...found, refused, masked, lineage }
}

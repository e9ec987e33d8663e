import type { AgentId, Approver } from '@sallyport/core'
import type { GlassView } from '../contract/break-glass.ts'

/** Who may break the glass, where, and for how long at most: an object of the identity files. */
export interface BreakGlassGrant {
  readonly name: string
  /** `owner`, `group:` and `user:`. Persons only. */
  readonly to: readonly string[]
  /** Names or globs of connections. */
  readonly connections: readonly string[]
  readonly maxMs: number
  /** Who may close the incident of a use, but for whom it was: in the same words. */
  readonly review: readonly string[]
}

/** A glass that was broken: for one agent, on some connections, for a while. */
export interface GlassRecord {
  readonly id: string
  readonly grant: string
  readonly by: Approver
  readonly agent: AgentId
  readonly connections: readonly string[]
  readonly reason: string
  readonly incident: string
  readonly openedAtMs: number
  readonly untilMs: number
  readonly uses: number
  /** Whom rules named that it was used in the place of. */
  readonly skipped: readonly string[]
  readonly endedAtMs?: number
  readonly why: string
}

export function viewOf(record: GlassRecord): GlassView {
  const { id, grant, by, agent, connections, reason, incident, uses, skipped, endedAtMs } = record
  return {
    id,
    state: endedAtMs === undefined ? 'open' : 'ended',
    grant,
    by: by.name,
    agent,
    connections,
    reason,
    incident,
    openedAt: iso(record.openedAtMs),
    until: iso(record.untilMs),
    uses,
    skipped,
    ...(endedAtMs === undefined ? {} : { endedAt: iso(endedAtMs), why: record.why }),
  }
}

function iso(ms: number): string {
  return new Date(ms).toISOString()
}

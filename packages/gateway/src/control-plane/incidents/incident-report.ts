import type { ExtractedLedger } from '@sallyport/core'
import type { IncidentView } from './incident.ts'

/** A place in a recording: `sallyport replay SESSION --at '#seq'` shows it. */
export interface Place {
  readonly session: string
  readonly seq?: number
}

/** A command, with what became of it. */
export interface CommandFact extends Place {
  readonly seq: number
  readonly at: string
  /** The agent that ran it. */
  readonly agent: string
  readonly connection: string
  readonly verdict: 'allowed' | 'held' | 'blocked'
  /** Who let it run that was held. */
  readonly approved?: { readonly by: readonly string[]; readonly approval: string }
  readonly rules: readonly string[]
  readonly class: string
  readonly verb: string
  readonly objects: readonly string[]
  /** The beginning of the text. */
  readonly text: string
  /** How the answer ended; absent where no end is recorded. */
  readonly status?: string
  readonly tag?: string
  readonly sqlState?: string
  /** Rows that came back. */
  readonly rows: number
  readonly refused?: { readonly code: string; readonly message: string }
}

/** Sensitive data that came back, put together by session and column. */
export interface ReturnedFact extends Place {
  readonly agent: string
  readonly chain: string
  readonly connection: string
  /** `masked`: a rule replaced the values. `clear`: a detector knows them in what the caller read. */
  readonly how: 'masked' | 'clear'
  /** The rule, or the detector. */
  readonly what: string
  /** Columns of answers; where a mask says from which columns, these. */
  readonly columns: readonly string[]
  readonly values: number
  /** Numbers of the commands, the first ones. */
  readonly commands: readonly number[]
}

export interface ChangeFact extends CommandFact {
  /** Rows, as the target's tag tells. */
  readonly changed?: number
  readonly outcome: 'done' | 'committed' | 'rolled back' | 'failed' | 'unknown'
}

/** Something that happened to an agent, from a ledger that was verified. */
export interface AgentFact {
  readonly at: string
  readonly what: string
  readonly agent: string
  readonly by: string
  readonly reason?: string
  readonly ledger: string
}

export interface SessionFact {
  readonly session: string
  readonly agent: string
  readonly chain: string
  readonly connection: string
  readonly database: string
  readonly level: number
  readonly source: string
  readonly application: string
  readonly openedAt: string
  readonly closedAt?: string
  /** Why it ended; absent where no end is recorded. */
  readonly reason?: string
  readonly commands: { readonly allowed: number; readonly held: number; readonly blocked: number }
}

export interface AgentOfIncident {
  readonly id: string
  readonly name: string
  readonly chain: string
  readonly parent?: string
  readonly principal: string
  readonly owner: string
  readonly born: string
  readonly createdAt: string
  readonly state: string
  readonly purpose?: string
  readonly ended?: { readonly at: string; readonly by: string; readonly reason: string }
}

/** What is not known, and where. */
export interface UnknownFact extends Partial<Place> {
  readonly what: string
}

/** How far the numbers are proven. */
export interface ReportProof {
  /** True where all entries that were counted are verified. */
  readonly isVerified: boolean
  readonly recordings: number
  readonly entries: number
  readonly unverifiedEntries: number
  readonly anchors: { readonly from: number; readonly to: number; readonly count: number }
  readonly anchoredAt?: string
  /** Thumbprints of the keys that signed. */
  readonly signedBy: readonly string[]
  readonly findings: readonly string[]
  readonly notes: readonly string[]
  /** Ledgers that facts were taken from, each verified from its beginning. */
  readonly ledgers: readonly ExtractedLedger[]
  /** Facts about this incident in them, all of which an archive holds. */
  readonly facts: number
}

/** The answers to the six questions of an incident. */
export interface IncidentReport {
  readonly type: 'sallyport.incident.1'
  readonly incident: IncidentView
  readonly madeAt: string
  readonly proof: ReportProof
  /** 1: who started the chain. */
  readonly started: {
    readonly roots: readonly AgentOfIncident[]
    readonly agents: readonly AgentOfIncident[]
    readonly births: readonly AgentFact[]
  }
  /** 2: what each agent ran. */
  readonly ran: {
    readonly sessions: readonly SessionFact[]
    readonly commands: readonly CommandFact[]
  }
  /** 3: what sensitive data came back and to whom. */
  readonly returned: readonly ReturnedFact[]
  /** 4: what changed at the targets. */
  readonly changed: readonly ChangeFact[]
  /** 5: what was stopped or approved, and by whom. */
  readonly stopped: {
    readonly commands: readonly CommandFact[]
    readonly agents: readonly AgentFact[]
  }
  /** 6: what is not known. */
  readonly unknown: readonly UnknownFact[]
}

import type { CoarseClass, ObjectName } from '../command.ts'
import type { ErrorCode } from '../errors.ts'
import type { ApprovalId, CommandId, DecisionId, SessionId } from '../ids.ts'
import type { Verdict } from '../verdict.ts'

/** How a command stood on the wire: a simple query, a parse, an execution, a function call, or a copy that runs. */
export const COMMAND_UNITS = ['query', 'parse', 'execute', 'function', 'copy'] as const
export type CommandUnit = (typeof COMMAND_UNITS)[number]

/** How the answer to a command ended. */
export const RESPONSE_STATUSES = ['complete', 'error', 'suspended', 'skipped', 'aborted'] as const
export type ResponseStatus = (typeof RESPONSE_STATUSES)[number]

/** A session began. Always the first entry of its chain; it carries the session's key, wrapped by the recording key. */
export interface SessionOpenedEntry {
  readonly kind: 'session.opened'
  readonly session: SessionId
  readonly worker: number
  readonly connection: string
  readonly database: string
  readonly credential: string
  /** Root first. */
  readonly chain: readonly { readonly id: string; readonly name: string }[]
  /** Attribution level of the credential, 0 to 4. */
  readonly level: number
  readonly application: string
  readonly source: string
  readonly tls: boolean
  readonly wrappedKey: Uint8Array
}

/** A command was judged. It stands in the journal before anything of it is forwarded. */
export interface CommandEntry {
  readonly kind: 'command'
  readonly id: CommandId
  /** Number of the command in its session, from 1. */
  readonly seq: number
  readonly decision: DecisionId
  readonly effect: Verdict['effect']
  readonly rules: readonly string[]
  readonly class: CoarseClass
  readonly verb: string
  readonly objects: readonly ObjectName[]
  /** The text as the caller sent it. */
  readonly text: Uint8Array
  readonly parameters: readonly (Uint8Array | null)[]
  /** Format codes of the parameters, as the protocol gives them: none, one for all, or one each. */
  readonly formats: readonly number[]
  readonly policyVersion: number
  readonly unit: CommandUnit
  /** What rules could read beside all this; absent in recordings of gateways that did not keep it. */
  readonly facts?: CommandFacts
}

/** Where the facts of a command stand: two `facts` entries before it, by number, and what changes with every command. */
export interface CommandFacts {
  readonly session: number
  readonly effects: number
  readonly inTransaction: boolean
  /** Size of the command on the wire. */
  readonly bytes: number
  /** When the rules were asked; absent where a grant or the agent's standing decided before them. */
  readonly askedAtMs?: number | undefined
}

/** Facts that many commands share stand once. Of a session: who asks for what, and from where. Of effects: what a text does. */
export interface FactsEntry {
  readonly kind: 'facts'
  /** From 1, counted in the session. */
  readonly number: number
  readonly about: 'session' | 'effects'
  /** A JSON object. */
  readonly json: string
}

export const FACTS_ABOUT = ['session', 'effects'] as const satisfies readonly FactsEntry['about'][]

/** Bytes of an answer, as the caller saw them. */
export interface ResponseDataEntry {
  readonly kind: 'response.data'
  readonly seq: number
  readonly bytes: Uint8Array
}

/** The answer to a command is over. */
export interface ResponseEndEntry {
  readonly kind: 'response.end'
  readonly seq: number
  readonly status: ResponseStatus
  /** The command tag, such as `SELECT 3`; empty where there is none. */
  readonly tag: string
  readonly rows: number
  readonly bytes: number
  /** The last bytes of the answer, as the caller saw them; those before stand in `response.data` entries. */
  readonly data?: Uint8Array | undefined
  readonly sqlState?: string | undefined
}

/** Values of an answer were masked by a rule. */
export interface MaskedEntry {
  readonly kind: 'masked'
  readonly seq: number
  readonly rule: string
  readonly values: number
}

/** Where the values of an answer come from, and what masked columns decided about it: a line for each. */
export interface LineageEntry {
  readonly kind: 'lineage'
  readonly seq: number
  readonly text: string
}

/** Copy data that went from the caller to the target. */
export interface CopyDataEntry {
  readonly kind: 'copy.data'
  readonly seq: number
  readonly bytes: Uint8Array
}

/** A command was not forwarded. */
export interface RefusedEntry {
  readonly kind: 'refused'
  readonly seq: number
  readonly code: ErrorCode
  readonly message: string
}

/** A command waits for an approval. */
export interface HeldEntry {
  readonly kind: 'held'
  readonly seq: number
  readonly approval: ApprovalId
  /** Whose: `1 of group:dba`. */
  readonly wants: string
  /** Milliseconds since the epoch at which no answer is a denial. */
  readonly untilMs: number
}

/** How a request for an approval ended. Only `approved` lets its command go on. */
export const HOLD_OUTCOMES = ['approved', 'denied', 'expired', 'withdrawn', 'pending'] as const
export type HoldOutcome = (typeof HOLD_OUTCOMES)[number]

/** A command that was held goes on, or does not. */
export interface AnsweredEntry {
  readonly kind: 'answered'
  readonly seq: number
  readonly approval: ApprovalId
  readonly outcome: HoldOutcome
  /** Names of those who answered. */
  readonly by: readonly string[]
  /** What they said to it, or why it was withdrawn. */
  readonly note: string
}

/** The caller asked to cancel the command; 0 where none ran. */
export interface CancelledEntry {
  readonly kind: 'cancelled'
  readonly seq: number
}

/** Something that belongs to the session as a whole. */
export interface NoticeEntry {
  readonly kind: 'notice'
  readonly text: string
}

/** A session ended. Always the last entry of its chain. */
export interface SessionClosedEntry {
  readonly kind: 'session.closed'
  readonly reason: string
  readonly commands: number
  readonly blocked: number
  readonly maskedValues: number
}

/** Who brings about what a fact tells of. */
export const FACT_ACTORS = ['gateway', 'owner', 'principal', 'agent', 'nobody'] as const
export type FactActor = (typeof FACT_ACTORS)[number]

/** Something that happened in the control plane. It stands in a ledger and nowhere else. */
export interface FactEntry {
  readonly kind: 'fact'
  /** What happened, by its name in the list of facts: `agent.revoked`. */
  readonly what: string
  readonly by: FactActor
  /** The name of whoever did it; of the gateway, what it noticed. */
  readonly actor: string
  /** The agent that did it, root first; empty where it was none. */
  readonly chain: readonly { readonly id: string; readonly name: string }[]
  /** What it was done to: the id of an agent or a session, the name of a connection, a user. */
  readonly subject: string
  /** Address that the request came from; empty where nobody asked. */
  readonly source: string
  /** A JSON object, small, without secrets. */
  readonly detail: string
}

/** One fact about a session, in order. */
export type Entry =
  | SessionOpenedEntry
  | CommandEntry
  | ResponseDataEntry
  | ResponseEndEntry
  | MaskedEntry
  | LineageEntry
  | CopyDataEntry
  | RefusedEntry
  | CancelledEntry
  | NoticeEntry
  | HeldEntry
  | AnsweredEntry
  | SessionClosedEntry
  | FactEntry
  | FactsEntry

/** The type byte of an entry is its index here. Only append: the numbers stand in files. */
export const ENTRY_KINDS = [
  'session.opened',
  'command',
  'response.data',
  'response.end',
  'masked',
  'copy.data',
  'refused',
  'cancelled',
  'notice',
  'session.closed',
  'lineage',
  'fact',
  'held',
  'answered',
  'facts',
] as const satisfies readonly Entry['kind'][]

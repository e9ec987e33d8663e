import type { CommandEntry, FactEntry, ResponseStatus } from '@sallyport/core'

/** What exports tell of a session with everything that happened in it. */
export interface FactSession {
  readonly id: string
  readonly openedAtMs: number
  readonly connection: string
  readonly database: string
  readonly credential: string
  /** Root first. */
  readonly chain: readonly { readonly id: string; readonly name: string }[]
  /** Attribution level of the credential, 0 to 4. */
  readonly level: number
  readonly application: string
  readonly source: string
}

/** A command and how it went: what stands in the recording, without parameters and answers. */
export interface FactCommand extends Pick<
  CommandEntry,
  'seq' | 'effect' | 'rules' | 'class' | 'verb' | 'objects' | 'unit'
> {
  readonly id: string
  readonly policyVersion: number
  readonly startedAtMs: number
  /** How it ended; `unknown` where the recording ends before it. */
  readonly status: ResponseStatus | 'refused' | 'unknown'
  /** SQLSTATE of an error, or the code of a refusal. */
  readonly code?: string
  readonly rows: number
  readonly bytes: number
  readonly masked: readonly { readonly rule: string; readonly values: number }[]
  /** The beginning of the text; there where an export asks for it. */
  readonly text?: string
}

/** Something that happened in the control plane; `session` is the ledger then. */
export interface ToldFact extends Pick<FactEntry, 'what' | 'by' | 'actor' | 'subject' | 'source'> {
  /** The agent that did it, root first; empty where it was none. */
  readonly chain: readonly { readonly id: string; readonly name: string }[]
  readonly detail: Readonly<Record<string, unknown>>
}

/** Something that happened, as exports tell it. */
export type ExportFact = {
  /** The same whenever it is told, and of this fact alone. */
  readonly uid: string
  /** Place of its entry in the recording of its session. */
  readonly position: number
  readonly atMs: number
  readonly session: FactSession
} & (
  | { readonly kind: 'session.opened' }
  | { readonly kind: 'command'; readonly command: FactCommand }
  | {
      readonly kind: 'session.closed'
      readonly reason: string
      readonly commands: number
      readonly blocked: number
      readonly maskedValues: number
    }
  | { readonly kind: 'fact'; readonly told: ToldFact }
)

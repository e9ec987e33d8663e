import type { ErrorCode } from '@sallyport/core'
import type { Answered, Asked } from '@sallyport/gateway'

/** Where the gateway of an agent is: the data folder of one on this machine, or an address. */
export type GatewayPlace = { readonly dataDir: string } | { readonly url: string }

/** What the gateway says of an agent. */
export type AgentView = Answered<'GET /v1/agents/{id}'>

/** A child that a caller asks for. */
export type ChildAsk = Asked<'POST /v1/agents/{id}/children'>['body']

/** An agent whose handle is on its way into the broker's memory. */
export interface Adoption {
  readonly handle: string
  /** Secret half of the key that the handle is bound to. */
  readonly key?: string
  readonly agent: AgentView
  readonly gateway: GatewayPlace
}

/** What is asked of the broker, one line each. `pid` is a claim, used only where the system cannot tell. */
export type BrokerRequest = { readonly pid: number } & (
  | { readonly op: 'who' }
  | { readonly op: 'login'; readonly adopt: Adoption; readonly gateway?: never }
  | { readonly op: 'attach'; readonly gateway: GatewayPlace }
  | { readonly op: 'logout' }
  | { readonly op: 'run'; readonly ask: ChildAsk; readonly adopt?: Adoption }
  | { readonly op: 'started'; readonly child: number }
  | { readonly op: 'leave' }
  | { readonly op: 'spawn'; readonly ask: ChildAsk }
  | { readonly op: 'home' }
  | { readonly op: 'api'; readonly method: string; readonly path: string; readonly body?: unknown }
  | { readonly op: 'status' }
)

/** Who the caller is to the broker. */
export interface WhoReply {
  readonly above: 'agent' | 'login' | 'ended' | 'none'
  /** Id of the agent, or the name of the one that ended. */
  readonly agent?: string
  readonly chain?: readonly string[]
  readonly gateway?: GatewayPlace
}

/** Where the sockets of an agent are; no secret is among this. */
export interface HomeReply {
  readonly agent: AgentView
  readonly folder: string
  readonly connections: readonly LocalConnection[]
  /** 3 where the process at a socket is known, else 2. */
  readonly level: number
  readonly cut?: readonly string[]
}

export interface LocalConnection {
  readonly name: string
  readonly database: string
  /** Folder to give as `PGHOST`. */
  readonly folder: string
}

/** A finding of the broker: who was at a socket that is not theirs. */
export interface Finding {
  readonly rule: 'S5'
  readonly at: string
  readonly text: string
}

export interface StatusReply {
  readonly pid: number
  readonly since: string
  readonly folder: string
  /** Why peers are not checked; absent where they are. */
  readonly uncheckedBecause?: string
  readonly hidden: boolean
  readonly agents: readonly {
    readonly id: string
    readonly chain: readonly string[]
    readonly state: string
  }[]
  readonly findings: readonly Finding[]
}

export type BrokerReply =
  | { readonly ok: true; readonly result: unknown }
  | {
      readonly ok: false
      readonly error: {
        readonly code: ErrorCode
        readonly message: string
        readonly detail?: string
      }
    }
  /** Unasked, to a wrapper: its agent is gone or stopped. */
  | { readonly event: 'state'; readonly code: ErrorCode; readonly message: string }

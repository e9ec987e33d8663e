import type { ErrorCode } from '@sallyport/core'

/** Where the gateway of an agent is: the data folder of one on this machine, or an address. */
export type GatewayPlace = { readonly dataDir: string } | { readonly url: string }

/** What the gateway says of an agent, as far as it is used here. */
export interface AgentView {
  readonly id: string
  readonly name: string
  /** Printed names, root first. */
  readonly chain: readonly string[]
  readonly depth: number
  readonly state: string
  readonly grant: readonly string[]
  readonly expiresAt: string
  readonly createdAt: string
  readonly parent?: string
  readonly owner?: string
  readonly born?: string
  readonly level?: number
  readonly purpose?: string
  readonly budget?: readonly {
    readonly kind: string
    readonly cap: number
    readonly used: number
  }[]
  readonly limits?: {
    readonly depth?: number
    readonly children?: number
    readonly agents?: number
  }
  readonly ended?: { readonly by: string; readonly reason: string; readonly atMs?: number }
  readonly live?: {
    readonly sessions: number
    readonly children: number
    readonly agents: number
  }
}

/** A child that a caller asks for. */
export interface ChildAsk {
  readonly name: string
  readonly allow?: readonly string[]
  readonly ttl?: string
  readonly budget?: Readonly<Record<string, number>>
  readonly reserve?: boolean
  readonly purpose?: string
  /** Goes on with less where more was asked for than the parent holds. */
  readonly cut?: boolean
}

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

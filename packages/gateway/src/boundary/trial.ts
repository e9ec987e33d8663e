import type { AgentId, CoarseClass, ObjectName } from '@sallyport/core'

/** A command that is judged and not sent: who would send it to what. */
export interface TrialRequest {
  readonly connection: string
  readonly agent: AgentId
  /** Attribution level that the session would have. */
  readonly level: number
  readonly text: string
}

/** What a worker makes of it. Facts stand as in recordings. */
export type TrialResult =
  | {
      readonly kind: 'judged'
      readonly policyVersion: number
      readonly class: CoarseClass
      readonly verb: string
      readonly objects: readonly ObjectName[]
      readonly sessionFacts: string
      readonly effectsFacts: string
      readonly bytes: number
      readonly askedAtMs: number
      /** Why the agent or its grants refuse it; absent where rules decide. */
      readonly refusal?: string
      /** What each agent of the chain holds, root first. */
      readonly grants: readonly { readonly agent: string; readonly holds: readonly string[] }[]
      /** Where masked columns would come from, and what they would decide: a line each. */
      readonly lineage: readonly string[]
      /** Why its masks can't be kept; absent where they can. */
      readonly maskRefusal?: string
    }
  | { readonly kind: 'failed'; readonly code: string; readonly message: string }

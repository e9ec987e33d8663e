import type { ApprovalDemand } from '../approval/demand.ts'
import type { MaskRule } from '../verdict.ts'

/** What a rule is about. `any` stands for every protocol, but not for `session` and `shell-line`. */
export const RULE_SUBJECTS = [
  'sql',
  'mongo',
  'redis',
  'k8s',
  'ssh',
  'rdp',
  'http',
  'mcp',
  'any',
  'session',
  'shell-line',
] as const
export type RuleSubject = (typeof RULE_SUBJECTS)[number]

/** A validated policy as it travels to the data plane. `when` is CEL source; a worker compiles it once per policy version. */
export interface Policy {
  readonly name: string
  readonly owner: string
  readonly applies: {
    readonly connections: readonly string[]
    readonly labels: Readonly<Record<string, string>>
    readonly to: readonly string[]
  }
  readonly mode: 'enforce' | 'observe'
  readonly defaults: {
    readonly unmatched?: 'allow' | 'approve' | 'block'
    readonly unknown?: 'block' | 'approve' | 'allow'
    /** Whose approval a default that says `approve` asks for. */
    readonly approve?: ApprovalDemand
  }
  readonly rules: readonly Rule[]
}

export interface Rule {
  readonly name: string
  readonly on: readonly RuleSubject[]
  readonly when: string
  readonly effect: 'block' | 'approve' | 'mask' | 'allow'
  readonly message: string
  readonly masks: readonly Omit<MaskRule, 'rule'>[]
  readonly coversUnknown: boolean
  readonly observe: boolean
  /** Whose approval an `approve` rule asks for. */
  readonly approve?: ApprovalDemand
  /** Who can change the rule, where it is not the policy's owner. */
  readonly owner?: string
  /** Where the rule stands, `policies/prod.yaml:39`, for people. */
  readonly at: string
}

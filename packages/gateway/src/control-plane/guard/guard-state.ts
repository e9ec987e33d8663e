import type { GuardLogin } from '../../boundary/snapshot.ts'
import type { GuardOptions } from './plan-types.ts'

/** What a guard is at its target, as it was applied last. Holds no secret. */
export interface GuardState {
  readonly appliedAt: string
  readonly database: string
  readonly options: GuardOptions
  readonly sets: readonly Omit<GuardLogin, 'password'>[]
  /** By relation, a digest of the statements that provide it. */
  readonly relations: Readonly<Record<string, string>>
}

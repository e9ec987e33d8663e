import type { ColumnDescription } from '@sallyport/wire'
import type { Answer } from '../../pipeline/answer.ts'
import type { Portal, Statement } from './names.ts'
import type { Classified } from './classify/classified.ts'

/**
 * One reply that the target owes, in the order of what was sent. The target's messages are matched against the front.
 * `isHidden` marks replies to the gateway's own messages: they never reach the caller.
 */
export interface Awaited {
  readonly kind:
    | 'query'
    | 'parse'
    | 'bind'
    | 'describe'
    | 'execute'
    | 'close'
    | 'sync'
    | 'function'
    | 'poison'
  readonly batch: number
  readonly isHidden?: boolean
  /** How the reply is masked and recorded; absent for replies without content of their own. */
  readonly answer?: Answer
  readonly classified?: Classified
  readonly statement?: Statement
  readonly portal?: Portal
  /** Name changes that this reply confirms. */
  readonly changes?: readonly NameChange[]
  /** `poison` only: the error that stands in for the target's own. */
  readonly refusal?: Buffer
  /** `query` only: how many of its statements are complete. */
  completed?: number
  columns?: readonly ColumnDescription[]
}

/** A change of a name, and of which of a query's statements it is the effect. */
export interface NameChange {
  readonly statementIndex: number
  apply(): void
}

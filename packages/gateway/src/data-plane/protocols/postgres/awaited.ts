import type { Answer } from '../../pipeline/answer.ts'
import type { Classified } from './classify/classified.ts'
import type { FollowedUnit } from './lineage/lineage-judge.ts'
import type { Portal, Statement } from './names.ts'

type AwaitedKind =
  | 'query'
  | 'parse'
  | 'bind'
  | 'describe'
  | 'execute'
  | 'close'
  | 'sync'
  | 'function'
  | 'poison'

/** What is known of a reply before it comes. */
interface Expectation {
  readonly isHidden?: boolean
  readonly statement?: Statement | undefined
  readonly portal?: Portal | undefined
  readonly changes?: readonly NameChange[]
  readonly refusal?: Buffer
}

/** One reply that the target owes, in the order of what was sent. The target's messages are matched against the front. */
export class Awaited {
  readonly kind: AwaitedKind
  readonly batch: number
  /** A reply to a message of the gateway's own: it never reaches the caller. */
  readonly isHidden: boolean
  readonly statement: Statement | undefined
  readonly portal: Portal | undefined
  /** Name changes that this reply confirms. */
  changes: readonly NameChange[]
  /** `poison` only: the error that stands in for the target's own. */
  readonly refusal: Buffer | undefined
  /** How the reply is masked and recorded, set when its command is forwarded; absent for replies without content of their own. */
  answer: Answer | undefined
  /** What the answered command is; set with `answer`. */
  classified: Classified | undefined
  /** Where the values of the answer come from; set with `answer`, where masks go by columns. */
  followed: FollowedUnit | undefined
  /** Where in the caller's text a place in the target's is; absent where both are one. */
  place: ((position: number) => number) | undefined
  /** `query` only: how many of its statements are complete. */
  completed = 0

  constructor(kind: AwaitedKind, batch: number, expected: Expectation = nothing) {
    this.kind = kind
    this.batch = batch
    this.isHidden = expected.isHidden === true
    this.statement = expected.statement
    this.portal = expected.portal
    this.changes = expected.changes ?? noChanges
    this.refusal = expected.refusal
    this.answer = undefined
    this.classified = undefined
    this.followed = undefined
    this.place = undefined
  }
}

/** A change of a name, and of which of a query's statements it is the effect. */
export interface NameChange {
  readonly statementIndex: number
  apply(): void
}

const nothing: Expectation = {}
const noChanges: readonly NameChange[] = []

import { frameBody } from '@sallyport/wire'
import type { Chain, RuleDemand } from '@sallyport/core'
import type { Awaited } from './awaited.ts'
import type { Classified } from './classify/classified.ts'
import type { FollowedUnit } from './lineage/lineage-judge.ts'
import type { Renamed } from './guard/session-guard.ts'
import type { Portal, Statement } from './names.ts'

/** Whole messages, in `bytes` from `start` to `end`. */
export interface Frames {
  readonly bytes: Buffer
  readonly start: number
  readonly end: number
}

/** All of `bytes`. */
export function wholeOf(bytes: Buffer): Frames {
  return { bytes, start: 0, end: bytes.length }
}

/** The body of the first message. */
export function firstBody({ bytes, start }: Frames): Buffer {
  return frameBody(bytes, start)
}

/** What the pipeline carries in a PostgreSQL session: messages that ask for one thing, and where their passage is prepared. */
export interface Unit {
  readonly kind: 'query' | 'parse' | 'execute' | 'function'
  readonly slot: Slot
  /** The messages as they came. */
  readonly frames: Frames
  readonly text: string
  readonly parameters: readonly (Buffer | null)[]
  readonly formats: readonly number[]
  readonly statement: Statement | undefined
  readonly oid: number | undefined
  /** A simple query or a Parse of the unnamed statement ends the older one, also where it is refused. */
  readonly endsUnnamed: boolean
  classified: Classified | undefined
  /** Texts that the names in it stand for: of EXECUTE, FETCH and statements prepared in SQL. */
  standsFor: readonly string[]
  /** Where the values of its answer come from; set where masks go by columns. */
  followed: FollowedUnit | undefined
  /** What leaves in the place of `frames`, where the target has other names than the caller. */
  renamed: Renamed | undefined
  /** The generation of the catalog under which it was classified. */
  generation: number
  /** What the target will owe for these messages, in order. */
  readonly awaits: Awaited[]
  /** The chain, as it was when the verdict was made. */
  decidedFor: Chain | undefined
  /** What it was approved for; undefined where nobody had to. */
  approvedFor: readonly RuleDemand[] | undefined
  /** Set as soon as the verdict is known, before it is stored. */
  isRefused: boolean
  /** When the gateway began to look at it, in milliseconds of `performance.now()`. */
  startedMs: number
}

/** What a unit has beside its text, as far as its kind has it. */
export type UnitParts = Partial<
  Pick<Unit, 'statement' | 'parameters' | 'formats' | 'oid' | 'endsUnnamed'>
>

export function newUnit(
  kind: Unit['kind'],
  batch: number,
  frames: Frames,
  text: string,
  { statement, parameters = [], formats = [], oid, endsUnnamed = false }: UnitParts,
): Unit {
  return {
    kind,
    slot: emptySlot(batch),
    frames,
    text,
    parameters,
    formats,
    statement,
    oid,
    endsUnnamed,
    classified: undefined,
    standsFor: [],
    followed: undefined,
    renamed: undefined,
    decidedFor: undefined,
    approvedFor: undefined,
    generation: 0,
    awaits: [],
    isRefused: false,
    startedMs: 0,
  }
}

/** Whether the unit runs something: Parse, and Bind without Execute, do not. */
export function isExecution({ kind, awaits }: Unit): boolean {
  if (kind === 'parse') return false
  return kind !== 'execute' || awaits.some((awaited) => awaited.kind === 'execute')
}

/** The portal that the unit executes. */
export function portalOf({ awaits }: Unit): Portal | undefined {
  return awaits.find(({ kind }) => kind === 'execute')?.portal
}

/** What goes to the target in the place of some messages: nothing until their verdict is stored. */
export interface Slot {
  readonly batch: number
  readonly isSync: boolean
  frames: Frames
  /** What the target will owe for them, in order. */
  awaits: readonly Awaited[]
  /** True once the messages are replaced by one that the target refuses. */
  isPoison: boolean
}

/** A slot for messages that are still being judged. */
export function emptySlot(batch: number, isSync = false): Slot {
  return { batch, isSync, frames: noFrames, awaits: [], isPoison: false }
}

/** Puts messages and what is owed for them into their slot: from here they can leave. */
export function fillSlot(slot: Slot, frames: Frames, awaits: readonly Awaited[]): void {
  slot.frames = frames
  slot.awaits = awaits
}

const noFrames = wholeOf(Buffer.alloc(0))

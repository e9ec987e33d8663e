import { BackendType, frameType } from '@sallyport/wire'
import type { Program } from './grammar/program.ts'
import { LaneClosed, type Lane } from './lane.ts'
import { encodeProgram } from './send-program.ts'

/** What one program got; `ended` says that the session did not survive it. */
export interface Outcome {
  readonly frames: readonly Buffer[]
  readonly ended: boolean
}

/** Sends all programs in one go. The outcomes go up to and including the one that ended the session. */
export async function runPrograms(lane: Lane, programs: readonly Program[]): Promise<Outcome[]> {
  const batches = programs.map(encodeProgram)
  const readies = batches.reduce((sum, batch) => sum + batch.readies, 0)
  let frames: readonly Buffer[]
  let ended = false
  try {
    frames = await lane.exchange(
      batches.flatMap((batch) => batch.messages),
      readies,
    )
  } catch (error) {
    if (!(error instanceof LaneClosed)) throw error
    frames = error.frames
    ended = true
  }
  const outcomes: Outcome[] = []
  let at = 0
  for (const batch of batches) {
    const start = at
    for (let left = batch.readies; left > 0 && at < frames.length; at += 1) {
      const frame = frames[at]
      if (frame !== undefined && frameType(frame, 0) === BackendType.readyForQuery) left -= 1
    }
    const isLast = ended && at >= frames.length
    outcomes.push({ frames: frames.slice(start, at), ended: isLast })
    if (isLast) break
  }
  return outcomes
}

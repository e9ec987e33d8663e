import {
  FrontendType,
  decodeBind,
  decodeDescribe,
  decodeExecute,
  encodeDescribe,
  frameBody,
  frameEnd,
  frameType,
} from '@sallyport/wire'
import { firstBody, wholeOf, type Frames, type Unit } from './unit.ts'

/** Rows can only be masked when their columns are known. Where the caller doesn't ask for them, the gateway does. */
export function needsDescription({ kind, awaits }: Unit, hasMasks: boolean): boolean {
  if (!hasMasks || kind !== 'execute') return false
  return awaits[0]?.kind === 'bind' && awaits[1]?.kind !== 'describe'
}

/** The unit's messages with a Describe of the gateway's own after their Bind. */
export function withDescription({ frames }: Unit): Frames {
  const { portal: name } = decodeBind(firstBody(frames))
  const bindEnd = frameEnd(frames.bytes, frames.start)
  const messages = [
    frames.bytes.subarray(frames.start, bindEnd),
    encodeDescribe({ target: 'portal', name }),
    frames.bytes.subarray(bindEnd, frames.end),
  ]
  return wholeOf(Buffer.concat(messages))
}

/** The Describe and Execute of the same portal that follow a Bind directly: one unit with it. */
export function portalMessages(
  whole: Buffer,
  at: number,
  portal: string,
): { end: number; describes: boolean; executes: boolean } {
  let end = frameEnd(whole, at)
  let describes = false
  if (isMessage(whole, end, FrontendType.describe)) {
    const describe = decodeDescribe(frameBody(whole, end))
    if (describe.target === 'portal' && describe.name === portal) {
      describes = true
      end = frameEnd(whole, end)
    }
  }
  if (!isMessage(whole, end, FrontendType.execute)) return { end, describes, executes: false }
  if (decodeExecute(frameBody(whole, end)).portal !== portal)
    return { end, describes, executes: false }
  return { end: frameEnd(whole, end), describes, executes: true }
}

function isMessage(whole: Buffer, at: number, type: number): boolean {
  return at < whole.length && frameType(whole, at) === type
}

/** Where a run of CopyData messages ends. */
export function endOfCopyData(whole: Buffer, at: number): number {
  let end = at
  while (isMessage(whole, end, FrontendType.copyData)) end = frameEnd(whole, end)
  return end
}

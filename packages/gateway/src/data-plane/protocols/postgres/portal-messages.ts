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
import type { Unit } from './unit.ts'

/** Rows can only be masked when their columns are known. Where the caller doesn't ask for them, the gateway does. */
export function needsDescription(unit: Unit, hasMasks: boolean): boolean {
  return (
    hasMasks &&
    unit.kind === 'execute' &&
    unit.awaits.some((awaited) => awaited.kind === 'bind') &&
    !unit.awaits.some((awaited) => awaited.kind === 'describe')
  )
}

export function addDescription(unit: Unit): void {
  const bindEnd = frameEnd(unit.frames, 0)
  const bound = unit.awaits[0]
  const portal = bound?.portal
  if (portal === undefined) return
  const name = decodeBind(frameBody(unit.frames, 0)).portal
  unit.slot.bytes = [
    unit.frames.subarray(0, bindEnd),
    encodeDescribe({ target: 'portal', name }),
    unit.frames.subarray(bindEnd),
  ]
  unit.awaits.splice(1, 0, { kind: 'describe', batch: unit.batch, isHidden: true, portal })
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

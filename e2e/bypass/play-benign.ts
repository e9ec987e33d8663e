import { BackendType, decodeDataRow, frameBody, frameType } from '@sallyport/wire'
import { canonical } from '../../fuzz/worlds/canonical.ts'
import type { BenignRow } from './corpus.ts'
import type { Stage } from './stage.ts'

/** `tidy` takes out of a message what need not be the same. Says how the answer through the gateway differs from the one without, apart from the columns that are masked. */
export async function playBenign(
  row: BenignRow,
  stage: Stage,
  knownOids: ReadonlySet<number>,
  tidy: (frame: Buffer) => Buffer = (frame) => frame,
): Promise<string | undefined> {
  const look = async (): Promise<undefined> => await Promise.resolve(undefined)
  const [direct] = await stage.play('direct', ['a'], row.steps, look)
  const [through] = await stage.play('gateway', ['a'], row.steps, look)
  const [wanted, came] = [direct, through].map((one) => (one?.played.steps.flat() ?? []).map(tidy))
  if (wanted === undefined || came === undefined) return 'nothing was played'
  let [masked, cells] = [0, 0]
  for (const [at, frame] of wanted.entries()) {
    const other = came[at]
    if (other === undefined) return `ends before ${words(frame)}`
    if (canonical(frame, knownOids) === canonical(other, knownOids)) {
      if (row.masked.length > 0 && isRow(frame)) cells += 1
      continue
    }
    if (!isRow(frame) || !isRow(other) || row.masked.length === 0) {
      return `${words(frame)} became ${words(other)}`
    }
    const changed = changedColumns(frame, other)
    if (changed.some((column) => !row.masked.includes(column))) {
      return `columns ${changed.join()} changed: ${words(frame)} became ${words(other)}`
    }
    masked += changed.length
    cells += 1
  }
  if (came.length > wanted.length) return `${words(came[wanted.length])} comes besides`
  if (row.masked.length > 0 && cells > 0 && masked === 0) return 'nothing is masked'
  return undefined
}

/** Columns, counted from 1, that are not the same in two rows; 0 where they have not as many. */
function changedColumns(frame: Buffer, other: Buffer): number[] {
  const [wanted, came] = [valuesOf(frame), valuesOf(other)]
  if (wanted.length !== came.length) return [0]
  return wanted.flatMap((value, at) => (value === came[at] ? [] : [at + 1]))
}

function valuesOf(frame: Buffer): string[] {
  const body = frameBody(frame, 0)
  if (frameType(frame, 0) === BackendType.copyData) return body.toString('latin1').split('\t')
  return decodeDataRow(body).values.map((value) => value?.toString('latin1') ?? 'null')
}

function isRow(frame: Buffer): boolean {
  return [BackendType.dataRow, BackendType.copyData].includes(frameType(frame, 0) as never)
}

function words(frame: Buffer | undefined): string {
  return frame === undefined
    ? 'nothing'
    : `${String.fromCharCode(frameType(frame, 0))} ${JSON.stringify(frame.toString('latin1', 5))}`
}

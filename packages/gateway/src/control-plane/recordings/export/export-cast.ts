import type { RecordedEntry, RecordingProblem } from '../journal-reader.ts'
import { timedTranscript } from './timed-transcript.ts'

const height = 40

/** The transcript as a terminal recording (asciicast, version 2), for players that know it. Each command is a marker. */
export async function* sessionCast(
  items: AsyncIterable<RecordedEntry | RecordingProblem>,
  session: string,
  width: number,
): AsyncGenerator<string> {
  let hasHead = false
  for await (const { startMs, at, text, isCommand } of timedTranscript(items, width)) {
    if (!hasHead) {
      const timestamp = Math.floor(startMs / 1000)
      yield `${JSON.stringify({ version: 2, width, height, timestamp, title: session })}\n`
      hasHead = true
    }
    if (isCommand) yield `${JSON.stringify([at, 'm', text.split('\n')[0]?.trim() ?? ''])}\n`
    yield `${JSON.stringify([at, 'o', text.replaceAll('\n', '\r\n')])}\n`
  }
}

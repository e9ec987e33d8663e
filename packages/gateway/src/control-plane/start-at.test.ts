import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Entry, SessionId } from '@sallyport/core'
import { commandEntry, openedEntry } from './recordings/index/search.fixture.ts'
import type { RecordedEntry, RecordingProblem } from './recordings/journal-reader.ts'
import { parseStartAt, shownFrom } from './start-at.ts'

const openedMs = Date.parse('2026-11-20T14:06:00Z')
const item = (entry: Entry, seconds: number): RecordedEntry => ({
  kind: 'entry',
  session: 's_1' as SessionId,
  position: seconds,
  timeMs: openedMs + seconds * 1000,
  verified: true,
  entry,
})
const recording = [
  item(openedEntry('s_1'), 0),
  item(commandEntry(1, 'one'), 10),
  { kind: 'problem', file: 'f', offset: 0, reason: 'broken' } satisfies RecordingProblem,
  item(commandEntry(2, 'two'), 70),
  item({ kind: 'notice', text: 'n' }, 80),
]

function shown(at: string): number[] {
  const isShown = shownFrom(parseStartAt(at, openedMs + 3_600_000))
  return recording.flatMap((each, index) => (isShown(each) ? [index] : []))
}

test('a recording is shown from a command or a time on, with its opening and what is wrong with it', () => {
  assert.deepEqual(shown('#1'), [0, 1, 2, 3, 4])
  assert.deepEqual(shown('#2'), [0, 2, 3, 4])
  assert.deepEqual(shown('#3'), [0, 2])
  assert.deepEqual(shown('14:07'), [0, 2, 3, 4])
  assert.deepEqual(shown('14:07:20'), [0, 2, 4])
  assert.deepEqual(shown('14:00'), [0, 1, 2, 3, 4])
  assert.deepEqual(shown('2026-11-20T14:07'), [0, 2, 3, 4])
  assert.deepEqual(shown('1h'), [0, 1, 2, 3, 4])
})

test('what is no place is refused', () => {
  for (const at of ['', '#', '#x', '25:00', 'noon'])
    assert.throws(() => parseStartAt(at, 0), /is no place/)
})

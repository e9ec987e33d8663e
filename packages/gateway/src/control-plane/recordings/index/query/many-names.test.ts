import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inBothStores } from '../../../adapters/both-stores.fixture.ts'
import type { Store } from '../../../ports/store.ts'
import { IndexRows, type PartChunk } from '../index-rows.ts'
import { IndexedPart } from '../indexed-part.ts'
import { commandEntry, openedEntry } from '../search.fixture.ts'
import { searchSessions } from './search-sessions.ts'

const nowMs = Date.parse('2026-11-21T12:00:00Z')
/** More than are named one by one. */
const sessions = 520
/** More than are looked at before the index is asked. */
const noise = 5200
const minuteMs = 60_000

function chunkOf(
  session: string,
  at: number,
  commands: readonly string[],
  agent: string,
): PartChunk {
  const id = { session, part: `0-1-${session}`, worker: 0, run: 1 }
  const part = new IndexedPart(id, 0)
  const opened = openedEntry(session, {
    chain: [{ id: `a_${agent.replace('_', '')}`, name: agent }],
    connection: Number(session.slice(2)) % 2 === 0 ? 'even' : 'odd',
  })
  part.take({ entry: opened, position: 0, timeMs: at })
  for (const [index, table] of commands.entries()) {
    const entry = commandEntry(index + 1, `select from ${table}`, { objects: [['public', table]] })
    part.take({ entry, position: index + 1, timeMs: at + index })
  }
  const chunk = part.cut()
  assert.ok(chunk !== undefined)
  return { id, chunk }
}

/** Session `s_0` is the newest and has most commands; `s_1` to `s_520` go back through four days, each on a table of its own. */
async function fill(store: Store): Promise<void> {
  const rows = new IndexRows(store)
  await rows.write([
    chunkOf(
      's_0',
      nowMs - minuteMs,
      Array.from({ length: noise }, () => 'noise'),
      'big',
    ),
    ...Array.from({ length: sessions }, (_, at) =>
      chunkOf(
        `s_${at + 1}`,
        nowMs - (at + 2) * 10 * minuteMs,
        [`t_${at + 1}`, 'all'],
        `w_${at + 1}`,
      ),
    ),
  ])
  await rows.analyze()
}

async function all(store: Store, query: string, limit: number): Promise<string[]> {
  const found: string[] = []
  for (let after: string | undefined, pages = 0; ; pages += 1) {
    assert.ok(pages < 200, 'pages end')
    const next = after === undefined ? {} : { after }
    const page = await searchSessions(store.db, { query, limit, ...next }, nowMs)
    found.push(...page.sessions.map(({ id }) => id))
    if (page.next === undefined) return found
    after = page.next
  }
}

const numbered = (isOne: (at: number) => boolean): string[] =>
  Array.from({ length: sessions }, (_, at) => at + 1).flatMap((at) =>
    isOne(at) ? [`s_${at}`] : [],
  )
const everyOne = numbered(() => true)
const withOne = numbered((at) => String(at).startsWith('1'))

/** What is searched for, and the sessions that it finds, newest first. */
const questions: readonly (readonly [string, readonly string[]])[] = [
  ['table:t_*', everyOne],
  ['table:t_1*', withOne],
  ['table:t_1* agent:w_1*', withOne],
  ['table:t_1* -agent:w_1*', []],
  ['-table:t_*,noise', everyOne],
  ['-table:t_* table:noise', ['s_0']],
  ['agent:w_*', everyOne],
  ['agent:w_1*', withOne],
  ['tree:a_w1', withOne],
  ['-agent:w_*', ['s_0']],
  ['-agent:w_1* -agent:big', everyOne.filter((id) => !withOne.includes(id))],
  ['connection:even', ['s_0', ...numbered((at) => at % 2 === 0)]],
  ['connection:*', ['s_0', ...everyOne]],
  ['connection:odd table:t_1*', withOne.filter((id) => Number(id.slice(2)) % 2 === 1)],
  ['agent:w_* until:1d', numbered((at) => (at + 1) * 10 > 24 * 60)],
  ['table:t_* since:1d', numbered((at) => (at + 1) * 10 <= 24 * 60)],
  ['table:t_7777*', []],
  ['agent:x_*', []],
]

function sharedTests(storeOf: () => Store): void {
  for (const [query, expected] of questions)
    test(`${query} finds what it says, newest first, in pages of any size`, async () => {
      for (const limit of [1000, 90]) {
        const found = await all(storeOf(), query, limit)
        assert.deepEqual(found, expected, `pages of ${limit}`)
      }
    })
}

inBothStores('many names', sharedTests, fill)

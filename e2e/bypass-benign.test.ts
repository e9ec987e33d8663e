import assert from 'node:assert/strict'
import { test } from 'node:test'
import { loadAttacks, loadBenignRows } from './bypass/corpus.ts'
import { expectedFailures } from './bypass/expected-failures.ts'
import { testBenignRows } from './bypass/run-corpus.ts'

const attacks = loadAttacks()
const benignRows = loadBenignRows()

/** Rows are added, never removed: whoever adds some raises these. */
const attacksMin = 700
const benignRowsMin = 211

test('the corpus has the rows that it had, each once', () => {
  assert.ok(attacks.length >= attacksMin, `${attacks.length} attacks`)
  assert.ok(benignRows.length >= benignRowsMin, `${benignRows.length} benign statements`)
  const ids = [...attacks, ...benignRows].map(({ id }) => id)
  assert.equal(new Set(ids).size, ids.length)
  const strangers = [...expectedFailures].filter((id) => !ids.includes(id))
  assert.deepEqual(strangers, [], 'rows that are expected to fail are rows')
})

testBenignRows('statements that mean no harm', benignRows)

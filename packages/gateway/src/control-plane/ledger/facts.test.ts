import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { FACTS } from './facts.ts'

test('the table of facts in docs/recording.md is the list of facts', () => {
  const page = readFileSync(new URL('../../../../../docs/recording.md', import.meta.url), 'utf8')
  const told = [...page.matchAll(/^\| `([a-z.-]+)` \| (refuse|anyway|counted) \| (.*) \|$/gmu)].map(
    ([, name, rule, says]) => ({ name, rule, says }),
  )
  const known = Object.entries(FACTS).map(([name, { rule, says }]) => ({ name, rule, says }))
  assert.deepEqual(told, known)
})

import { loadAttacks } from './bypass/corpus.ts'
import { isReading, testAttacks } from './bypass/run-corpus.ts'

const attacks = loadAttacks().filter(isReading)

testAttacks(
  'attacks that read',
  attacks.filter(({ server }) => server === undefined),
)
testAttacks(
  'attacks that read, in the words of newer servers',
  attacks.filter(({ server }) => server !== undefined),
  '18',
)

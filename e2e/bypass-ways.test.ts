import { loadAttacks } from './bypass/corpus.ts'
import { isReading, testAttacks } from './bypass/run-corpus.ts'

testAttacks(
  'attacks that make, change or destroy, and detours',
  loadAttacks().filter((attack) => !isReading(attack)),
)

import type { ChangeKind } from '../../contract/policies.ts'
/** Changes after which more is possible than before: they are listed apart, and reviewed first. */
export const loosening: ReadonlySet<ChangeKind> = new Set([
  'blocked → held',
  'blocked → allowed',
  'held → allowed',
  'masked → clear',
])

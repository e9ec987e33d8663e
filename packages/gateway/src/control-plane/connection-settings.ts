import type { ConnectionConfig } from '../boundary/snapshot.ts'

const hourMs = 3_600_000

/** What can be set on a connection after it was added. */
export type ConnectionSettings = Pick<
  ConnectionConfig,
  'notices' | 'responses' | 'trustedFunctions' | 'masking' | 'holdMaxMs' | 'holdInTransactionMaxMs'
>

/** Settings of a connection that was added without any. */
export const settingsDefault: ConnectionSettings = {
  notices: 'auto',
  responses: 'masked',
  trustedFunctions: [],
  masking: 'lineage',
  holdMaxMs: 24 * hourMs,
  // A client that waits for a lock gives up after minutes, and everybody behind it with it.
  holdInTransactionMaxMs: 60_000,
}

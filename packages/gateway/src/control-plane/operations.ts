import type { Operations } from './api.ts'
import { Guards } from './guard/guards.ts'
import type { Parts } from './parts.ts'
import { recordedSession } from './recorded-session.ts'
import { searchSessions } from './recordings/index/query/search-sessions.ts'
import type { WorkerPool } from './worker-pool.ts'

/** What the API can do. `publish` gives workers what changed before the answer goes out. */
export function operationsOf(
  {
    connections,
    credentials,
    agents,
    sessions,
    recorded,
    exporter,
    counts,
    snapshots,
    store,
    index,
  }: Parts,
  pool: WorkerPool,
  publish: () => Promise<void>,
  status: () => Promise<unknown>,
): Operations {
  const guards = new Guards(connections, snapshots, publish)
  return {
    status,
    listConnections: async () => await connections.list(),
    getConnection: async (name) => await connections.get(name),
    async putConnection(connection) {
      const view = await connections.put(connection)
      await publish()
      return view
    },
    async setConnection(name, change) {
      const view = await connections.set(name, change)
      await publish()
      return view
    },
    async removeConnection(name) {
      await connections.remove(name)
      agents.connectionRemoved(name)
      await publish()
    },
    testConnection: async (name) => await pool.probe(await connections.config(name)),
    guardConnection: (name, request) => guards.run(name, request),
    issueCredential: async (request) => await credentials.issue(request),
    async listSessions() {
      await sessions.settled()
      return await sessions.list()
    },
    searchSessions: async (request) => await searchSessions(store.db, request, Date.now()),
    refused: counts.apiRefused,
    reindex: async () => await index.rebuild(),
    async readSession(prefix, form) {
      const id = await sessions.whole(prefix)
      return await recordedSession(recorded, id, form)
    },
    async exportSessions(prefixes) {
      const ids = await Promise.all(prefixes.map(async (prefix) => await sessions.whole(prefix)))
      return await exporter.sessions([...new Set(ids)])
    },
  }
}

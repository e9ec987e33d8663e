import { SallyportError } from '@sallyport/core'
import { ownerApprover } from './approvals/viewers.ts'
import type { OwnerOperations } from './api/owner-operations.ts'
import type { ChatLinks } from './approvals/channels/people/chat-links.ts'
import type { Channels } from './approvals/channels/channels.ts'
import type { Exports } from './exports/exports.ts'
import type { KeyRing } from './keys/key-ring.ts'
import { IncidentReports } from './incidents/incident-reports.ts'
import { Incidents } from './incidents/incidents.ts'
import { readLedger } from './ledger/read-ledger.ts'
import type { FactBy } from './ledger/ledger.ts'
import { policyOperations } from './policies/policy-operations.ts'
import type { PolicyFollower } from './follow-policies.ts'
import { Guards } from './guard/guards.ts'
import type { Parts } from './parts.ts'
import { recordedSession } from './recorded-session.ts'
import { searchSessions } from './recordings/index/query/search-sessions.ts'
import { watchSessions } from './recordings/live/watch-sessions.ts'
import type { WorkerPool } from './worker-pool.ts'
import type { KeysView, SearchStatus, Status } from './contract/operations.ts'

/** What the API can do. `publish` gives workers what changed before the answer goes out. */
export function operationsOf(
  parts: Parts & {
    readonly exports: Exports
    readonly channels: Channels
    readonly links: ChatLinks
  },
  pool: WorkerPool,
  policies: PolicyFollower,
  publish: () => Promise<void>,
  status: () => Promise<Status>,
  glassIsOpen: (id: string) => boolean,
): OwnerOperations & { readonly incidents: Incidents } {
  const {
    connections,
    credentials,
    agents,
    sessions,
    recorded,
    exporter,
    counts,
    exports,
    channels,
    links,
    live,
    snapshots,
    store,
    index,
    ledger,
    owner,
    retention,
    shipper,
    signingKeys,
  } = parts
  const actor: FactBy = { by: 'owner', name: owner }
  const guards = new Guards(connections, snapshots, publish)
  const reports = new IncidentReports({
    store,
    exporter,
    ledger,
    actor,
    signedBy: () => [signingKeys.current.id],
    sign: async (payload) => await signingKeys.current.sign(payload),
    indexProblem: () => problemOf(index.status()),
  })
  return {
    status,
    listConnections: async () => await connections.list(),
    getConnection: async (name) => await connections.get(name),
    async putConnection(connection) {
      const view = await connections.put(connection, actor)
      await publish()
      return view
    },
    async setConnection(name, change) {
      const view = await connections.set(name, change, actor)
      await publish()
      return view
    },
    async removeConnection(name) {
      await connections.remove(name, actor)
      agents.connectionRemoved(name)
      await publish()
    },
    testConnection: async (name) => await pool.probe(await connections.config(name)),
    async guardConnection(name, request) {
      const detail = { action: request.action }
      await ledger.write({ what: 'guard.run', actor, subject: name, detail })
      return guards.run(name, request)
    },
    issueCredential: async (request) => await credentials.issue(request),
    async listSessions() {
      await sessions.settled()
      return await sessions.list()
    },
    searchSessions: async (request) => await searchSessions(store.db, request, Date.now()),
    refused: counts.apiRefused,
    listExports: async () => await exports.status(),
    async testExport(name) {
      await ledger.write({ what: 'export.tested', actor, subject: name })
      return await exports.test(name)
    },
    channels: {
      list: async () => await channels.status(),
      async test(name) {
        await ledger.write({ what: 'channel.tested', actor, subject: name })
        return await channels.test(name)
      },
      log: async (of) => await channels.log(of),
      links: async () => await links.list(),
      async unlink(account) {
        if (await links.unlink(actor, account)) return
        const detail = `no account "${account.slice(0, 130)}" is linked`
        throw new SallyportError('SP_NOT_FOUND', detail, { detail })
      },
    },
    planRetention: async () => await retention.plan(),
    applyRetention: async () => await retention.apply(actor),
    async addHold(subject, reason) {
      const isSession = subject.startsWith('s_')
      // An agent may have ended long ago, so that only its recordings know it.
      const id = isSession ? await sessions.whole(subject) : (agents.get(subject)?.id ?? subject)
      return await retention.hold(isSession ? 'session' : 'tree', id, reason, actor)
    },
    listHolds: async () => await retention.holds(),
    removeHold: async (id, reason) => await retention.removeHold(id, reason, actor),
    async readLedger(request) {
      // What is written a moment ago is to be found; where shipping is stuck, `status` says so.
      await shipper.round()
      const page = await readLedger(store.db, request, Date.now())
      const detail = { query: request.query }
      await ledger.write({ what: 'ledger.read', actor, subject: 'ledger', detail })
      return page
    },
    listKeys: async () => await Promise.resolve(keysView(signingKeys)),
    async rotateKey() {
      await shipper.rotateKey(async (from, to) => {
        await ledger.write({ what: 'key.rotated', actor, subject: to, detail: { from } })
      })
      return keysView(signingKeys)
    },
    async reindex() {
      await ledger.write({ what: 'index.rebuilt', actor, subject: 'index' })
      await index.rebuild()
    },
    async readSession(prefix, form) {
      const id = await sessions.whole(prefix)
      const pieces = await recordedSession(recorded, id, form)
      const detail = { form: form.kind }
      await ledger.write({ what: 'session.viewed', actor, subject: id, detail })
      return pieces
    },
    incidents: new Incidents({
      store,
      sessions,
      ledger,
      owner: ownerApprover(owner),
      glassIsOpen,
      hold: async (kind, subject, reason) => await retention.hold(kind, subject, reason, actor),
      holds: async () => await retention.holds(),
      report: async (incident, form) => await reports.make(incident, form),
    }),
    policies: policyOperations(parts, pool, policies, actor),
    async watch(of, form) {
      await ledger.write({ what: 'session.watched', actor, subject: of === '' ? 'all' : of })
      return await watchSessions(live, sessions, of, form)
    },
    async exportSessions(prefixes) {
      const ids = await Promise.all(prefixes.map(async (prefix) => await sessions.whole(prefix)))
      const sessionIds = [...new Set(ids)]
      const archive = await exporter.sessions(sessionIds)
      await Promise.all(
        sessionIds.map((subject) => ledger.write({ what: 'session.exported', actor, subject })),
      )
      return archive
    },
  }
}

function keysView({ current, all, changes }: KeyRing): KeysView {
  return {
    current: current.id,
    first: all[0]?.id ?? current.id,
    changes: changes.map(({ from, to, anchor, at }) => ({ from, to, anchor, at })),
  }
}

function problemOf({ problem, rebuilding }: SearchStatus): string | undefined {
  return problem ?? (rebuilding === undefined ? undefined : 'it is made again')
}

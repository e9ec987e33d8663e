import type { Socket } from 'node:net'
import type { ConnectionConfig, GuardLogin } from '../../../../boundary/snapshot.ts'
import type { Admitted } from '../admission.ts'
import type { HeldCatalog } from '../catalogs.ts'
import type { PostgresWorker } from '../login.ts'
import type { StartupSettings } from '../startup-settings.ts'
import { guardMissing, guardRoleOf } from './guard-role.ts'
import { guardedPath, readPath } from './search-path.ts'
import { SessionGuard } from './session-guard.ts'

/** How a session on a guarded connection logs in at the target. */
export interface GuardedSession {
  /** Undefined where no mask holds for the caller: then the connection's own login does. */
  readonly role: GuardLogin | undefined
  readonly config: ConnectionConfig
  /** Start-up settings that the gateway gives. */
  readonly settings: readonly (readonly [string, string])[]
  /** Functions of the guard itself, `schema.name`. */
  readonly lookups: readonly string[]
  readonly guard: SessionGuard
}

interface Opening {
  readonly config: ConnectionConfig
  readonly database: string
  readonly settings: StartupSettings
  readonly socket: Socket
  readonly admitted: Admitted
}

/** Chooses the role for a session; undefined where the gateway masks by itself. Throws where the target can't be relied on. */
export async function guardSession(
  { config, database, settings, socket, admitted }: Opening,
  catalog: HeldCatalog,
  worker: PostgresWorker,
): Promise<GuardedSession | undefined> {
  if (config.masking !== 'guard') return undefined
  const { snapshots, classifier } = worker
  const role = guardRoleOf(snapshots.known, {
    connection: config,
    database,
    chain: admitted.agent.chain,
    client: { ip: socket.remoteAddress ?? '', app: settings.application },
    now: new Date(worker.now()),
  })
  const watch = role === undefined ? undefined : worker.guardWatches.of(config, database, role)
  const guard = new SessionGuard({
    role,
    watch,
    connection: () => snapshots.known.connections.get(config.name),
    parse: (text) => classifier.parse(text),
  })
  if (role === undefined) return { role, config, settings: [], lookups: [], guard }
  if (!guard.isReady) await guard.ready()
  // A copy of the database has all that the guard made there. Others have nothing of it.
  if (watch?.isSafe === false && database !== config.guard?.database) {
    throw guardMissing(`Masks of ${config.name} are not enforced in this database.`)
  }
  const { login, password, schemas } = role
  const stated = settings.parameters.get('search_path')
  const current = catalog.fresh ?? (await catalog.load())
  const path = stated === undefined ? current.searchPath : readPath(stated, config.login.user)
  // The server looks into its own schemas first without being told; named, they could not come first again.
  const named = path.filter(
    (schema, at) => !(at === 0 && schema === 'pg_catalog') && !schema.startsWith('pg_temp'),
  )
  return {
    role,
    config: { ...config, login: { user: login, password } },
    settings: [['search_path', guardedPath(schemas, named)]],
    lookups: (config.guard?.sets ?? []).flatMap((set) => set.lookups.map(({ name }) => name)),
    guard,
  }
}

import { SallyportError } from '@sallyport/core'
import type { HomeReply, LocalConnection } from './broker/protocol.ts'

/** Names a socket, where there is no port; it must stand there, because one from outside would name another socket. */
const socketPort = '5432'

/** What would lead a PostgreSQL program past the socket. How it behaves once it is there (`PGOPTIONS`, `PGAPPNAME`) stays. */
const postgresNames = (
  'PGHOST PGHOSTADDR PGPORT PGDATABASE PGUSER PGPASSWORD PGPASSFILE PGSERVICE PGSERVICEFILE ' +
  'PGSYSCONFDIR PGSSLMODE PGSSLNEGOTIATION PGSSLCERT PGSSLKEY PGSSLROOTCERT PGREQUIRESSL ' +
  'PGREQUIREAUTH PGREQUIREPEER PGCHANNELBINDING PGGSSENCMODE PGTARGETSESSIONATTRS ' +
  'PGLOADBALANCEHOSTS'
).split(' ')

/** What gives access to targets around the gateway. */
const otherNames = (
  'DATABASE_URL POSTGRES_PASSWORD POSTGRES_URL MYSQL_PWD REDISCLI_AUTH REDIS_URL MONGODB_URI ' +
  'KUBECONFIG SSH_AUTH_SOCK SQLCMDPASSWORD AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY ' +
  'AWS_SESSION_TOKEN AWS_PROFILE AZURE_CLIENT_SECRET GOOGLE_APPLICATION_CREDENTIALS ' +
  'GOOGLE_OAUTH_ACCESS_TOKEN DIGITALOCEAN_TOKEN ACTIONS_ID_TOKEN_REQUEST_TOKEN ' +
  'SALLYPORT_ID_TOKEN'
).split(' ')

/** Secrets of Sallyport itself, by what they begin with. */
const ownSecret = /\bsp[act]_[0-9a-hjkmnp-tv-z]{13}_/

export interface EnvironmentChoices {
  /** Names that are kept although they would be stripped. */
  readonly keep: readonly string[]
  /** `NAME=connection`: the address of the connection's socket under a name of the caller's choice. */
  readonly set: readonly string[]
}

export interface AgentEnvironment {
  readonly env: Readonly<Record<string, string>>
  /** Names that were there and are not any more, sorted. */
  readonly stripped: readonly string[]
}

/** The environment of an agent's program: sockets instead of secrets. */
export function agentEnvironment(
  base: NodeJS.ProcessEnv,
  home: HomeReply,
  { keep, set }: EnvironmentChoices,
): AgentEnvironment {
  const own = { ...socketVariables(home), ...chosenVariables(home, set) }
  const env: Record<string, string> = {}
  const stripped: string[] = []
  for (const [name, value] of Object.entries(base)) {
    if (value === undefined || Object.hasOwn(own, name)) continue
    const strip = isStripped(name) || ownSecret.test(value)
    if (strip && !keep.includes(name)) stripped.push(name)
    else env[name] = value
  }
  return { env: { ...env, ...own }, stripped: stripped.toSorted() }
}

function isStripped(name: string): boolean {
  return postgresNames.includes(name) || otherNames.includes(name)
}

/** What programs need to find the sockets of `home`; `connection` is the one for those that ask for none. */
export function socketVariables(
  home: HomeReply,
  connection: LocalConnection | undefined = home.connections[0],
): Record<string, string> {
  return {
    SALLYPORT_AGENT: home.agent.id,
    SALLYPORT_DIR: home.folder,
    PGSSLMODE: 'disable',
    PGGSSENCMODE: 'disable',
    PGSERVICEFILE: `${home.folder}/pg_service.conf`,
    PGPORT: socketPort,
    PGUSER: home.agent.name,
    ...(connection === undefined
      ? {}
      : { PGHOST: connection.folder, PGDATABASE: connection.database }),
  }
}

function chosenVariables(home: HomeReply, set: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    set.map((text) => {
      const [, name, wanted] = /^([A-Za-z_]\w*)=(.+)$/.exec(text) ?? []
      if (name === undefined || wanted === undefined) {
        throw new SallyportError('SP_CONFIG_INVALID', `--set takes NAME=connection; not "${text}"`)
      }
      return [name, socketUrl(home, connectionOf(home, wanted))]
    }),
  )
}

/** The connection of that name, or the only sentence that may be said of others. */
export function connectionOf(home: HomeReply, name: string): LocalConnection {
  const found = home.connections.find((each) => each.name === name)
  if (found !== undefined) return found
  const names = home.connections.map((each) => each.name).join(', ') || 'none'
  throw new SallyportError(
    'SP_NOT_GRANTED',
    `this agent has no connection "${name}"; it has: ${names}`,
  )
}

/** An address without a host part: libpq and drivers alike then take the folder from the query. */
export function socketUrl(home: HomeReply, connection: LocalConnection): string {
  const { database, folder } = connection
  const query = new URLSearchParams({ host: folder, port: socketPort, user: home.agent.name })
  return `postgresql:///${encodeURIComponent(database)}?${query.toString()}`
}

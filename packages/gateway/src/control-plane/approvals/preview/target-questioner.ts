import { Buffer } from 'node:buffer'
import { checkServerIdentity } from 'node:tls'
import pg from 'pg'
import type { AskedValue } from '../../../boundary/approvals.ts'
import type { ConnectionConfig } from '../../../boundary/snapshot.ts'

const dialMsMax = 5_000
/** For each question. */
const statementMsMax = 5_000
/** The least that a server takes; 0 would wait without end. Milliseconds. */
const lockWaitMs = 1

/** One statement, with its values apart. */
export interface Asked {
  readonly text: string
  readonly values: readonly AskedValue[]
  readonly types: readonly number[]
  /** `name=value`, as the session that is asked about has begun. */
  readonly settings: readonly string[]
}

/** Settings by which a value of a text is another value. What else a session may begin with has no part in what is asked. */
const valueSettings: ReadonlySet<string> = new Set(['datestyle', 'intervalstyle', 'timezone'])

export interface Rows {
  readonly columns: readonly string[]
  readonly rows: readonly (readonly (string | null)[])[]
}

/** A connection of the gateway's own to a target, which can't change anything there. */
export interface TargetQuestioner extends AsyncDisposable {
  /** Each question has a read-only transaction to itself, which is rolled back. Rejects with what the target says. */
  ask(asked: Asked): Promise<Rows>
}

/** Logs in as sessions of the connection do. */
export async function openQuestioner(
  config: ConnectionConfig,
  database: string,
): Promise<TargetQuestioner> {
  const { host, port } = config.target
  const client = new pg.Client({
    host,
    port,
    database,
    user: config.login.user,
    password: config.login.password,
    connectionTimeoutMillis: dialMsMax,
    // Where the target answers nothing at all.
    query_timeout: statementMsMax + dialMsMax,
    application_name: 'sallyport preview',
    ssl: host.startsWith('/') ? false : sslOf(config.tls),
  })
  // Without a listener, a target that goes away would end the process. The next question reports it.
  client.on('error', () => undefined)
  await client.connect()
  const plain = async (text: string): Promise<void> => void (await client.query(text))
  return {
    async ask({ text, values, types, settings }) {
      await plain('begin read only')
      try {
        await plain(`set local statement_timeout = ${statementMsMax}`)
        await plain(`set local lock_timeout = ${lockWaitMs}`)
        await plain('set local max_parallel_workers_per_gather = 0')
        await plain('set local standard_conforming_strings = on')
        for (const [name, value] of settings.map(nameAndValue))
          if (valueSettings.has(name))
            await client.query('select pg_catalog.set_config($1, $2, true)', [name, value])
        const query: ExtendedQuery = {
          text,
          values: values.map((value) => (value instanceof Uint8Array ? Buffer.from(value) : value)),
          rowMode: 'array',
          // By the extended protocol the target itself refuses a text of two statements.
          queryMode: 'extended',
          types: typesOf(types),
        }
        const { fields, rows } = await client.query<(string | null)[]>(query)
        return { columns: fields.map(({ name }) => name), rows }
      } finally {
        await plain('rollback').catch(() => undefined)
      }
    },
    [Symbol.asyncDispose]: async () => await client.end().catch(() => undefined),
  }
}

function nameAndValue(setting: string): readonly [name: string, value: string] {
  const at = setting.indexOf('=')
  return [setting.slice(0, at), setting.slice(at + 1)]
}

type ExtendedQuery = pg.QueryArrayConfig<unknown[]> & { readonly queryMode: 'extended' }

/** The driver declares what is in the list to the target, and reads every value as the target writes it. */
function typesOf(types: readonly number[]): pg.CustomTypesConfig {
  const asText = { getTypeParser: () => (value: unknown) => value }
  return Object.assign([...types], asText) as unknown as pg.CustomTypesConfig
}

function sslOf({ mode, ca }: ConnectionConfig['tls']): pg.ClientConfig['ssl'] {
  if (mode === 'off') return false
  return {
    rejectUnauthorized: mode === 'full' || mode === 'ca',
    ...(ca === undefined ? {} : { ca }),
    checkServerIdentity: mode === 'full' ? checkServerIdentity : () => undefined,
  }
}

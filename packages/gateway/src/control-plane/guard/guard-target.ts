import { checkServerIdentity } from 'node:tls'
import { SallyportError } from '@sallyport/core'
import pg from 'pg'
import type { TargetTls } from '../../boundary/snapshot.ts'
import type { Ask } from './guard-catalog.ts'

/** Who logs in where. */
export interface TargetLogin {
  readonly host: string
  readonly port: number
  readonly database: string
  readonly tls: TargetTls
  readonly user: string
  readonly password: string
}

const dialMsMax = 10_000
/** A statement that waits longer for a lock holds up those who wait behind it. */
const lockWaitMs = 5_000
const statementMsMax = 120_000

/** A connection to a target that lasts for one run. */
export interface GuardTarget extends AsyncDisposable {
  readonly ask: Ask
  /** Runs one statement; a failure names the step. */
  run(step: string, sql: string): Promise<void>
  /** What the target said besides. */
  readonly notices: readonly string[]
}

/** Logs in, and begins a transaction in which names mean the server's own objects. It is undone unless `commit` is run. */
export async function openTarget(login: TargetLogin, isReadOnly: boolean): Promise<GuardTarget> {
  const { host, port, database, user, password } = login
  const client = new pg.Client({
    host,
    port,
    database,
    user,
    password,
    connectionTimeoutMillis: dialMsMax,
    application_name: 'sallyport guard',
    ssl: host.startsWith('/') ? false : sslOf(login.tls),
  })
  const notices: string[] = []
  client.on('notice', ({ message }) => notices.push(message ?? ''))
  // Without a listener, a target that goes away would end the process. The next statement reports it.
  client.on('error', () => undefined)
  await client.connect().catch((cause: unknown) => {
    throw loginError(login, cause)
  })
  const close = async (): Promise<void> => await client.end().catch(() => undefined)
  const query = async (text: string): Promise<(string | null)[][]> => {
    const result = await client.query<(string | null)[]>({ text, rowMode: 'array', types: asText })
    return result.rows
  }
  try {
    await query(isReadOnly ? 'begin read only' : 'begin')
    await query(`set local search_path = pg_catalog`)
    await query(`set local standard_conforming_strings = on`)
    await query(`set local lock_timeout = ${lockWaitMs}`)
    await query(`set local statement_timeout = ${statementMsMax}`)
  } catch (cause) {
    await close()
    throw loginError(login, cause)
  }
  const failed = (step: string, cause: unknown): SallyportError => {
    const said = cause instanceof Error ? cause.message : String(cause)
    const detail = `${step}: the target said: ${said}`
    return new SallyportError('SP_GUARD_FAILED', detail, { cause, detail })
  }
  return {
    notices,
    ask: async (sql) =>
      await query(sql).catch((cause: unknown) => {
        throw failed('reading the catalog', cause)
      }),
    async run(step, sql) {
      await query(sql).catch((cause: unknown) => {
        throw failed(step, cause)
      })
    },
    [Symbol.asyncDispose]: close,
  }
}

/** Every value as the target writes it. */
const asText = { getTypeParser: () => (value: unknown) => value } as unknown as pg.CustomTypesConfig

function sslOf({ mode, ca }: TargetTls): pg.ClientConfig['ssl'] {
  if (mode === 'off') return false
  return {
    rejectUnauthorized: mode === 'full' || mode === 'ca',
    ...(ca === undefined ? {} : { ca }),
    checkServerIdentity: mode === 'full' ? checkServerIdentity : () => undefined,
  }
}

function loginError({ user, host, port }: TargetLogin, cause: unknown): SallyportError {
  const said = cause instanceof Error ? cause.message : String(cause)
  const state = cause instanceof pg.DatabaseError ? (cause.code ?? '') : ''
  const isLogin = state.startsWith('28')
  const message = `${user} at ${host}:${port}: ${said}`
  return new SallyportError(isLogin ? 'SP_TARGET_LOGIN' : 'SP_TARGET_UNREACHABLE', message, {
    cause,
    detail: message,
  })
}

import { SallyportError, type Secret } from '@sallyport/core'
import type { Insertable, Selectable } from 'kysely'
import type { ConnectionConfig, TargetTls } from '../boundary/snapshot.ts'
import { type ConnectionSettings, settingsDefault } from './connection-settings.ts'
import { seal, unseal } from './keys/seal.ts'
import type { ConnectionTable, Store } from './ports/store.ts'

/** A connection as people and scripts see it: everything but the password. */
export interface ConnectionView extends ConnectionSettings {
  readonly name: string
  readonly type: 'postgres'
  readonly labels: Readonly<Record<string, string>>
  readonly host: string
  readonly port: number
  readonly user: string
  readonly database: string
  readonly tls: TargetTls['mode']
}

/** What `connections add` states. */
export interface NewConnection {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly host: string
  readonly port: number
  readonly user: string
  readonly password: string
  readonly database: string
  readonly tls: TargetTls
  /** Where absent, a connection that is replaced keeps its settings. */
  readonly settings?: ConnectionSettings
}

/** The connections of this gateway; passwords are sealed under the key-encryption key. */
export class Connections {
  readonly #store: Store
  readonly #kek: Secret<Buffer>

  constructor(store: Store, kek: Secret<Buffer>) {
    this.#store = store
    this.#kek = kek
  }

  /** Adds a connection, or replaces the one of that name. */
  async put(connection: NewConnection): Promise<ConnectionView> {
    const { name, password, tls } = connection
    const row = {
      name,
      type: 'postgres' as const,
      labels: JSON.stringify(connection.labels),
      host: connection.host,
      port: connection.port,
      login_user: connection.user,
      database: connection.database,
      tls_mode: tls.mode,
      tls_ca: tls.ca ?? null,
    }
    const { settings = {} } = connection
    const created = settingColumns({ ...settingsDefault, ...settings })
    const sealed = seal(this.#kek, secretName(name), password)
    await this.#store.durable(async (tx) => {
      const { name: _key, ...changes } = row
      await tx
        .insertInto('connection')
        .values({ ...row, ...created, created_at: new Date() })
        .onConflict((conflict) =>
          conflict.column('name').doUpdateSet({ ...changes, ...settingColumns(settings) }),
        )
        .execute()
      await tx
        .insertInto('sealed_secret')
        .values({ name: secretName(name), sealed })
        .onConflict((conflict) => conflict.column('name').doUpdateSet({ sealed }))
        .execute()
    })
    return this.get(name)
  }

  /** Changes the named settings of a connection. */
  async set(name: string, change: Partial<ConnectionSettings>): Promise<ConnectionView> {
    await this.get(name)
    await this.#store.durable(async (tx) => {
      await tx
        .updateTable('connection')
        .set(settingColumns(change))
        .where('name', '=', name)
        .execute()
    })
    return this.get(name)
  }

  /** Removes a connection with its credentials and its sealed password. */
  async remove(name: string): Promise<void> {
    await this.get(name)
    await this.#store.durable(async (tx) => {
      await tx.deleteFrom('connection').where('name', '=', name).execute()
      await tx.deleteFrom('sealed_secret').where('name', '=', secretName(name)).execute()
    })
  }

  async list(): Promise<ConnectionView[]> {
    const rows = await this.#store.db.selectFrom('connection').selectAll().orderBy('name').execute()
    return rows.map(view)
  }

  async get(name: string): Promise<ConnectionView> {
    return view(await this.#row(name))
  }

  /** With its password: for the data plane alone. */
  async config(name: string): Promise<ConnectionConfig> {
    const row = await this.#row(name)
    const secret = await this.#store.db
      .selectFrom('sealed_secret')
      .select('sealed')
      .where('name', '=', secretName(name))
      .executeTakeFirst()
    if (secret === undefined) {
      throw new SallyportError('SP_INTERNAL', `connection "${name}" has no sealed password`)
    }
    return config(row, unseal(this.#kek, secretName(name), secret.sealed))
  }

  async configs(): Promise<ConnectionConfig[]> {
    const rows = await this.#store.db.selectFrom('connection').select('name').execute()
    return Promise.all(rows.map((row) => this.config(row.name)))
  }

  async #row(name: string): Promise<Selectable<ConnectionTable>> {
    const row = await this.#store.db
      .selectFrom('connection')
      .selectAll()
      .where('name', '=', name)
      .executeTakeFirst()
    if (row === undefined) {
      throw new SallyportError('SP_NOT_FOUND', `there is no connection "${name}"`, {
        detail: `connection "${name}"`,
      })
    }
    return row
  }
}

function secretName(connection: string): string {
  return `connection/${connection}`
}

function view(row: Selectable<ConnectionTable>): ConnectionView {
  return {
    name: row.name,
    type: row.type,
    labels: row.labels,
    host: row.host,
    port: row.port,
    user: row.login_user,
    database: row.database,
    tls: row.tls_mode,
    ...settingsOf(row),
  }
}

function settingsOf(row: Selectable<ConnectionTable>): ConnectionSettings {
  const { notices, responses, trusted_functions: trustedFunctions } = row
  return { notices, responses, trustedFunctions }
}

type SettingColumns = Pick<
  Insertable<ConnectionTable>,
  'notices' | 'responses' | 'trusted_functions'
>

function settingColumns(settings: ConnectionSettings): SettingColumns
function settingColumns(settings: Partial<ConnectionSettings>): Partial<SettingColumns>
function settingColumns(settings: Partial<ConnectionSettings>): Partial<SettingColumns> {
  const { trustedFunctions, ...words } = settings
  if (trustedFunctions === undefined) return words
  return { ...words, trusted_functions: JSON.stringify(trustedFunctions) }
}

function config(row: Selectable<ConnectionTable>, password: string): ConnectionConfig {
  return {
    name: row.name,
    type: row.type,
    labels: row.labels,
    target: { host: row.host, port: row.port },
    login: { user: row.login_user, password },
    database: row.database,
    tls: { mode: row.tls_mode, ...(row.tls_ca === null ? {} : { ca: row.tls_ca }) },
    ...settingsOf(row),
  }
}

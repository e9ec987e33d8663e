import { SallyportError, type Secret } from '@sallyport/core'
import type { Insertable, Selectable } from 'kysely'
import type { ConnectionConfig, TargetTls } from '../boundary/snapshot.ts'
import { type ConnectionSettings, settingsDefault } from './connection-settings.ts'
import { GuardNames } from './guard/guard-names.ts'
import type { GuardState } from './guard/guard-state.ts'
import { seal, unseal } from './keys/seal.ts'
import type { FactDetail } from './ledger/facts.ts'
import type { FactBy, Ledger } from './ledger/ledger.ts'
import type { Store } from './ports/store.ts'
import type { ConnectionTable } from './ports/tables/configuration-tables.ts'
import type { ConnectionView } from './contract/connections.ts'

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
  readonly #ledger: Ledger

  constructor(store: Store, kek: Secret<Buffer>, ledger: Ledger) {
    this.#store = store
    this.#kek = kek
    this.#ledger = ledger
  }

  /** Adds a connection, or replaces the one of that name. */
  async put(connection: NewConnection, by: FactBy): Promise<ConnectionView> {
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
      const before = await tx
        .selectFrom('connection')
        .select('name')
        .where('name', '=', name)
        .executeTakeFirst()
      await tx
        .insertInto('connection')
        .values({ ...row, ...created, created_at: new Date() })
        .onConflict((conflict) =>
          conflict
            .column('name')
            // What was applied at one target says nothing of another.
            .doUpdateSet({ ...changes, ...settingColumns(settings), guard: null }),
        )
        .execute()
      await tx
        .insertInto('sealed_secret')
        .values({ name: secretName(name), sealed })
        .onConflict((conflict) => conflict.column('name').doUpdateSet({ sealed }))
        .execute()
      const what = before === undefined ? 'connection.added' : 'connection.changed'
      const detail = { ...told(connection), ...toldSettings(settings) }
      await this.#ledger.write({ what, actor: by, subject: name, detail })
    })
    return this.get(name)
  }

  /** Changes the named settings of a connection. */
  async set(
    name: string,
    change: Partial<ConnectionSettings>,
    by: FactBy,
  ): Promise<ConnectionView> {
    const { guardedAt } = await this.get(name)
    if (change.masking === 'guard' && guardedAt === null) {
      const detail = `no guard was applied at the target of "${name}": sallyport connections guard ${name} --apply`
      throw new SallyportError('SP_GUARD_MISSING', detail, { detail })
    }
    await this.#store.durable(async (tx) => {
      await tx
        .updateTable('connection')
        .set(settingColumns(change))
        .where('name', '=', name)
        .execute()
      const detail = toldSettings(change)
      await this.#ledger.write({ what: 'connection.changed', actor: by, subject: name, detail })
    })
    return this.get(name)
  }

  /** What was applied at the target last; undefined where nothing is. */
  async guard(name: string): Promise<GuardState | undefined> {
    return (await this.#row(name)).guard ?? undefined
  }

  /** Keeps what was applied. Without a guard, columns are masked by the gateway again. */
  async setGuard(name: string, guard: GuardState | undefined): Promise<void> {
    const change =
      guard === undefined
        ? { guard: null, masking: 'lineage' as const }
        : { guard: JSON.stringify(guard) }
    await this.#store.durable(async (tx) => {
      await tx.updateTable('connection').set(change).where('name', '=', name).execute()
    })
  }

  guardNames(name: string): GuardNames {
    return new GuardNames(this.#kek.expose(), name)
  }

  /** Removes a connection with its credentials and its sealed password. */
  async remove(name: string, by: FactBy): Promise<void> {
    await this.get(name)
    await this.#store.durable(async (tx) => {
      const { credentials } = await tx
        .selectFrom('credential')
        .select((each) => each.fn.countAll<string>().as('credentials'))
        .where('connection', '=', name)
        .executeTakeFirstOrThrow()
      await tx.deleteFrom('connection').where('name', '=', name).execute()
      await tx.deleteFrom('sealed_secret').where('name', '=', secretName(name)).execute()
      const detail = { credentials: Number(credentials) }
      await this.#ledger.write({ what: 'connection.removed', actor: by, subject: name, detail })
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
    const password = unseal(this.#kek, secretName(name), secret.sealed)
    return { ...config(row, password), ...this.#guardOf(row) }
  }

  async configs(): Promise<ConnectionConfig[]> {
    const rows = await this.#store.db.selectFrom('connection').select('name').execute()
    return Promise.all(rows.map((row) => this.config(row.name)))
  }

  #guardOf({ name, guard }: Selectable<ConnectionTable>): Pick<ConnectionConfig, 'guard'> {
    if (guard === null) return {}
    const names = this.guardNames(name)
    const sets = guard.sets.map((set) => ({ ...set, password: names.password(set.id) }))
    return { guard: { database: guard.database, sets } }
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
    guardedAt: row.guard?.appliedAt ?? null,
    ...settingsOf(row),
  }
}

function settingsOf(row: Selectable<ConnectionTable>): ConnectionSettings {
  const { notices, responses, trusted_functions: trustedFunctions, masking } = row
  const { hold_max_ms: holdMaxMs, hold_in_transaction_max_ms: holdInTransactionMaxMs } = row
  return { notices, responses, trustedFunctions, masking, holdMaxMs, holdInTransactionMaxMs }
}

/** Of a connection, what the ledger says. */
function told({ labels, host, port, user, database, tls }: NewConnection): FactDetail {
  return {
    target: `${host}:${port}/${database}`,
    user,
    tls: tls.mode,
    labels: Object.entries(labels).map(([name, value]) => `${name}=${value}`),
  }
}

function toldSettings({ trustedFunctions, ...words }: Partial<ConnectionSettings>): FactDetail {
  return trustedFunctions === undefined ? words : { ...words, trustedFunctions }
}

type SettingColumns = Pick<
  Insertable<ConnectionTable>,
  | 'notices'
  | 'responses'
  | 'trusted_functions'
  | 'masking'
  | 'hold_max_ms'
  | 'hold_in_transaction_max_ms'
>

function settingColumns(settings: ConnectionSettings): SettingColumns
function settingColumns(settings: Partial<ConnectionSettings>): Partial<SettingColumns>
function settingColumns(settings: Partial<ConnectionSettings>): Partial<SettingColumns> {
  const { trustedFunctions, holdMaxMs, holdInTransactionMaxMs, ...words } = settings
  return {
    ...words,
    ...(trustedFunctions === undefined
      ? {}
      : { trusted_functions: JSON.stringify(trustedFunctions) }),
    ...(holdMaxMs === undefined ? {} : { hold_max_ms: holdMaxMs }),
    ...(holdInTransactionMaxMs === undefined
      ? {}
      : { hold_in_transaction_max_ms: holdInTransactionMaxMs }),
  }
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

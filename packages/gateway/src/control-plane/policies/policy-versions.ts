import { createHash } from 'node:crypto'
import { SallyportError, type Policy } from '@sallyport/core'
import type { Selectable } from 'kysely'
import type { Store } from '../ports/store.ts'
import type { PolicyVersionTable } from '../ports/tables/configuration-tables.ts'
import { readSetting } from '../settings.ts'
import type { PolicyFile } from './load-policy-folder.ts'
import type { PolicyVersionView, PolicyVersion } from '../contract/policies.ts'

const versionSetting = 'policy_version'

/** Every set of policies that was in force: decisions name it, and are explained by it. */
export class PolicyVersions {
  readonly #store: Store

  constructor(store: Store) {
    this.#store = store
  }

  /**
   * Keeps policies before they are in force, and gives their number. It grows when they differ from those of before, also over
   * restarts. `author` is who changed them, where that is known.
   */
  async keep(
    policies: readonly Policy[],
    files: readonly PolicyFile[],
    author: string,
  ): Promise<{ readonly version: number; readonly digest: string }> {
    const digest = createHash('sha256').update(JSON.stringify(policies)).digest('hex')
    const known = storedVersion(await readSetting(this.#store, versionSetting))
    const version = known.digest === digest ? known.version : known.version + 1
    const row = {
      version,
      digest,
      author,
      loaded_at: new Date(),
      policies: JSON.stringify(policies),
      files: JSON.stringify(files),
    }
    const value = JSON.stringify({ version, digest })
    // Together: a number that is taken stands for what is kept under it.
    await this.#store.durable(async (tx) => {
      await tx
        .insertInto('policy_version')
        .values(row)
        .onConflict((conflict) => conflict.doNothing())
        .execute()
      await tx
        .insertInto('setting')
        .values({ name: versionSetting, value })
        .onConflict((conflict) => conflict.column('name').doUpdateSet({ value }))
        .execute()
    })
    return { version, digest }
  }

  /** Newest first. */
  async list(): Promise<PolicyVersionView[]> {
    const rows = await this.#rows().orderBy('version', 'desc').execute()
    return rows.map(viewOf)
  }

  async view(version: number): Promise<PolicyVersionView> {
    return viewOf(await this.#rows().where('version', '=', version).executeTakeFirstOrThrow())
  }

  /** Undefined where it is not kept: versions of gateways before there was this table are not. */
  async find(version: number): Promise<PolicyVersion | undefined> {
    return await this.#store.db
      .selectFrom('policy_version')
      .select(['version', 'policies', 'files'])
      .where('version', '=', version)
      .executeTakeFirst()
  }

  async get(version: number): Promise<PolicyVersion> {
    const found = await this.find(version)
    if (found !== undefined) return found
    throw new SallyportError('SP_NOT_FOUND', `no policies with the number ${version} are kept`)
  }

  #rows() {
    return this.#store.db
      .selectFrom('policy_version')
      .select(['version', 'digest', 'author', 'loaded_at', 'policies'])
  }
}

function viewOf(
  row: Pick<
    Selectable<PolicyVersionTable>,
    'version' | 'digest' | 'author' | 'loaded_at' | 'policies'
  >,
): PolicyVersionView {
  const { version, digest, author, policies } = row
  return {
    version,
    sha256: digest,
    author,
    loadedAt: row.loaded_at.toISOString(),
    policies: policies.length,
    rules: policies.reduce((sum, { rules }) => sum + rules.length, 0),
  }
}

function storedVersion(value: unknown): { version: number; digest: string } {
  if (typeof value === 'object' && value !== null && 'version' in value && 'digest' in value) {
    return { version: Number(value.version), digest: String(value.digest) }
  }
  return { version: 0, digest: '' }
}

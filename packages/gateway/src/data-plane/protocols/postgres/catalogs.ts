import type { ConnectionConfig } from '../../../boundary/snapshot.ts'
import { TargetLine } from './ask-target.ts'
import { readFingerprint } from './catalog-fingerprint.ts'
import { readCatalog, type Catalog } from './catalog.ts'

/** Objects made by others are seen after this at the latest. */
const catalogAgeMsMax = 60_000

/** The worker's catalogs, one for each connection and database. */
export class Catalogs {
  readonly #held = new Map<string, HeldCatalog>()
  readonly #now: () => number
  #generation = 0

  constructor(now: () => number) {
    this.#now = now
  }

  of(config: ConnectionConfig, database: string): HeldCatalog {
    const key = JSON.stringify([config.name, config.target, config.login.user, database])
    let held = this.#held.get(key)
    if (held === undefined) {
      const line = new TargetLine(config, { database, application_name: 'sallyport catalog' })
      const read = async (before: Catalog | undefined): Promise<Catalog> => {
        this.#generation += 1
        return await readCatalog(config, database, this.#generation, before)
      }
      held = new HeldCatalog(this.#now, read, async () => await readFingerprint(line.ask))
      this.#held.set(key, held)
    }
    return held
  }
}

/** One catalog: read when first asked for, and again when it is stale. */
export class HeldCatalog {
  readonly #now: () => number
  readonly #read: (before: Catalog | undefined) => Promise<Catalog>
  readonly #fingerprint: () => Promise<string>
  #current: Catalog | undefined
  #readAtMs = 0
  #changes = 0
  /** The newest change that the catalog at hand shows. */
  #shown = 0
  #reading: Promise<Catalog> | undefined
  #looking: Promise<void> | undefined
  /** A look that begins when the one under way has ended. */
  #nextLook: Promise<void> | undefined
  /** A look has shown that somebody changed objects, and the catalog at hand does not show how. */
  isOutdated = false

  constructor(
    now: () => number,
    read: (before: Catalog | undefined) => Promise<Catalog>,
    fingerprint: () => Promise<string>,
  ) {
    this.#now = now
    this.#read = read
    this.#fingerprint = fingerprint
  }

  /** The catalog, when it can be used as it is. Old age is mended in the background. */
  get fresh(): Catalog | undefined {
    // While it is read again it is not fresh either: equal statements are judged alike, whoever asked first.
    if (this.#current === undefined || !this.shows(this.#changes)) return undefined
    if (this.#now() - this.#readAtMs > catalogAgeMsMax) this.load().catch(() => undefined)
    return this.#current
  }

  get current(): Catalog | undefined {
    return this.#current
  }

  /** Some session has changed objects: the next statement waits for a new look. Gives the number of the change. */
  markStale(): number {
    this.#changes += 1
    return this.#changes
  }

  /** Whether the catalog at hand was read after this change. */
  shows(change: number): boolean {
    return change <= this.#shown
  }

  /** Asks the target whether anybody has changed objects. The look begins after this call, and serves all who wait for it. */
  async look(): Promise<void> {
    this.#nextLook ??= this.#lookAfter(this.#looking)
    await this.#nextLook
  }

  async #lookAfter(before: Promise<void> | undefined): Promise<void> {
    await (before ?? Promise.resolve()).catch(() => undefined)
    const look = this.#lookNow()
    this.#looking = look
    this.#nextLook = undefined
    await look
  }

  async #lookNow(): Promise<void> {
    const fingerprint = await this.#fingerprint()
    if (this.#current === undefined || this.#current.fingerprint === fingerprint) return
    this.isOutdated = true
    this.markStale()
  }

  async load(): Promise<Catalog> {
    this.#reading ??= this.#readNow()
    return await this.#reading
  }

  async #readNow(): Promise<Catalog> {
    // Counted first: a change that happens while the catalog is being read asks for another look.
    const changes = this.#changes
    try {
      const catalog = await this.#read(this.#current)
      this.#current = catalog
      this.#readAtMs = this.#now()
      this.#shown = changes
      this.isOutdated = false
      return catalog
    } catch (error) {
      this.markStale()
      throw error
    } finally {
      this.#reading = undefined
    }
  }
}

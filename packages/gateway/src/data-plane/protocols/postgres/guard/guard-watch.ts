import type { Logger } from 'pino'
import { violationsIn, violationsSql, type GuardedSet } from '@sallyport/core'
import type { ConnectionConfig } from '../../../../boundary/snapshot.ts'
import { withTarget } from '../ask-target.ts'

/** Rights that somebody gives at the target are seen after this at the latest, by sessions that ask for anything. */
const ageMsMax = 30_000
/** While a target is not safe nothing runs, so it is looked at again sooner. */
const unsafeAgeMsMax = 1_000

/** The worker's looks at guarded targets, one for each role. */
export class GuardWatches {
  readonly #held = new Map<string, GuardWatch>()
  readonly #now: () => number
  readonly #log: Logger

  constructor(now: () => number, log: Logger) {
    this.#now = now
    this.#log = log
  }

  of(config: ConnectionConfig, database: string, set: GuardedSet): GuardWatch {
    const { name, target, trustedFunctions } = config
    const key = JSON.stringify([name, target, database, set.login, set.digest, trustedFunctions])
    let held = this.#held.get(key)
    if (held === undefined) {
      held = new GuardWatch(this.#now, this.#log, { config, database, set })
      this.#held.set(key, held)
    }
    return held
  }
}

/** A mask set, and where it is enforced. */
interface Watched {
  readonly config: ConnectionConfig
  readonly database: string
  readonly set: GuardedSet
}

/** Whether a target still enforces one mask set, looked at again while sessions rely on it. */
export class GuardWatch {
  readonly #now: () => number
  readonly #log: Logger
  readonly #watched: Watched
  #problems: readonly string[] = []
  #lookedAtMs = -Infinity
  #looking: Promise<void> | undefined

  constructor(now: () => number, log: Logger, watched: Watched) {
    this.#now = now
    this.#log = log
    this.#watched = watched
  }

  get isFresh(): boolean {
    return this.#now() - this.#lookedAtMs <= (this.isSafe ? ageMsMax : unsafeAgeMsMax)
  }

  /** False where a guarded role was found to reach something in clear. */
  get isSafe(): boolean {
    return this.#problems.length === 0
  }

  /** Somebody has changed objects: the next command waits for a new look. */
  markStale(): void {
    this.#lookedAtMs = -Infinity
  }

  async look(): Promise<void> {
    this.#looking ??= this.#lookNow().finally(() => {
      this.#looking = undefined
    })
    await this.#looking
  }

  async #lookNow(): Promise<void> {
    // Before the target is asked: a change that happens meanwhile asks for another look.
    this.#lookedAtMs = this.#now()
    const { config, database, set } = this.#watched
    const parameters = { database, search_path: 'pg_catalog', application_name: 'sallyport guard' }
    try {
      const rows = await withTarget(
        config,
        parameters,
        async (ask) => await ask(violationsSql(set)),
      )
      this.#problems = violationsIn(rows, set, config.trustedFunctions)
    } catch (error) {
      this.#lookedAtMs = -Infinity
      throw error
    }
    if (this.isSafe) return
    this.#log.error({
      event: 'guard.drift',
      connection: config.name,
      maskSet: set.id,
      problems: this.#problems,
    })
  }
}

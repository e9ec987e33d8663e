import type { Purse } from '../../agents/purse.ts'
import type { HeldCatalog } from './catalogs.ts'
import type { SqlClassifier } from './classify/classify-sql.ts'
import { needsWorker } from './classify/text-limits.ts'
import type { SessionGuard } from './guard/session-guard.ts'
import type { Judge } from './judge.ts'

/** What readiness looks at, and whom it tells. */
export interface ReadinessDeps {
  readonly judge: Judge
  readonly catalog: HeldCatalog
  readonly classifier: SqlClassifier
  readonly purse: Purse
  readonly guard: SessionGuard | undefined
  isInTransaction(): boolean
  /** What was asked for is here: ask again. */
  wake(): void
  fail(error: unknown): void
}

/** Gets what a text needs before it can be judged at once: a fresh catalog, its parse where it is large, and its budget. */
export class Readiness {
  readonly #deps: ReadinessDeps
  readonly #parsed = new Set<string>()
  /** The text that waits, once the catalog was looked at for it. */
  #lookedFor: string | undefined

  constructor(deps: ReadinessDeps) {
    this.#deps = deps
  }

  /** True when the text can be judged now. Else work begins, and `wake` is called when it is done. `runs` is false for a Parse. */
  isFor(text: string, runs: boolean): boolean {
    const { judge, catalog, classifier, guard } = this.#deps
    if (guard?.isReady === false) {
      this.#await(guard.ready())
      return false
    }
    const isStale = catalog.fresh === undefined && !this.#deps.isInTransaction()
    if (isStale && this.#needsCatalog(text)) {
      this.#await(catalog.load())
      return false
    }
    if (!needsWorker(text) || this.#parsed.has(text)) {
      const isReady = (!runs || this.#hasLooked(text)) && this.#hasBudget(text)
      if (isReady) this.#lookedFor = undefined
      return isReady
    }
    const parsed = classifier.classifyLarge(text, judge.view()).catch(() => undefined)
    this.#await(
      parsed.then(() => {
        // Kept only while this text waits, so that a session doesn't hoard its large statements.
        this.#parsed.clear()
        this.#parsed.add(text)
      }),
    )
    return false
  }

  /** What meets masked columns is judged by a catalog that nobody has changed since it was sent. */
  #hasLooked(text: string): boolean {
    const { judge, catalog } = this.#deps
    if (this.#lookedFor === text || !judge.meetsMasks(text)) return true
    this.#await(
      catalog.look().then(() => {
        this.#lookedFor = text
      }),
    )
    return false
  }

  /** A command waits where it needs more of a budget than was leased. */
  #hasBudget(text: string): boolean {
    const { purse, judge } = this.#deps
    if (!purse.countsCommands) return true
    const needs = judge.needs(text)
    if (purse.isReady(needs)) return true
    this.#await(purse.fill(needs))
    return false
  }

  /** A row of definitions, as a restore sends them, need not wait for the catalog after each: they read nothing. */
  #needsCatalog(text: string): boolean {
    const { judge, catalog, classifier } = this.#deps
    if (catalog.current === undefined || catalog.isOutdated || needsWorker(text)) return true
    const { statements, effects } = classifier.classify(text, judge.view())
    const isPlain = statements.every((info) => info.ddl || info.kind === 'set')
    return !isPlain || effects.class === 'unknown' || effects.sql?.reads.length !== 0
  }

  #await(work: Promise<unknown>): void {
    work.catch((error: unknown) => this.#deps.fail(error)).finally(() => this.#deps.wake())
  }
}

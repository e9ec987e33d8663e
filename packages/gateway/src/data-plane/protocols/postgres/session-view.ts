import { SallyportError } from '@sallyport/core'
import type { Catalog } from './catalog.ts'
import type { HeldCatalog } from './catalogs.ts'
import {
  addMade,
  emptyCatalog,
  withFunctions,
  type CatalogView,
  type MadeFunctions,
} from './classify/classified.ts'
import type { MadeFunction } from './classify/stored-code.ts'

/** Far above what a restore makes; each name takes some hundred bytes. */
const functionsMadeMax = 100_000

/** Definitions beyond this are not kept, and a call of what they define is unknown: a session must not hoard memory. */
const madeCharactersMax = 4 * 1024 * 1024

/** Views with a session's own functions are numbered downwards, so that they share no number with a catalog's. */
let viewsMade = 0

/** The target's catalog as one session sees it: by its search path, and with the functions that it has made itself. */
export class SessionView {
  readonly #catalog: Pick<HeldCatalog, 'current'>
  readonly #trustedFunctions: ReadonlySet<string>
  #isPathKnown: boolean
  readonly #made: MadeFunctions = new Map()
  #madeCount = 0
  #madeCharacters = 0
  #madeView: { readonly over: number; readonly generation: number } | undefined
  /** The newest view, and of what it is one: most commands see what the one before saw. */
  #newest: { readonly of: Catalog; readonly view: CatalogView } | undefined

  constructor(
    catalog: Pick<HeldCatalog, 'current'>,
    trustedFunctions: ReadonlySet<string>,
    isPathKnown: boolean,
  ) {
    this.#catalog = catalog
    this.#trustedFunctions = trustedFunctions
    this.#isPathKnown = isPathKnown
  }

  /** Once a session has touched its search path, an unqualified name stands for all that bear it. */
  get isPathKnown(): boolean {
    return this.#isPathKnown
  }

  pathChanged(): void {
    this.#isPathKnown = false
    this.#newest = undefined
  }

  now(): CatalogView {
    const view = this.#ofCatalog()
    if (this.#made.size === 0) return view
    if (this.#madeView?.over !== view.generation) {
      viewsMade += 1
      this.#madeView = { over: view.generation, generation: -viewsMade }
    }
    return withFunctions(view, this.#made, this.#madeView.generation)
  }

  #ofCatalog(): CatalogView {
    const { current } = this.#catalog
    if (current === undefined) return emptyCatalog
    if (this.#newest?.of !== current) {
      const view = current.view(this.#isPathKnown, this.#trustedFunctions)
      this.#newest = { of: current, view }
    }
    return this.#newest.view
  }

  /** Functions that a command of the session makes: inside its transaction the target calls what no catalog of ours can show. */
  noteMade(functions: readonly MadeFunction[]): void {
    if (functions.length === 0) return
    for (const { name, definition = '' } of functions) {
      this.#madeCharacters += definition.length
      const isKept = definition !== '' && this.#madeCharacters <= madeCharactersMax
      addMade(this.#made, isKept ? { name, definition } : { name })
    }
    this.#madeCount += functions.length
    this.#madeView = undefined
    if (this.#madeCount <= functionsMadeMax) return
    throw new SallyportError('SP_LIMIT', 'too many functions made in one session', {
      detail: `The limit is ${functionsMadeMax} functions made in one session.`,
    })
  }
}

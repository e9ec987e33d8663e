import type { Effects } from '@sallyport/core'
import type { Catalog } from './catalog.ts'
import { codeBehind } from './classify/code-behind.ts'
import type { CatalogView, Classified, StatementInfo } from './classify/classified.ts'
import type { Statement } from './names.ts'
import type { Unit } from './unit.ts'

/** Whether one session reads a text as any other session of its agent would. */
export class SessionMeaning {
  readonly #session: string
  readonly #startup: readonly string[]
  #isOwn = false

  /** `startup` are the settings that the session began with, `name=value`. */
  constructor(session: string, startup: readonly string[]) {
    this.#session = session
    this.#startup = startup
  }

  /** A text that the session sends. Refused ones count too: what is not known to change nothing is taken to change something. */
  note({ statements, effects }: Classified): void {
    const changes =
      statements.some(isChange) ||
      effects.opaque.length > 0 ||
      effects.classes.includes('ddl') ||
      effects.sql?.functions.some((name) => name.endsWith('set_config')) === true ||
      effects.sql?.writes.some((name) => name.at(-1) === 'pg_settings') === true
    this.#isOwn ||= changes
  }

  /** What an approval of this session's commands is bound to: where it has changed anything, to this session. */
  get settings(): readonly string[] {
    return this.#isOwn ? [...this.#startup, this.#session] : this.#startup
  }
}

/** RESET, SET ROLE and the like are `set`. The end of a transaction undoes only what was a change itself. */
function isChange({ kind, ddl, changesSearchPath }: StatementInfo): boolean {
  switch (kind) {
    case 'set':
    case 'discard':
    case 'other':
      return true
    case 'begin':
    case 'commit':
    case 'rollback':
    case 'savepoint':
      return false
    case 'plain':
    case 'prepare':
    case 'execute':
    case 'deallocate':
    case 'declare':
    case 'fetch':
    case 'close':
    case 'copy':
    case 'listen':
      return ddl || changesSearchPath
  }
}

/** What a command does beyond its words: its effects, what its names stand for, and the code and tables behind them. */
export function meaningOf(
  { standsFor, statement }: Pick<Unit, 'standsFor' | 'statement'>,
  effects: Effects,
  view: CatalogView,
  catalog: Pick<Catalog, 'named'> | undefined,
): readonly string[] {
  return [
    JSON.stringify(effects),
    JSON.stringify(standsFor),
    JSON.stringify(statement?.parameterTypes ?? []),
    ...behindOf(effects, view, catalog),
  ]
}

/** The tables and the target's own code that the names of a command stand for now. */
export function behindOf(
  effects: Effects,
  view: CatalogView,
  catalog: Pick<Catalog, 'named'> | undefined,
): readonly string[] {
  const tables = effects.objects.flatMap((name) =>
    (catalog?.named(name) ?? []).map(({ oid }) => oid),
  )
  return [JSON.stringify(tables), ...codeBehind(effects, view)]
}

/** The text that a prepared statement was made by. */
export function textOf({ text, source }: Statement): string {
  return source === undefined ? text : source.text
}

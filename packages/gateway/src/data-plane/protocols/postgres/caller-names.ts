import { SallyportError } from '@sallyport/core'
import type { Bind } from '@sallyport/wire'
import type { NameChange } from './awaited.ts'
import type { BoundValues, Names, Portal, Statement } from './names.ts'
import { sqlNameChanges } from './sql-names.ts'
import type { Unit } from './unit.ts'

/** What a caller's messages will do to the names of its session, each once the target has done it; and what that may take. */
export class CallerNames {
  readonly #names: Names
  readonly #valueBytesMax: number

  constructor(names: Names, valueBytesMax: number) {
    this.#names = names
    this.#valueBytesMax = valueBytesMax
  }

  statement(batch: number, name: string, statement: Statement): NameChange {
    this.#mustHaveRoom(name)
    const { statements } = this.#names
    const pending = statements.announce(batch, name, statement)
    return { statementIndex: 0, apply: () => statements.confirm(pending) }
  }

  portal(batch: number, name: string, portal: Portal): NameChange {
    this.#mustHaveRoom(name)
    const { portals } = this.#names
    const pending = portals.announce(batch, name, portal)
    return { statementIndex: 0, apply: () => portals.confirm(pending) }
  }

  removal(batch: number, of: 'statements' | 'portals', name: string): NameChange {
    return { statementIndex: 0, apply: this.#names[of].remove(batch, name) }
  }

  /** PREPARE, DECLARE and their like change names when their query or Execute is complete. `runsIn` is the portal of that. */
  sql(batch: number, unit: Unit, runsIn?: string): void {
    const last = unit.awaits.at(-1)
    if (unit.isRefused || unit.classified === undefined || last === undefined) return
    const { text, classified, generation } = unit
    const named = { text, classified, generation }
    last.changes = sqlNameChanges(named, batch, this.#names, runsIn)
  }

  /** Copies, since what they came with is let go; who executes the portal later has to be told of them. */
  keptValues({ parameters, parameterFormats }: Bind): BoundValues {
    let bytes = this.#names.valueBytes
    for (const value of parameters) bytes += value?.length ?? 0
    if (bytes > this.#valueBytesMax)
      throw new SallyportError('SP_LIMIT', 'too many values in portals that are not executed', {
        detail: `The limit is ${this.#valueBytesMax} bytes in one session.`,
      })
    return {
      parameters: parameters.map((value) => (value === null ? null : Buffer.from(value))),
      formats: parameterFormats,
    }
  }

  #mustHaveRoom(name: string): void {
    const { statements, portals } = this.#names
    if (name === '' || (!statements.isFull && !portals.isFull)) return
    throw new SallyportError('SP_LIMIT', 'too many names in one session', {
      detail: 'The limit is 10,000 prepared statements or portals in one session.',
    })
  }
}

import type { Classified, StatementInfo } from './classify/classified.ts'
import type { NameChange } from './awaited.ts'
import type { Names, Portal, Statement } from './names.ts'

/**
 * What the statements of a text will do to the session's names, each once it is complete. `runsIn` is the portal that they run
 * in: no statement closes its own.
 */
export function sqlNameChanges(
  { text, classified, generation }: Named,
  batch: number,
  names: Names,
  runsIn?: string,
): NameChange[] {
  const changes: NameChange[] = []
  for (const [statementIndex, statement] of classified.statements.entries()) {
    const source = { text, statementIndex, generation }
    for (const apply of changesOf(statement, source, { batch, names, runsIn }))
      changes.push({ statementIndex, apply })
  }
  return changes
}

/** A text that may make names, and under which catalog it was read. */
export interface Named {
  readonly text: string
  readonly classified: Classified
  readonly generation: number
}

interface Where {
  readonly batch: number
  readonly names: Names
  readonly runsIn: string | undefined
}

/** SQL reaches only named prepared statements: `DEALLOCATE ALL` and `DISCARD ALL` leave the unnamed one. */
const unnamed = ''

function changesOf(
  info: StatementInfo,
  source: NonNullable<Statement['source']>,
  { batch, names, runsIn }: Where,
): (() => void)[] {
  const { statements, portals } = names
  switch (info.kind) {
    case 'prepare': {
      if (info.name === undefined || info.prepared === undefined) return []
      const statement: Statement = { text: '', prepared: info.prepared, source }
      const pending = statements.announce(batch, info.name, statement)
      return [() => statements.confirm(pending)]
    }
    case 'declare': {
      if (info.name === undefined || info.prepared === undefined) return []
      const portal: Portal = {
        statement: { text: '', prepared: info.prepared, source },
        resultFormats: [],
        isHeld: true,
      }
      const pending = portals.announce(batch, info.name, portal)
      return [() => portals.confirm(pending)]
    }
    case 'deallocate': {
      if (info.name !== undefined) return [statements.remove(batch, info.name)]
      return [statements.removeAll(batch, unnamed)]
    }
    case 'close': {
      if (info.name !== undefined) return [portals.remove(batch, info.name)]
      return [portals.removeAll(batch, runsIn)]
    }
    case 'discard': {
      return [statements.removeAll(batch, unnamed), portals.removeAll(batch, runsIn)]
    }
    case 'plain':
    case 'begin':
    case 'commit':
    case 'rollback':
    case 'savepoint':
    case 'execute':
    case 'fetch':
    case 'copy':
    case 'set':
    case 'listen':
    case 'other':
      return []
  }
}

import type { Classified, StatementInfo } from './classify/classified.ts'
import type { NameChange } from './awaited.ts'
import type { Names, Portal, Statement } from './names.ts'

/** What the statements of a simple query will do to the session's names, each once it is complete. */
export function sqlNameChanges(
  { text, classified, generation }: Named,
  batch: number,
  names: Names,
): NameChange[] {
  const changes: NameChange[] = []
  for (const [statementIndex, statement] of classified.statements.entries()) {
    const source = { text, statementIndex, generation }
    for (const apply of changesOf(statement, source, batch, names))
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

function changesOf(
  info: StatementInfo,
  source: NonNullable<Statement['source']>,
  batch: number,
  names: Names,
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
        statement: { text: '', prepared: info.prepared },
        resultFormats: [],
        isHeld: true,
      }
      const pending = portals.announce(batch, info.name, portal)
      return [() => portals.confirm(pending)]
    }
    case 'deallocate': {
      if (info.name !== undefined) return [statements.remove(batch, info.name)]
      const all = statements.announceAll(batch)
      return [() => statements.confirmAll(all)]
    }
    case 'close': {
      if (info.name !== undefined) return [portals.remove(batch, info.name)]
      const all = portals.announceAll(batch)
      return [() => portals.confirmAll(all)]
    }
    case 'discard': {
      const all = [statements.announceAll(batch), portals.announceAll(batch)] as const
      return [() => statements.confirmAll(all[0]), () => portals.confirmAll(all[1])]
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

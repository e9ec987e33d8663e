import type { VerbContext } from '../context.ts'
import { newestSessions } from './sessions.ts'
import { EXIT } from '../exit-codes.ts'
import { printList } from '../output.ts'
import { recordedLines } from './recorded-lines.ts'

/** Recordings are read whole, so only those of the newest sessions. */
const sessionsMax = 50

interface Observed {
  readonly rule: string
  readonly would: string
  count: number
  readonly session: string
  readonly example: string
}

const exampleCharactersMax = 60

/** Counts what rules in observe mode would have done, with the newest command of each. */
export async function observed(context: VerbContext): Promise<number> {
  const api = await context.api()
  const sessions = await newestSessions(api)
  const found = new Map<string, Observed>()
  for (const { id } of sessions.slice(0, sessionsMax)) {
    for await (const line of recordedLines(api, id)) note(found, id, line)
  }
  const rows = [...found.values()].toSorted((left, right) => right.count - left.count)
  const columns = {
    WOULD: (row: Observed) => row.would,
    RULE: (row: Observed) => row.rule,
    COMMANDS: (row: Observed) => String(row.count),
    SESSION: (row: Observed) => row.session,
    EXAMPLE: (row: Observed) => row.example,
  }
  await printList(context.output, rows, columns, (row) => row.rule)
  return EXIT.done
}

interface RecordedCommand {
  readonly rules?: readonly string[]
  readonly text?: { readonly text?: string }
}

function note(found: Map<string, Observed>, session: string, line: string): void {
  if (!line.includes('"would-')) return
  const entry = JSON.parse(line) as RecordedCommand & { readonly entry?: RecordedCommand }
  const { rules = [], text } = entry.entry ?? entry
  for (const word of rules) {
    const match = /^would-(\w+) (.+)$/.exec(word)
    if (match === null) continue
    const known = found.get(word)
    if (known !== undefined) known.count += 1
    else {
      const example = (text?.text ?? '').replaceAll(/\s+/g, ' ').slice(0, exampleCharactersMax)
      found.set(word, { rule: match[2] ?? '', would: match[1] ?? '', count: 1, session, example })
    }
  }
}

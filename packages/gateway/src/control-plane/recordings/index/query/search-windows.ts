import { type Kysely, sql } from 'kysely'
import type { Tables } from '../../../ports/tables/tables.ts'
import { dayTable } from '../day-table.ts'
import type { CompiledQuery } from './compile-query.ts'
import type { TimeRange } from './query.ts'

/** Some days that may hold matches. */
export interface SearchWindow extends TimeRange {
  /** The tables of these days. */
  readonly tables: readonly string[]
}

/** What one statement looks through at most, unless one day has more: the embedded database does nothing else meanwhile. */
const commandsPerStatement = 250_000
const daysPerStatement = 64
const dayMs = 86_400_000

/** Whole days that may hold matches, newest first, some at a time. */
export async function searchWindows(
  db: Kysely<Tables>,
  { fromMs, untilMs, sessions }: CompiledQuery,
  after: { readonly at: Date } | undefined,
): Promise<SearchWindow[]> {
  const { rows } = await sql<{ day: string; commands: string }>`
    select day::text as day, commands from command_day order by day desc`.execute(db)
  const found: { fromMs: number; untilMs: number; commands: number; tables: string[] }[] = []
  for (const { day, commands } of rows) {
    const startMs = Date.parse(day)
    const endMs = startMs + dayMs
    const isOutside =
      startMs >= untilMs ||
      endMs <= fromMs ||
      (after !== undefined && startMs > after.at.getTime()) ||
      sessions?.some((each) => each.fromMs < endMs && each.untilMs >= startMs) === false
    if (isOutside) continue
    const last = found.at(-1)
    const sum = (last?.commands ?? 0) + Number(commands)
    if (
      last !== undefined &&
      sum <= commandsPerStatement &&
      last.tables.length < daysPerStatement
    ) {
      last.tables.push(dayTable(day))
      Object.assign(last, { fromMs: startMs, commands: sum })
    } else
      found.push({
        fromMs: startMs,
        untilMs: endMs,
        commands: Number(commands),
        tables: [dayTable(day)],
      })
  }
  return found.map(({ tables, ...each }) => ({
    tables,
    fromMs: Math.max(each.fromMs, fromMs),
    untilMs: Math.min(each.untilMs, untilMs),
  }))
}

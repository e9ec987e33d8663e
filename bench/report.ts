import { readFile, writeFile } from 'node:fs/promises'
import type { Load, Sample } from './loads.ts'
import { median } from './median.ts'

/** The figures of one side under one load. */
export interface Row {
  readonly load: string
  readonly unit: Load['unit']
  readonly side: string
  readonly perSecond: { readonly median: number; readonly min: number; readonly max: number }
  readonly toDirect: number
  readonly toPgbouncer: number
  /** Median; null where there is no proxy or the system doesn't tell. */
  readonly cpuMicros: number | null
  /** Median of what the control plane took meanwhile, to ship and to index; null where there is none. */
  readonly behindMicros: number | null
  /** Median over the rounds of the p50 of a transaction's time; null where more than one client asks. */
  readonly p50Micros: number | null
}

export interface Results {
  readonly measuredAt: string
  readonly revision: string
  readonly machine: Readonly<Record<string, string | number>>
  readonly versions: Readonly<Record<string, string>>
  readonly rounds: number
  readonly seconds: number
  readonly rows: readonly Row[]
}

/** Samples by load, then by side, in the order of the rounds. */
export type Samples = Map<Load, Map<string, Sample[]>>

export function rowsOf(samples: Samples): readonly Row[] {
  return [...samples].flatMap(([load, sides]) => {
    const medianAt = (side: string): number =>
      median((sides.get(side) ?? []).map((sample) => sample.perSecond))
    const orNull = (values: readonly number[]): number | null =>
      values.length === 0 ? null : rounded(median(values))
    return [...sides].map(([side, all]): Row => {
      const rates = all.map((sample) => sample.perSecond)
      const middle = median(rates)
      return {
        load: load.name,
        unit: load.unit,
        side,
        perSecond: {
          median: Math.round(middle),
          min: Math.round(Math.min(...rates)),
          max: Math.round(Math.max(...rates)),
        },
        toDirect: rounded(middle / medianAt('direct')),
        toPgbouncer: rounded(middle / medianAt('pgbouncer')),
        cpuMicros: orNull(all.flatMap((sample) => sample.cpuMicros ?? [])),
        behindMicros: orNull(all.flatMap((sample) => sample.behindMicros ?? [])),
        p50Micros: orNull(all.flatMap((sample) => sample.p50Micros ?? [])),
      }
    })
  })
}

/** All rows as a Markdown table, which reads well in a terminal too. */
export function table(rows: readonly Row[]): string {
  const cells = rows.map((row) => [
    row.load,
    row.side,
    `${count(row.perSecond.median)} ${row.unit}`,
    `${count(row.perSecond.min)}–${count(row.perSecond.max)}`,
    row.toDirect.toFixed(2),
    row.toPgbouncer.toFixed(2),
    row.cpuMicros === null ? '–' : row.cpuMicros.toFixed(1),
    row.behindMicros === null ? '–' : row.behindMicros.toFixed(1),
    row.p50Micros === null ? '–' : `${row.p50Micros}${added(rows, row)}`,
  ])
  const heads = ['load', 'side', 'per second', 'spread', '÷ direct', '÷ pgbouncer', 'CPU µs each']
  heads.push('behind it', 'p50 µs (added)')
  const widths = heads.map((head, at) =>
    Math.max(head.length, ...cells.map((row) => row[at]?.length ?? 0)),
  )
  const line = (row: readonly string[]): string =>
    `| ${row.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join(' | ')} |`
  return [line(heads), line(widths.map((width) => '-'.repeat(width))), ...cells.map(line)].join(
    '\n',
  )
}

/** What a side adds to the p50 of a direct connection. */
function added(rows: readonly Row[], { load, side, p50Micros }: Row): string {
  const direct = rows.find((row) => row.load === load && row.side === 'direct')?.p50Micros
  if (side === 'direct' || p50Micros === null || direct === null || direct === undefined) return ''
  return ` (${Math.round(p50Micros - direct)})`
}

const opening = '<!-- bench: the table is written by npm run bench -->'
const closing = '<!-- bench: end -->'

/** Puts the table between the page's two marks, so that the page can't quote another figure than the file. */
export async function quote(page: URL, results: Results): Promise<void> {
  const text = await readFile(page, 'utf8')
  const [before, rest] = text.split(opening)
  const after = rest?.split(closing)[1]
  if (before === undefined || after === undefined)
    throw new Error('the page has no marks for figures')
  const { machine, versions, rounds, seconds, revision } = results
  const facts = [
    ...Object.entries(machine).map(([name, value]) => `${name} ${value}`),
    ...Object.entries(versions).map(([name, value]) => `${name} ${value}`),
    `${rounds} rounds of ${seconds} s`,
    `revision ${revision}`,
  ].join('; ')
  const body = `${opening}\n\nMeasured on: ${facts}.\n\n${table(results.rows)}\n\n${closing}`
  await writeFile(page, `${before}${body}${after}`)
}

/** What got worse than the committed figures allow. CPU beside pgbouncer's is the measure: it swings least with the machine. */
export function regressions(now: readonly Row[], before: readonly Row[]): readonly string[] {
  return now.flatMap((row) => {
    if (!row.side.startsWith('sallyport')) return []
    const [ratio, old] = [cpuRatio(now, row), cpuRatio(before, row)]
    if (ratio === undefined || old === undefined || ratio <= old * worseMax) return []
    const figures = `${ratio.toFixed(2)} times pgbouncer's CPU, ${old.toFixed(2)} before`
    return [`${row.load}, ${row.side}: ${figures}`]
  })
}

/** Beyond what two runs of the same revision differ by. */
const worseMax = 1.5

function cpuRatio(rows: readonly Row[], { load, side }: Row): number | undefined {
  const cpu = (name: string): number =>
    rows.find((row) => row.load === load && row.side === name)?.cpuMicros ?? 0
  return cpu(side) > 0 && cpu('pgbouncer') > 0 ? cpu(side) / cpu('pgbouncer') : undefined
}

const rounded = (value: number): number => Math.round(value * 100) / 100
const count = (value: number): string => value.toLocaleString('en-US')

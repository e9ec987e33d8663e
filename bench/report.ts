import { readFile, writeFile } from 'node:fs/promises'
import type { Load, Sample } from './loads.ts'

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
    return [...sides].map(([side, all]): Row => {
      const rates = all.map((sample) => sample.perSecond)
      const cpu = all.flatMap((sample) => sample.cpuMicros ?? [])
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
        cpuMicros: cpu.length === 0 ? null : rounded(median(cpu)),
      }
    })
  })
}

/** All rows as a Markdown table, which reads well in a terminal too. */
export function table(rows: readonly Row[]): string {
  const cells = rows.map(({ load, unit, side, perSecond, toDirect, toPgbouncer, cpuMicros }) => [
    load,
    side,
    `${count(perSecond.median)} ${unit}`,
    `${count(perSecond.min)}–${count(perSecond.max)}`,
    toDirect.toFixed(2),
    toPgbouncer.toFixed(2),
    cpuMicros === null ? '–' : cpuMicros.toFixed(1),
  ])
  const heads = ['load', 'side', 'per second', 'spread', '÷ direct', '÷ pgbouncer', 'CPU µs each']
  const widths = heads.map((head, at) =>
    Math.max(head.length, ...cells.map((row) => row[at]?.length ?? 0)),
  )
  const line = (row: readonly string[]): string =>
    `| ${row.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join(' | ')} |`
  return [line(heads), line(widths.map((width) => '-'.repeat(width))), ...cells.map(line)].join(
    '\n',
  )
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

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length / 2
  const [low, high] = [sorted[Math.ceil(middle) - 1], sorted[Math.floor(middle)]]
  return ((low ?? Number.NaN) + (high ?? Number.NaN)) / 2
}

const rounded = (value: number): number => Math.round(value * 100) / 100
const count = (value: number): string => value.toLocaleString('en-US')

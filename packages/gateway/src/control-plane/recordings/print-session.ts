import { Buffer } from 'node:buffer'
import {
  isLedgerId,
  visibleJson,
  visibleText,
  type AnsweredEntry,
  type CommandEntry,
  type Entry,
  type FactEntry,
} from '@sallyport/core'
import type { RecordedEntry, RecordingProblem } from './journal-reader.ts'
import { ResponseGrid } from './response-grid.ts'

/** No cell takes more than this, so that one long value does not push the others out of view. */
const CELL_WIDTH_MAX = 40

/** A transcript of one session: times, commands, verdicts, result grids, errors, masks and tags. */
export function printSession(
  items: Iterable<RecordedEntry | RecordingProblem>,
  width: number,
): string {
  const printer = new SessionPrinter(width)
  let text = ''
  for (const item of items) text += printer.print(item)
  return text
}

/** Prints a session piece by piece, for recordings that are too long to hold. */
export class SessionPrinter {
  readonly #width: number
  readonly #grids = new Map<number, ResponseGrid>()
  #columns: ResponseGrid['columns'] = []

  constructor(width: number) {
    this.#width = width
  }

  /** The lines that this item adds, each ended; empty where it adds none. */
  print(item: RecordedEntry | RecordingProblem): string {
    const lines =
      item.kind === 'problem'
        ? [`!! ${item.file} at ${item.offset}: ${item.reason}`]
        : this.#entry(item.entry, new Date(item.timeMs).toISOString().slice(11, 23))
    return lines.map((line) => `${cut(visibleText(line), this.#width)}\n`).join('')
  }

  #entry(entry: Entry, time: string): string[] {
    switch (entry.kind) {
      case 'session.opened': {
        if (isLedgerId(entry.session))
          return [`${time}  ${entry.session}  ledger of ${entry.application} on ${entry.source}`]
        const chain = entry.chain.map((agent) => agent.name).join(' › ')
        return [`${time}  ${entry.session}  ${chain}  ${entry.connection}/${entry.database}`]
      }
      case 'command':
        return printCommand(entry, time)
      case 'response.data':
        this.#grid(entry.seq).push(entry.bytes)
        return []
      case 'response.end':
        return this.#end(entry, time)
      case 'masked':
        return [`${time}  #${entry.seq} masked ${entry.values} by ${entry.rule}`]
      case 'lineage':
        return entry.text.split('\n').map((line) => `${time}  #${entry.seq} ${line}`)
      case 'copy.data':
        return [`${time}  #${entry.seq} copied ${entry.bytes.length} bytes to the target`]
      case 'refused':
        return [`${time}  #${entry.seq} refused ${entry.code}: ${entry.message}`]
      case 'held': {
        const until = new Date(entry.untilMs).toISOString().slice(11, 19)
        return [`${time}  #${entry.seq} held for ${entry.approval} (${entry.wants}) until ${until}`]
      }
      case 'answered':
        return [`${time}  #${entry.seq} ${printAnswer(entry)}`]
      case 'cancelled':
        return [`${time}  #${entry.seq} cancelled`]
      case 'notice':
        return [`${time}  ${entry.text}`]
      case 'fact':
        return [printFact(entry, time)]
      case 'facts':
        return []
      case 'session.closed':
        return [
          `${time}  closed: ${entry.reason}; ${entry.commands} commands, ${entry.blocked} blocked, ${entry.maskedValues} values masked`,
        ]
    }
  }

  #grid(seq: number): ResponseGrid {
    const known = this.#grids.get(seq)
    if (known !== undefined) return known
    // In the extended protocol a description comes once, and many executions follow.
    const grid = new ResponseGrid(this.#columns)
    this.#grids.set(seq, grid)
    return grid
  }

  #end(entry: Extract<Entry, { kind: 'response.end' }>, time: string): string[] {
    const grid = this.#grid(entry.seq)
    if (entry.data !== undefined) grid.push(entry.data)
    if (entry.status !== 'suspended') this.#grids.delete(entry.seq)
    this.#columns = grid.columns
    const lines = printGrid(grid)
    if (grid.error !== '') lines.push(`    ${grid.error}`)
    const tag = entry.tag === '' ? entry.status : entry.tag
    const state = entry.sqlState === undefined ? '' : ` ${entry.sqlState}`
    lines.push(`${time}  #${entry.seq} ${tag}${state} (${entry.rows} rows, ${entry.bytes} bytes)`)
    // A suspended portal goes on: its next rows are printed once, with its next end.
    grid.rows.length = 0
    grid.rowCount = 0
    return lines
  }
}

/** An item as plain data for JSON: bytes as text where they are UTF-8, as base64 otherwise. */
export function sessionJson(item: RecordedEntry | RecordingProblem): string {
  const json = JSON.stringify(item, function replace(this: unknown, name: string, value: unknown) {
    // Buffers have a `toJSON`, which has run by now: the holder still has the bytes.
    const original = typeof this === 'object' && this !== null ? Reflect.get(this, name) : undefined
    return original instanceof Uint8Array ? printBytes(original) : value
  })
  return visibleJson(json)
}

function printBytes(bytes: Uint8Array): { text: string } | { base64: string } {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  const text = buffer.toString('utf8')
  return Buffer.from(text).equals(buffer) ? { text } : { base64: buffer.toString('base64') }
}

function printAnswer({ approval, outcome, by, note }: AnsweredEntry): string {
  const who = by.length === 0 ? '' : ` by ${by.join(', ')}`
  return `${outcome}${who} (${approval})${note === '' ? '' : `: ${note}`}`
}

function printFact(
  { what, by, actor, chain, subject, source, detail }: FactEntry,
  time: string,
): string {
  const who = chain.length > 0 ? chain.map(({ name }) => name).join(' › ') : actor
  const from = source === '' ? '' : ` from ${source}`
  return `${time}  ${what}  ${subject}  by ${by}${who === '' ? '' : ` ${who}`}${from}  ${detail}`
}

function printCommand(entry: CommandEntry, time: string): string[] {
  // What rules in observe mode would have done decided nothing.
  const [would, rules] = [
    entry.rules.filter(isObserved),
    entry.rules.filter((each) => !isObserved(each)),
  ]
  const by =
    (rules.length === 0 ? '' : ` by ${rules.join(', ')}`) +
    would.map((each) => ` (${each})`).join('')
  const text = Buffer.from(entry.text).toString('utf8').split(/\r?\n/)
  const lines = [`${time}  #${entry.seq} ${entry.effect}${by}  ${entry.class} ${entry.id}`]
  lines.push(...text.map((line) => `    ${line}`))
  for (const [index, value] of entry.parameters.entries()) {
    const format = entry.formats.length === 1 ? entry.formats[0] : entry.formats[index]
    lines.push(`    $${index + 1} = ${printParameter(value, format ?? 0)}`)
  }
  return lines
}

function isObserved(rule: string): boolean {
  return rule.startsWith('would-')
}

function printParameter(value: Uint8Array | null, format: number): string {
  if (value === null) return 'NULL'
  const buffer = Buffer.from(value)
  return format === 0 ? `'${buffer.toString('utf8')}'` : `\\x${buffer.toString('hex')}`
}

function printGrid(grid: ResponseGrid): string[] {
  if (grid.rows.length === 0) return []
  const head = grid.columns.map((column) => column.name)
  const table = [head, ...grid.rows].map((row) =>
    row.map((cell) => cut(visibleText(cell.replaceAll(/[\n\t]/g, ' ')), CELL_WIDTH_MAX)),
  )
  const widths: number[] = []
  for (const row of table) {
    for (const [index, cell] of row.entries()) {
      widths[index] = Math.max(widths[index] ?? 0, cell.length)
    }
  }
  const lines = table.map(
    (row) => `    ${row.map((cell, index) => cell.padEnd(widths[index] ?? 0)).join(' | ')}`,
  )
  lines.splice(1, 0, `    ${widths.map((length) => '-'.repeat(length)).join('-+-')}`)
  const hidden = grid.rowCount - grid.rows.length
  if (hidden > 0) lines.push(`    … and ${hidden} more rows`)
  return lines
}

function cut(text: string, width: number): string {
  return text.length <= width ? text.trimEnd() : `${text.slice(0, Math.max(width - 1, 0))}…`
}

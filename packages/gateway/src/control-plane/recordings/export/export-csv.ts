import { Buffer } from 'node:buffer'
import type { CommandEntry, ResponseEndEntry } from '@sallyport/core'
import type { RecordedEntry, RecordingProblem } from '../journal-reader.ts'

const columns = [
  'time',
  'session',
  'seq',
  'command',
  'verdict',
  'rules',
  'class',
  'verb',
  'objects',
  'text',
  'parameters',
  'status',
  'tag',
  'sqlstate',
  'rows',
  'bytes',
  'masked',
  'verified',
] as const

interface Row {
  readonly item: RecordedEntry
  readonly command: CommandEntry
  masked: number
}

/** One line per command (RFC 4180), written when its answer is over. */
export async function* commandsCsv(
  items: AsyncIterable<RecordedEntry | RecordingProblem>,
): AsyncGenerator<string> {
  yield line([...columns])
  const open = new Map<number, Row>()
  for await (const item of items) {
    if (item.kind === 'problem') continue
    const { entry } = item
    if (entry.kind === 'command') open.set(entry.seq, { item, command: entry, masked: 0 })
    else if (entry.kind === 'masked') {
      const row = open.get(entry.seq)
      if (row !== undefined) row.masked += entry.values
    } else if (entry.kind === 'response.end' || entry.kind === 'refused') {
      const row = open.get(entry.seq)
      if (row === undefined) continue
      // A suspended portal goes on, and may be refused later.
      if (entry.kind === 'refused') yield lineOf(row, { status: `refused ${entry.code}` })
      else yield lineOf(row, entry)
      if (entry.kind === 'refused' || entry.status !== 'suspended') open.delete(entry.seq)
    }
  }
  for (const row of open.values()) yield lineOf(row, { status: 'no answer' })
}

type Ending = { readonly status: string } & Partial<Omit<ResponseEndEntry, 'status'>>

function lineOf({ item, command, masked }: Row, ending: Ending): string {
  const parameters = command.parameters.map((value) =>
    value === null ? null : Buffer.from(value).toString('utf8'),
  )
  return line([
    new Date(item.timeMs).toISOString(),
    item.session,
    String(command.seq),
    command.id,
    command.effect,
    command.rules.join(' '),
    command.class,
    command.verb,
    command.objects.map((object) => object.join('.')).join(' '),
    Buffer.from(command.text).toString('utf8'),
    parameters.length === 0 ? '' : JSON.stringify(parameters),
    ending.status,
    ending.tag ?? '',
    ending.sqlState ?? '',
    String(ending.rows ?? ''),
    String(ending.bytes ?? ''),
    String(masked),
    String(item.verified),
  ])
}

function line(cells: readonly string[]): string {
  return `${cells.map(cell).join(',')}\r\n`
}

/** A cell that a spreadsheet would take for a formula gets an apostrophe: its text is an agent's. */
function cell(text: string): string {
  const plain = /^[\s=+\-@＝＋－＠]/u.test(text) && !/^-?\d+$/u.test(text) ? `'${text}` : text
  return /[",\r\n]/u.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain
}

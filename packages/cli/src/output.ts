import { SallyportError } from '@sallyport/core'

const FORMS = ['table', 'json', 'yaml', 'ndjson', 'name'] as const
export type OutputForm = (typeof FORMS)[number]

/** Where output goes, and what it looks like there. */
export interface Output {
  /** Undefined where none was asked for: a terminal then gets tables, a pipe JSON. */
  readonly form: OutputForm | undefined
  readonly isTerminal: boolean
  readonly columns: number
  /** Data: standard output. */
  readonly data: (text: string | Uint8Array) => void
  /** Words: standard error. */
  readonly say: (text: string) => void
}

/** A column of a table: its heading and the text of a row. */
export type Columns<T> = Readonly<Record<string, (row: T) => string>>

/** Reads `-o`, `--json` wins. */
export function outputForm(flags: { output?: string; json?: boolean }): OutputForm | undefined {
  if (flags.json === true) return 'json'
  const { output } = flags
  if (output === undefined) return undefined
  const form = FORMS.find((each) => each === output)
  if (form !== undefined) return form
  throw new SallyportError('SP_CONFIG_INVALID', `-o takes ${FORMS.join(', ')}; not "${output}"`)
}

/** True where a program reads: failures are then one JSON object. */
export function isForPrograms(output: Output): boolean {
  return output.form === undefined ? !output.isTerminal : output.form !== 'table'
}

/** Prints a list; `idOf` gives what `-o name` prints. */
export async function printList<T extends object>(
  output: Output,
  rows: readonly T[],
  columns: Columns<T>,
  idOf: (row: T) => string,
): Promise<void> {
  switch (output.form ?? (output.isTerminal ? 'table' : 'ndjson')) {
    case 'table':
      return output.data(table(rows, columns))
    case 'json':
      return output.data(`${JSON.stringify(rows, undefined, 2)}\n`)
    case 'yaml':
      return output.data(await yamlText(rows))
    case 'ndjson':
      return output.data(rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
    case 'name':
      return output.data(rows.map((row) => `${idOf(row)}\n`).join(''))
  }
}

/** Prints one object; `text` is what a person reads on a terminal. */
export async function printOne<T extends object>(
  output: Output,
  value: T,
  text: string,
  id: string,
): Promise<void> {
  switch (output.form ?? (output.isTerminal ? 'table' : 'json')) {
    case 'table':
      return output.data(text)
    case 'json':
    case 'ndjson':
      return output.data(`${JSON.stringify(value)}\n`)
    case 'yaml':
      return output.data(await yamlText(value))
    case 'name':
      return output.data(`${id}\n`)
  }
}

/** Only `-o yaml` needs the library, so only it loads it. */
async function yamlText(value: unknown): Promise<string> {
  const { stringify } = await import('yaml')
  return stringify(value)
}

/** Left-aligned columns, two spaces apart. */
export function table<T>(rows: readonly T[], columns: Columns<T>): string {
  const names = Object.keys(columns)
  const lines = [
    names,
    ...rows.map((row) => names.map((name) => printable(columns[name]?.(row) ?? ''))),
  ]
  const widths = names.map((_, at) => Math.max(...lines.map((line) => line[at]?.length ?? 0)))
  return lines
    .map(
      (line) =>
        `${line
          .map((cell, at) => cell.padEnd(widths[at] ?? 0))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('')
}

/** A name that a caller chose must not move the cursor or colour the terminal. */
export function printable(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, '�')
}

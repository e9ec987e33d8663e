import { Buffer } from 'node:buffer'
import { compilePgMask, MaskKey, OID, type MaskFunction } from '@sallyport/core'

/** Masks values of one column after the other, as a worker does for rows, and prints cells per second of processor time: what else runs on the machine counts little. */
interface Column {
  readonly name: string
  readonly fn: MaskFunction
  readonly typeOid: number
  readonly value: (row: number) => string
}

const rows = 20_000
/** Time for each line; shorter ones measure the compiler. */
const msPerLine = 1000
/** Spreads values over the range, as keys of real tables are, without repeating one. */
const spread = (row: number, range: number): number => (row * 7_919) % range

const columns: readonly Column[] = [
  ...(['token', 'hash', 'last4', 'partial', 'redact'] as const).map((fn) => ({
    name: `text ${fn}`,
    fn,
    typeOid: OID.text,
    value: (row: number) => `person.${row}@example.com`,
  })),
  ...[6, 9].map((digits) => ({
    name: `int4 token, ${digits} digits`,
    fn: 'token' as const,
    typeOid: OID.int4,
    value: (row: number) => String(10 ** (digits - 1) + spread(row, 8 * 10 ** (digits - 1))),
  })),
  {
    name: 'int8 token, 16 digits',
    fn: 'token',
    typeOid: OID.int8,
    value: (row) => String(10 ** 15 + spread(row, 10 ** 15)),
  },
  {
    name: 'numeric token',
    fn: 'token',
    typeOid: OID.numeric,
    value: (row) => (spread(row, 1_000_000) / 100 + 1).toFixed(2),
  },
  { name: 'int4 round:100', fn: 'round:100', typeOid: OID.int4, value: (row) => String(row) },
  {
    name: 'timestamp token',
    fn: 'token',
    typeOid: OID.timestamp,
    value: (row) => `2024-01-0${1 + (row % 9)} 10:00:0${row % 10}`,
  },
  {
    name: 'uuid hash',
    fn: 'hash',
    typeOid: OID.uuid,
    value: (row) => `00000000-0000-4000-8000-${String(row).padStart(12, '0')}`,
  },
]
const mixed = ['text token', 'int4 token, 6 digits', 'numeric token', 'timestamp token']

const key = new MaskKey(Buffer.alloc(32, 7))

function prepare(column: Column): () => void {
  const mask = compilePgMask({ ...column, typmod: -1, format: 'text', key })
  const values = Array.from({ length: rows }, (_, row) => Buffer.from(column.value(row)))
  let at = 0
  return () => {
    const value = values[at]
    at = (at + 1) % rows
    if (mask.kind === 'each' && value !== undefined) mask.mask(value)
  }
}

function measure(name: string, cells: readonly (() => void)[]): void {
  for (let n = 0; n < rows; n += 1) for (const cell of cells) cell()
  const start = process.cpuUsage()
  const spentMs = (): number => {
    const { user, system } = process.cpuUsage(start)
    return (user + system) / 1000
  }
  let count = 0
  while (spentMs() < msPerLine) {
    for (let n = 0; n < 1000; n += 1) for (const cell of cells) cell()
    count += 1000 * cells.length
  }
  const perSecond = Math.round((count / spentMs()) * 1000)
  process.stdout.write(
    `${name.padEnd(28)} ${perSecond.toLocaleString('en').padStart(12)} cells/s\n`,
  )
}

for (const column of columns) measure(column.name, [prepare(column)])
measure(
  `mixed: ${mixed.length} columns of token`,
  columns.filter(({ name }) => mixed.includes(name)).map(prepare),
)

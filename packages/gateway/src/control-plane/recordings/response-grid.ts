import { Buffer } from 'node:buffer'
import { printPostgresValue } from './postgres-value.ts'

/** A grid shows this many rows; the rest are counted. */
const ROWS_MAX = 100
/** Far more than a grid shows of a cell; a hundred rows of long values would fill memory. */
const CELL_LENGTH_MAX = 1000
/** Larger messages are skipped, not held: a grid needs no value of this size. */
const MESSAGE_BYTES_MAX = 1024 * 1024
const ROW_DESCRIPTION = 0x54
const DATA_ROW = 0x44
const ERROR_RESPONSE = 0x45

interface Column {
  readonly name: string
  readonly typeOid: number
  readonly format: number
}

type OnRow = (row: readonly string[], columns: readonly Column[]) => void

/** Collects rows and errors from the bytes of an answer, whatever their chunks. Unknown bytes never throw. */
export class ResponseGrid {
  columns: readonly Column[]
  readonly rows: (readonly string[])[] = []
  rowCount = 0
  error = ''
  #waiting = Buffer.alloc(0)
  #skip = 0

  readonly #onRow: OnRow | undefined

  /** `columns` stand for a description that came with an earlier answer. `onRow` gets every row, also those that a grid does not show. */
  constructor(columns: readonly Column[] = [], onRow?: OnRow) {
    this.columns = columns
    this.#onRow = onRow
  }

  push(bytes: Uint8Array): void {
    const skipped = Math.min(this.#skip, bytes.length)
    this.#skip -= skipped
    const data = Buffer.concat([this.#waiting, bytes.subarray(skipped)])
    let at = 0
    while (data.length - at >= 5) {
      const length = data.readUInt32BE(at + 1)
      const end = at + 1 + length
      if (length < 4 || (end > data.length && length > MESSAGE_BYTES_MAX)) {
        if (data[at] === DATA_ROW) this.rowCount += 1
        this.#skip = length < 4 ? 0 : end - data.length
        at = data.length
      } else if (end > data.length) {
        break
      } else {
        this.#message(data.readUInt8(at), data.subarray(at + 5, end))
        at = end
      }
    }
    this.#waiting = Buffer.from(data.subarray(at))
  }

  #message(type: number, body: Buffer): void {
    try {
      if (type === ROW_DESCRIPTION) this.columns = readColumns(body)
      else if (type === DATA_ROW) this.#row(body)
      else if (type === ERROR_RESPONSE) this.error = readError(body)
    } catch (error) {
      // A recording shows what there is; bytes that are no message of this kind have no cells.
      if (!(error instanceof RangeError)) throw error
    }
  }

  #row(body: Buffer): void {
    this.rowCount += 1
    const isShown = this.rows.length < ROWS_MAX
    if (!isShown && this.#onRow === undefined) return
    const row: string[] = []
    let at = 2
    for (let index = 0; index < body.readUInt16BE(0); index += 1) {
      const length = body.readInt32BE(at)
      at += 4
      const column = this.columns[index] ?? { typeOid: 0, format: 0 }
      const value = body.subarray(at, at + Math.max(length, 0))
      const cell = length < 0 ? 'NULL' : printPostgresValue(value, column.typeOid, column.format)
      row.push(cell.slice(0, CELL_LENGTH_MAX))
      at += Math.max(length, 0)
    }
    if (isShown) this.rows.push(row)
    this.#onRow?.(row, this.columns)
  }
}

function readColumns(body: Buffer): Column[] {
  const columns: Column[] = []
  let at = 2
  for (let index = 0; index < body.readUInt16BE(0); index += 1) {
    const end = body.indexOf(0, at)
    if (end < 0) throw new RangeError('a column name has no end')
    const name = body.toString('utf8', at, end)
    columns.push({ name, typeOid: body.readUInt32BE(end + 7), format: body.readUInt16BE(end + 17) })
    at = end + 19
  }
  return columns
}

/** The severity, SQLSTATE and message fields of an ErrorResponse. */
function readError(body: Buffer): string {
  const fields = new Map(
    body
      .toString('utf8')
      .split('\0')
      .map((field) => [field.charAt(0), field.slice(1)]),
  )
  return [fields.get('V') ?? fields.get('S'), fields.get('C'), fields.get('M')].join(' ').trim()
}

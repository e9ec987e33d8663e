/** How the rows of a COPY are written: what its options say, with PostgreSQL's defaults. Characters are single bytes. */
export interface CopyOptions {
  readonly format: 'text' | 'csv' | 'binary'
  /** A tab in text, a comma in CSV. */
  readonly delimiter?: string
  /** How NULL is written: `\N` in text, nothing in CSV. */
  readonly null?: string
  /** CSV only; `"` where absent. */
  readonly quote?: string
  /** CSV only; the quote where absent. */
  readonly escape?: string
  /** The first row holds the names of the columns. */
  readonly header?: boolean
  /** The size at which a row is refused. */
  readonly rowBytesMax?: number
}

/** One row of a COPY stream. */
export interface CopyRow {
  /** Binary: the header is the signature, and has no fields. `trailer` is the end-of-data marker. */
  readonly kind: 'row' | 'header' | 'trailer'
  /** The values themselves, without quotes and escapes. They may share memory with `raw`. */
  readonly fields: readonly (Buffer | null)[]
  /** The row as it came, with its line end: all of them together are the stream. */
  readonly raw: Buffer
  /** Each field stands in `raw` as it is, without quotes and escapes. */
  readonly isPlain?: boolean
}

/** Writes a row. Fields that are those of `asRead` are written as they stood there, where that is known. */
export type CopyRowEncoder = (fields: readonly (Buffer | null)[], asRead?: CopyRow) => Buffer

/** Finds and reads the rows of one format. It keeps its place in a row that is not whole yet, so no byte is scanned twice. */
export interface CopyScanner {
  /** Where the row that begins at `start` ends, or -1. After -1 it is called again with the same row, grown. */
  rowEnd(bytes: Buffer, start: number): number
  read(raw: Buffer, isFirst: boolean): CopyRow
}

export const newline = 0x0a
export const carriageReturn = 0x0d
export const backslash = 0x5c
export const period = 0x2e

/** PostgreSQL allows one single-byte character for each of these. */
export function singleByte(character: string): number {
  const code = character.charCodeAt(0)
  if (character.length !== 1 || code === 0 || code > 127) {
    throw new RangeError('a COPY delimiter, quote or escape must be one single-byte character')
  }
  return code
}

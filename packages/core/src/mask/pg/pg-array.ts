import type { PgFormat } from './pg-empty-value.ts'
import type { Masker } from './pg-number.ts'

/** Masks one element; null makes it NULL. */
export type ElementMask = (value: Buffer) => Buffer | null

/** PostgreSQL's MAXDIM. */
const dimensionsMax = 6

/** Masks the elements of an array where they stand: dimensions, lower bounds and NULLs stay. Undefined for what is no array. */
export function arrayMasker(mask: ElementMask, delimiter: string, format: PgFormat): Masker {
  if (format === 'binary') return (value) => maskBinary(value, mask)
  return (value) => new ArrayText(value.toString(), delimiter, mask).masked()
}

/** array_send: dimensions, a flag for NULLs, the element type, each dimension's length and lower bound, then the elements. */
function maskBinary(value: Buffer, mask: ElementMask): Buffer | undefined {
  if (value.length < 12) return undefined
  const dimensions = value.readInt32BE(0)
  const start = 12 + dimensions * 8
  if (dimensions < 0 || dimensions > dimensionsMax || value.length < start) return undefined
  const header = Buffer.from(value.subarray(0, start))
  const parts: Buffer[] = [header]
  let at = start
  while (at < value.length) {
    if (at + 4 > value.length) return undefined
    const length = value.readInt32BE(at)
    const end = at + 4 + Math.max(0, length)
    if (length < -1 || end > value.length) return undefined
    const masked = length === -1 ? null : mask(value.subarray(at + 4, end))
    const prefix = Buffer.alloc(4)
    prefix.writeInt32BE(masked === null ? -1 : masked.length)
    parts.push(prefix)
    if (masked === null) header.writeInt32BE(1, 4)
    else parts.push(masked)
    at = end
  }
  return Buffer.concat(parts)
}

/** Reads `{1,"a b",NULL}` with its bounds and inner braces, and writes it again with other elements. */
class ArrayText {
  readonly #text: string
  readonly #delimiter: string
  readonly #mask: ElementMask
  #at = 0
  #out = ''

  constructor(text: string, delimiter: string, mask: ElementMask) {
    this.#text = text
    this.#delimiter = delimiter
    this.#mask = mask
  }

  masked(): Buffer | undefined {
    const bounds = /^(?:\[-?[0-9]+:-?[0-9]+\]){1,6}=/.exec(this.#text)?.[0] ?? ''
    this.#at = bounds.length
    const isWhole = this.#list(1) && this.#at === this.#text.length
    return isWhole ? Buffer.from(bounds + this.#out) : undefined
  }

  #list(depth: number): boolean {
    if (depth > dimensionsMax || this.#text[this.#at] !== '{') return false
    this.#take()
    if (this.#text[this.#at] === '}') return this.#take()
    for (;;) {
      if (!(this.#text[this.#at] === '{' ? this.#list(depth + 1) : this.#element())) return false
      const sign = this.#text[this.#at]
      if (sign === '}') return this.#take()
      if (sign !== this.#delimiter) return false
      this.#take()
    }
  }

  #take(): true {
    this.#out += this.#text.charAt(this.#at)
    this.#at += 1
    return true
  }

  #element(): boolean {
    const start = this.#at
    const isQuoted = this.#text[start] === '"'
    const value = isQuoted ? this.#quoted() : this.#bare()
    if (value === undefined) return false
    const isNull = !isQuoted && value === 'NULL'
    const masked = isNull ? null : this.#mask(Buffer.from(value))
    this.#out += masked === null ? 'NULL' : quote(masked.toString())
    return true
  }

  #quoted(): string | undefined {
    let value = ''
    for (this.#at += 1; this.#at < this.#text.length; this.#at += 1) {
      const sign = this.#text.charAt(this.#at)
      if (sign === '"') {
        this.#at += 1
        return value
      }
      if (sign === '\\') this.#at += 1
      value += this.#text.charAt(this.#at)
    }
    return undefined
  }

  #bare(): string | undefined {
    const start = this.#at
    for (; this.#at < this.#text.length; this.#at += 1) {
      const sign = this.#text.charAt(this.#at)
      if (sign === this.#delimiter || sign === '}') break
      if (sign === '{' || sign === '"' || sign === '\\') return undefined
    }
    return this.#at === start ? undefined : this.#text.slice(start, this.#at)
  }
}

/** Quoting is allowed for any element, so it is done unless there is plainly no need. */
function quote(value: string): string {
  if (/^[A-Za-z0-9_.+:-]+$/.test(value) && value.toUpperCase() !== 'NULL') return value
  return `"${value.replace(/["\\]/g, '\\$&')}"`
}

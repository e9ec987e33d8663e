import { parseBytes, suggest } from '@sallyport/core'
import { queryError } from './query-error.ts'
import {
  fields,
  nameFields,
  namesOf,
  sizeFields,
  type Glob,
  type NameField,
  type Query,
  type SizeField,
  type SizeTest,
  type Term,
} from './query.ts'
import { parseMoment } from './parse-moment.ts'
import { readTerms, type WrittenTerm, type WrittenValue } from './read-terms.ts'

/** Reads a search; throws `SP_QUERY_INVALID` with the place. `nowMs` is what `7d` counts from. */
export function parseQuery(text: string, nowMs: number): Query {
  const compares = (field: string): boolean => isSizeField(field)
  const terms = readTerms(text, compares).map((term) => understand(text, term, nowMs))
  return { terms }
}

function understand(text: string, term: WrittenTerm, nowMs: number): Term {
  const { isNegated, field, values, at } = term
  if (isNameField(field))
    return { isNegated, kind: 'name', field, values: values.map((each) => name(text, field, each)) }
  if (isSizeField(field))
    return { isNegated, kind: 'size', field, values: values.map((each) => size(text, field, each)) }
  switch (field) {
    case 'table':
    case 'object':
      return { isNegated, kind: 'object', values: values.map(({ parts }) => parts) }
    case 'text':
      return { isNegated, kind: 'text', values: values.map((each) => substring(text, each)) }
    case 'word':
      return { isNegated, kind: 'word', values: values.map((each) => word(text, each)) }
    case 'since':
    case 'until':
    case 'at':
      return { isNegated, kind: 'time', ...timeRange(text, field, values, nowMs) }
    default: {
      const said = `there is no term "${field}"${suggest(field, fields)}`
      throw queryError(text, at, field.length, said)
    }
  }
}

function isNameField(field: string): field is NameField {
  return nameFields.some((each) => each === field)
}

function isSizeField(field: string): field is SizeField {
  return sizeFields.some((each) => each === field)
}

/** A name of one part: dots in it are dots. */
function name(text: string, field: NameField, { parts, at, end }: WrittenValue): Glob {
  const glob = parts.reduce((before, part) => {
    const [first = '', ...rest] = part
    return [...before.slice(0, -1), `${before.at(-1) ?? ''}.${first}`, ...rest]
  })
  const known = namesOf[field]
  const [only = ''] = glob
  if (known === undefined || glob.length > 1 || known.includes(only)) return glob
  const said = `${field}: takes ${known.join(', ')}${suggest(only, known)}`
  throw queryError(text, at, end - at, said)
}

function substring(text: string, { plain, at, end }: WrittenValue): string {
  if (plain !== '') return plain
  throw queryError(text, at, end - at, 'there is nothing to look for')
}

function word(text: string, { plain, at, end }: WrittenValue): string {
  if (/^[\p{L}\p{N}_]+$/u.test(plain)) return plain
  throw queryError(text, at, end - at, 'word: takes one whole word; text: takes any part of a text')
}

function size(text: string, field: SizeField, written: WrittenValue): SizeTest {
  const { plain, comparison = '=', at, end } = written
  const than = field === 'level' ? readLevel(plain) : readSize(field, plain)
  if (than !== undefined) return { is: comparison, than }
  const takes = {
    rows: 'rows: takes a number, such as rows:>1000',
    bytes: 'bytes: takes a size, such as bytes:>10MB',
    level: 'level: takes L0 to L4, such as level:<L2',
  }
  throw queryError(text, at, end - at, takes[field])
}

function readLevel(text: string): number | undefined {
  return /^L?[0-4]$/iu.test(text) ? Number(text.at(-1)) : undefined
}

function readSize(field: 'rows' | 'bytes', text: string): number | undefined {
  if (/^\d{1,15}$/u.test(text)) return Number(text)
  const bytes = field === 'bytes' ? parseBytes(text) : undefined
  return typeof bytes === 'number' ? bytes : undefined
}

function timeRange(
  text: string,
  field: 'since' | 'until' | 'at',
  values: readonly WrittenValue[],
  nowMs: number,
): { readonly fromMs: number; readonly untilMs: number } {
  const [value, second] = values
  if (value === undefined || second !== undefined)
    throw queryError(text, second?.at ?? 0, 1, `${field}: takes one time`)
  const moment = parseMoment(value.plain, nowMs)
  if (moment === undefined) {
    const said = `${field}: takes a time such as 7d, 2026-11-20 or 2026-11-20T14:00`
    throw queryError(text, value.at, value.end - value.at, said)
  }
  const { fromMs, untilMs } = moment
  if (field === 'since') return { fromMs, untilMs: Infinity }
  if (field === 'until') return { fromMs: -Infinity, untilMs: fromMs }
  return { fromMs, untilMs }
}

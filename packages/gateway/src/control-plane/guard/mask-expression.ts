import {
  calendarStep,
  emptyPgValue,
  ident,
  isTextType,
  literal,
  type MaskFunction,
  OID,
} from '@sallyport/core'
import type { GuardColumn } from './guard-column.ts'
import { hexOf, mac, macOfText, type MaskInput, type MaskSecrets } from './mask-secrets.ts'
import { maskedNumber } from './mask-number-expression.ts'

/** A plain date of four digits: beyond, a step or a shift could leave the type's range, and an error tells of a value. */
const dateRange = ["pg_catalog.date '0010-01-01'", "pg_catalog.date '9980-12-31'"] as const

/**
 * The mask of a column as an SQL expression of the column's own type. Calls built-in functions only, never fails
 * whatever the value, and gives NULL for NULL. A function that the type can't say in SQL hides the whole value, as does
 * one that needs a secret where there is none.
 */
export function maskExpression(
  column: GuardColumn,
  fn: MaskFunction,
  secrets: MaskSecrets | undefined,
): string {
  const value = `t.${ident(column.name)}`
  if (fn === 'null' || fn === 'block') return `null::${column.type}`
  // The form of a text can't be kept in SQL; of a number or a date it is what a token keeps.
  const said = fn === 'fake' && !isTextColumn(column) && column.typeOid !== OID.jsonb ? 'token' : fn
  const shown = said === 'redact' ? undefined : shownPart({ column, value, fn: said, secrets })
  const masked = shown ?? emptyOf(column)
  if (masked === undefined) return `null::${column.type}`
  const collated = column.collation === undefined ? '' : ` collate ${column.collation}`
  // The cast stands outside: a CASE forgets the length of its branches.
  return `(case when ${value} is null then null else (${masked})::${column.type} end)::${column.type}${collated}`
}

/** Undefined where the function shows nothing of such a type. */
function shownPart(input: MaskInput): string | undefined {
  const { column, value, fn, secrets } = input
  const { typeOid } = column
  if (isTextColumn(column)) return maskedText(plainText(value), fn, secrets)
  if (typeOid === OID.jsonb) return maskedJson(input)
  if (typeOid === OID.bytea && fn === 'hash' && secrets !== undefined) {
    return `pg_catalog.substring(${mac(secrets, 'bytes', value)}, 1, 8)`
  }
  if (typeOid === OID.uuid && fn === 'hash' && secrets !== undefined)
    return hashedUuid(value, secrets)
  if (typeOid === OID.date || typeOid === OID.timestamp || typeOid === OID.timestamptz) {
    return maskedDate(input)
  }
  return maskedNumber(input)
}

function isTextColumn(column: GuardColumn): boolean {
  return isTextType(column.typeOid) || column.isTextAlias
}

/** By code point, so that no collation of the column's can change or refuse a comparison. */
function plainText(value: string): string {
  return `(${value}::pg_catalog.text collate pg_catalog."C")`
}

const emailPattern = '^[^[:space:]@][^[:space:]@]{0,63}@[^[:space:]@]{1,253}[.][A-Za-z]{2,10}$'

/** The same forms as the gateway's own masks of text. */
function maskedText(
  text: string,
  fn: MaskFunction,
  secrets: MaskSecrets | undefined,
): string | undefined {
  const hidden = literal('•••')
  if (fn === 'partial') {
    const isEmail = `${text} ~ ${literal(emailPattern)}`
    const tail = `pg_catalog.substring(${text}, ${literal('[.][A-Za-z]{2,10}$')})`
    const first = `pg_catalog."left"(${text}, 1)`
    const last = `pg_catalog."right"(${text}, 1)`
    return `case when ${isEmail} then ${first} || '**@***' || ${tail} when pg_catalog.char_length(${text}) < 5 then ${hidden} else ${first} || ${hidden} || ${last} end`
  }
  if (fn === 'last4') {
    const bare = `pg_catalog.regexp_replace(pg_catalog."right"(${text}, 32), '[[:space:]-]', '', 'g')`
    return `case when pg_catalog.char_length(${bare}) < 9 then ${hidden} else ${literal('•••• ')} || pg_catalog."right"(${bare}, 4) end`
  }
  if (secrets === undefined) return undefined
  if (fn === 'hash') return hexOf(macOfText(secrets, 'hash', text), 1, 16)
  if (fn !== 'token') return undefined
  const base64 = `pg_catalog.encode(${macOfText(secrets, 'token', text)}, 'base64')`
  return `'tok_' || pg_catalog."left"(pg_catalog.translate(${base64}, '+/=', 'xyz'), 10)`
}

/** A JSON string is masked as text; numbers, booleans, objects and arrays become null. */
function maskedJson({ value, fn, secrets }: MaskInput): string | undefined {
  const text = `((${value} operator(pg_catalog.#>>) '{}'::pg_catalog.text[]) collate pg_catalog."C")`
  const masked = maskedText(text, fn, secrets)
  if (masked === undefined) return undefined
  return `case when pg_catalog.jsonb_typeof(${value}) = 'string' then pg_catalog.to_jsonb(${masked}) else 'null'::pg_catalog.jsonb end`
}

/** Version 8, which is the one for values of one's own making. */
function hashedUuid(value: string, secrets: MaskSecrets): string {
  const code = mac(secrets, 'uuid', `pg_catalog.uuid_send(${value})`)
  const part = (from: number, length: number): string => hexOf(code, from, length)
  return `(${part(1, 12)} || '8' || ${part(14, 3)} || '8' || ${part(18, 15)})::pg_catalog.uuid`
}

function maskedDate({ column, value, fn, secrets }: MaskInput): string | undefined {
  const shown = datePart(column, value, fn, secrets)
  if (shown === undefined) return undefined
  const [least, most] = dateRange
  return `case when ${value} between ${least} and ${most} then ${shown} else ${emptyOf(column)} end`
}

function datePart(
  column: GuardColumn,
  value: string,
  fn: MaskFunction,
  secrets: MaskSecrets | undefined,
): string | undefined {
  const isDate = column.typeOid === OID.date
  if (fn === 'token' || fn === 'hash') {
    if (secrets === undefined) return undefined
    const shift = `(select ${isDate ? 'days' : 'shift'} from ${secrets.table})`
    return `${value} + ${shift}`
  }
  const step = fn === 'partial' ? 'year' : calendarStep(fn)
  if (step === undefined) return undefined
  // In UTC, so that a caller's time zone does not move the step.
  if (column.typeOid === OID.timestamptz) {
    return `pg_catalog.date_trunc('${step}', ${value}, 'UTC')`
  }
  return `pg_catalog.date_trunc('${step}', ${value}::pg_catalog.timestamp)`
}

/** The empty value of the type; undefined for types whose rules only the database knows. */
export function emptyOf(column: GuardColumn): string | undefined {
  const { typeOid, typmod, type } = column
  if (column.isTextAlias) return `${literal('•••')}::${type}`
  const empty = emptyPgValue(typeOid, typmod, 'text')
  return empty === null ? undefined : `${literal(empty.toString())}::${type}`
}

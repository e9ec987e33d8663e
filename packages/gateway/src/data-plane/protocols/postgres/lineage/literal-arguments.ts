import { at, constantText, list, text, type Tree } from '../classify/tree.ts'

/**
 * Whether a constant is one that a function or operator never fails on, whatever it is given beside. A constant that it does
 * fail on is a bit of whatever decides whether it is computed.
 */
export type LiteralCheck = (value: string) => boolean

/** Longest text that is made of a short one without reaching the server's limit of 1 GB. */
const repeatsMax = 100

const isWhole: LiteralCheck = (value) => /^\d{1,5}$/.test(value)
const isPositive: LiteralCheck = (value) => isWhole(value) && Number(value) > 0
const isFewTimes: LiteralCheck = (value) => isWhole(value) && Number(value) <= repeatsMax
const isFraction: LiteralCheck = (value) => /^(?:0(?:\.\d+)?|1(?:\.0+)?)$/.test(value)
const isFlags: LiteralCheck = (value) => /^[gi]{0,2}$/.test(value)
const isNumberFormat: LiteralCheck = (value) => /^[09G]*(?:D[09]*)?$/.test(value)
const anything: LiteralCheck = () => true

/** Patterns of plain characters, simple classes and quantifiers, which compile in any flavour. */
export const isPlainPattern: LiteralCheck = (value) => {
  if (
    !/^\^?(?:(?:[^\\()[\]{}|*+?^$.]|\.|\[\^?[A-Za-z0-9 _@-]+\])(?:[*+?]|\{\d{1,2}\})?)*\$?$/.test(
      value,
    )
  )
    return false
  const classes = value.match(/\[[^\]]*\]/g) ?? []
  return classes.every(
    (one) =>
      /^\[\^?(?:[a-z]-[a-z]|[A-Z]-[A-Z]|[0-9]-[0-9]|[A-Za-z0-9 _@])+\]$/.test(one) && hasOrder(one),
  )
}

function hasOrder(characters: string): boolean {
  return [...characters.matchAll(/(.)-(.)/g)].every(([, low = '', high = '']) => low <= high)
}

/** By function and position of the argument, for those of `builtin-totals.ts` that only this argument can make fail. */
const checks: Readonly<Record<string, Readonly<Record<number, LiteralCheck>>>> = {
  split_part: { 2: isPositive },
  substr: { 1: isWhole, 2: isWhole },
  substring: { 1: (value) => isWhole(value) || isPlainPattern(value), 2: isWhole },
  lpad: { 1: isWhole },
  rpad: { 1: isWhole },
  repeat: { 1: isFewTimes },
  overlay: { 2: isPositive, 3: isWhole },
  encode: { 1: (value) => ['hex', 'base64', 'escape'].includes(value) },
  to_char: { 1: isNumberFormat },
  date_part: { 0: (value) => value === 'epoch' },
  extract: { 0: (value) => value === 'epoch' },
  timezone: { 0: (value) => value === 'UTC' },
  regexp_replace: { 1: isPlainPattern, 2: anything, 3: isFlags },
  regexp_match: { 1: isPlainPattern, 2: isFlags },
  regexp_matches: { 1: isPlainPattern, 2: isFlags },
  regexp_like: { 1: isPlainPattern },
  regexp_substr: { 1: isPlainPattern },
  regexp_split_to_array: { 1: isPlainPattern },
  regexp_split_to_table: { 1: isPlainPattern },
  percentile_cont: { 0: isFraction },
  percentile_disc: { 0: isFraction },
  ntile: { 0: isPositive },
  lag: { 1: isWhole },
  lead: { 1: isWhole },
  nth_value: { 1: isPositive },
  generate_series: { 2: isPositive },
}

/** True where an argument is a constant on which the function does not fail. */
export function isSafeArgument(name: string, position: number, node: Tree | undefined): boolean {
  const check = checks[name]?.[position]
  if (check === undefined || node === undefined) return false
  const value = literalOf(node)
  return value !== undefined && check(value)
}

/** True where the form of `format` is a constant of `%s` and `%L`, with a value for each. */
export function isSafeFormat([form, ...values]: readonly Tree[]): boolean {
  const value = form === undefined ? undefined : literalOf(form)
  if (value === undefined) return false
  const places = value.match(/%[sL%]/g) ?? []
  const isKnown = !value.replaceAll(/%[sL%]/g, '').includes('%')
  return isKnown && places.filter((place) => place !== '%%').length <= values.length
}

/** A constant pattern of LIKE. Texts that share a template have no backslash in them, so it is no look at the constant. */
export function isSafeLikeness(node: Tree | undefined): boolean {
  const value = text(at(at(node ?? {}, 'A_Const') ?? {}, 'sval') ?? {}, 'sval')
  return node !== undefined && 'A_Const' in node && !value.includes('\\')
}

/** A constant pattern of `~`. */
export function isSafePattern(node: Tree | undefined): boolean {
  const value = node === undefined ? undefined : literalOf(node)
  return value !== undefined && isPlainPattern(value)
}

/** Whether an expression can be NULL. That a column is may be seen where its mask keeps NULL, but a key fails for clean ones too. */
export function mayBeNull(node: Tree | undefined): boolean {
  if (node === undefined) return true
  if ('A_Const' in node) return at(node, 'A_Const')?.['isnull'] === true
  const last = list(at(node, 'CoalesceExpr') ?? {}, 'args').at(-1)
  return last === undefined || mayBeNull(last)
}

function literalOf(node: Tree): string | undefined {
  const cast = at(node, 'TypeCast')
  // `substring(x from '^a')` comes as it is written; the grammar casts nothing here.
  return cast === undefined && 'A_Const' in node ? constantText(node) : undefined
}

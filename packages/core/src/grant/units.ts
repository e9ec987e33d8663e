const secondMs = 1000
const durationUnits = new Map([
  ['ms', 1],
  ['s', secondMs],
  ['m', 60 * secondMs],
  ['h', 3600 * secondMs],
  ['d', 24 * 3600 * secondMs],
])
const byteUnits = new Map([
  ['B', 1],
  ['kB', 1e3],
  ['KB', 1e3],
  ['MB', 1e6],
  ['GB', 1e9],
  ['TB', 1e12],
  ['KiB', 2 ** 10],
  ['MiB', 2 ** 20],
  ['GiB', 2 ** 30],
  ['TiB', 2 ** 40],
])
const instantForm =
  /^(?<day>\d{4}-\d\d-\d\d)T\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?(?:Z|[+-]\d\d:\d\d)$/u

/** `20m` in milliseconds; a text says what is wrong. */
export function parseTtl(text: string): number | string {
  const ms = parseQuantity(text, durationUnits)
  return ms === undefined || ms === 0 ? 'must be a duration such as 90s, 20m, 8h or 2d' : ms
}

/** The shortest text that `parseTtl` reads as the same. */
export function printTtl(ms: number): string {
  const [unit = 'ms', size = 1] = [...durationUnits].findLast(([, each]) => ms % each === 0) ?? []
  return `${ms / size}${unit}`
}

/** `200MB` in bytes; a text says what is wrong. */
export function parseBytes(text: string): number | string {
  return (
    parseQuantity(text, byteUnits) ??
    'must be a number of bytes, or a text such as "200MB" or "64MiB"'
  )
}

/** An instant with its zone, in milliseconds since the epoch; a text says what is wrong. */
export function parseInstant(text: string): number | string {
  const day = instantForm.exec(text)?.groups?.['day'] ?? ''
  const midnightMs = Date.parse(`${day}T00:00Z`)
  const ms = Date.parse(text)
  const isDate = !Number.isNaN(ms) && !Number.isNaN(midnightMs)
  // A 30th of February would roll over into March.
  if (isDate && new Date(midnightMs).toISOString().startsWith(day)) return ms
  return 'must be an instant with its zone, such as 2026-11-20T16:00Z'
}

function parseQuantity(text: string, units: ReadonlyMap<string, number>): number | undefined {
  const match = /^(?<count>\d{1,15})(?<unit>[A-Za-z]+)$/u.exec(text)?.groups
  const size = units.get(match?.['unit'] ?? '')
  const product = Number(match?.['count']) * (size ?? NaN)
  return Number.isSafeInteger(product) ? product : undefined
}

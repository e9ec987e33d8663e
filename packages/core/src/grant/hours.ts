/** Hours of the week in the local time of a zone. */
export interface Hours {
  readonly zone: string
  /** The canonical text. */
  readonly text: string
  /** One entry for each minute of the week, Monday 00:00 first: 1 where the hours hold. */
  readonly minutes: Uint8Array
}

const dayNames = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun']
const minutesOfDay = 1440
const minutesOfWeek = 7 * minutesOfDay
const minuteMs = 60_000
const hoursForm =
  /^(?:(?<days>[A-Za-z,-]+) +)?(?<from>\d\d:\d\d)-(?<to>\d\d:\d\d) +(?<zone>[A-Za-z][A-Za-z0-9_+/-]*)$/u

/** Parses `Mon-Fri 08:00-19:00 Europe/Berlin`; a text says what is wrong. A range over midnight belongs to the day on which it starts; without days it is every day. */
export function parseHours(text: string): Hours | string {
  const known = parsedHours.get(text)
  if (known !== undefined) return known
  const parsed = parse(text)
  if (typeof parsed === 'string') return parsed
  if (parsedHours.size >= formatsMax) parsedHours.clear()
  parsedHours.set(text, parsed)
  return parsed
}

/** A whole tree of agents has the same hours. */
const parsedHours = new Map<string, Hours>()

function parse(text: string): Hours | string {
  const match = hoursForm.exec(text)?.groups
  if (match === undefined) return 'must look like "Mon-Fri 08:00-19:00 Europe/Berlin"'
  const days =
    match['days'] === undefined ? dayNames.map((_, day) => day) : parseDays(match['days'])
  if (typeof days === 'string') return days
  const from = parseMinute(match['from'] ?? '')
  const to = parseMinute(match['to'] ?? '')
  if (from === undefined || to === undefined || from === minutesOfDay) {
    return 'times are 00:00 to 23:59, or 24:00 as the end'
  }
  if (from === to) return 'the hours are empty; the whole day is 00:00-24:00'
  const zone = match['zone'] ?? ''
  if (zoneFormat(zone) === undefined) return `"${zone}" is not a known time zone`
  const minutes = new Uint8Array(minutesOfWeek)
  const length = to > from ? to - from : to + minutesOfDay - from
  for (const day of days) {
    const start = day * minutesOfDay + from
    for (let at = start; at < start + length; at++) minutes[at % minutesOfWeek] = 1
  }
  const listed =
    days.length === dayNames.length ? '' : `${days.map((day) => dayNames[day]).join(',')} `
  return { zone, text: `${listed}${match['from']}-${match['to']} ${zone}`, minutes }
}

/** Whether the hours hold at an instant. */
export function hoursHold(hours: Hours, nowMs: number): boolean {
  const minute = minuteOfWeek(hours.zone, nowMs)
  return minute !== undefined && hours.minutes[minute] === 1
}

/** The first instant at which the answer of `hoursHold` may be another: clocks of all zones turn at whole minutes. */
export function hoursHoldUntil(nowMs: number): number {
  return (Math.floor(nowMs / minuteMs) + 1) * minuteMs
}

/** True when the hours lie within the others. Hours of two zones are never compared. */
export function hoursLeq(inner: Hours, outer: Hours): boolean {
  if (inner.zone !== outer.zone) return false
  return inner.minutes.every((holds, minute) => holds === 0 || outer.minutes[minute] === 1)
}

function parseDays(text: string): readonly number[] | string {
  const chosen = new Set<number>()
  for (const part of text.split(',')) {
    const [first = '', last = first, ...more] = part.split('-')
    const from = dayNames.indexOf(first)
    const to = dayNames.indexOf(last)
    if (from === -1 || to === -1 || more.length > 0) {
      return `"${part}" is not a day or a range of ${dayNames.join(', ')}`
    }
    for (let day = from; ; day = (day + 1) % dayNames.length) {
      chosen.add(day)
      if (day === to) break
    }
  }
  return [...chosen].toSorted((a, b) => a - b)
}

function parseMinute(text: string): number | undefined {
  const hour = Number(text.slice(0, 2))
  const minute = Number(text.slice(3))
  const sum = hour * 60 + minute
  return minute < 60 && sum <= minutesOfDay ? sum : undefined
}

/** `undefined` where the zone is not known; made once, since making one takes 50 times as long as using it. */
const formats = new Map<string, Intl.DateTimeFormat | undefined>()
/** There are about 600 names of zones; the bound only guards against a caller that makes them up. */
const formatsMax = 1000

function zoneFormat(zone: string): Intl.DateTimeFormat | undefined {
  if (formats.has(zone)) return formats.get(zone)
  if (formats.size >= formatsMax) formats.clear()
  const format = makeFormat(zone)
  formats.set(zone, format)
  return format
}

function makeFormat(timeZone: string): Intl.DateTimeFormat | undefined {
  try {
    return new Intl.DateTimeFormat('en-US', {
      timeZone,
      hourCycle: 'h23',
      weekday: 'short',
      hour: '2-digit',
      minute: '2-digit',
    })
  } catch (error) {
    if (error instanceof RangeError) return undefined
    throw error
  }
}

/** The minute of the week that a zone's clock shows, remembered for the running minute. */
const shown = new Map<string, { readonly utcMinute: number; readonly minute: number | undefined }>()

function minuteOfWeek(zone: string, nowMs: number): number | undefined {
  const utcMinute = Math.floor(nowMs / minuteMs)
  const known = shown.get(zone)
  if (known?.utcMinute === utcMinute) return known.minute
  if (shown.size >= formatsMax) shown.clear()
  const minute = readMinuteOfWeek(zone, nowMs)
  shown.set(zone, { utcMinute, minute })
  return minute
}

function readMinuteOfWeek(zone: string, nowMs: number): number | undefined {
  const format = zoneFormat(zone)
  // Beyond the range of a Date nothing holds.
  if (format === undefined || !(Math.abs(nowMs) <= 8.64e15)) return undefined
  const parts = new Map(format.formatToParts(nowMs).map(({ type, value }) => [type, value]))
  const day = dayNames.indexOf(parts.get('weekday') ?? '')
  const minute = Number(parts.get('hour')) * 60 + Number(parts.get('minute'))
  return day === -1 || Number.isNaN(minute) ? undefined : day * minutesOfDay + minute
}

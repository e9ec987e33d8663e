const dayNames = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat']
const form = /^([A-Za-z,-]+) (\d\d):(\d\d)-(\d\d):(\d\d) (\S+)$/u
const minuteMs = 60_000

/** Compiles `Mon-Fri 08:00-19:00 Europe/Berlin`. A window over midnight belongs to the day it starts on. Undefined where the text is not of this form. */
export function compileWindow(text: string): ((at: Date) => boolean) | undefined {
  const parts = form.exec(text)
  if (parts === null) return undefined
  const days = parseDays(parts[1] ?? '')
  const from = minuteOfDay(parts[2], parts[3])
  const to = minuteOfDay(parts[4], parts[5])
  const format = localFormat(parts[6] ?? '')
  if (days === undefined || from === undefined || to === undefined || format === undefined) {
    return undefined
  }
  let knownMinute = Number.NaN
  let knownResult = false
  return (at) => {
    // Local clocks move by whole minutes, so one answer holds for a minute.
    const minute = Math.floor(at.getTime() / minuteMs)
    if (minute !== knownMinute) {
      knownResult = isWithin(localTime(format, at), days, from, to)
      knownMinute = minute
    }
    return knownResult
  }
}

function parseDays(text: string): ReadonlySet<number> | undefined {
  const days = new Set<number>()
  for (const piece of text.split(',')) {
    const [first = '', last = first, ...rest] = piece.split('-')
    const from = dayNames.indexOf(first)
    const to = dayNames.indexOf(last)
    if (from === -1 || to === -1 || rest.length > 0) return undefined
    for (let day = from; ; day = (day + 1) % 7) {
      days.add(day)
      if (day === to) break
    }
  }
  return days
}

function minuteOfDay(hours = '', minutes = ''): number | undefined {
  const minute = Number(hours) * 60 + Number(minutes)
  return Number(minutes) < 60 && minute <= 24 * 60 ? minute : undefined
}

function localFormat(timeZone: string): Intl.DateTimeFormat | undefined {
  try {
    return new Intl.DateTimeFormat('en-GB', {
      timeZone,
      weekday: 'short',
      hour: '2-digit',
      minute: '2-digit',
      hourCycle: 'h23',
    })
  } catch {
    return undefined
  }
}

function localTime(format: Intl.DateTimeFormat, at: Date): { day: number; minute: number } {
  const parts = new Map(format.formatToParts(at).map((part) => [part.type, part.value]))
  return {
    day: dayNames.indexOf(parts.get('weekday') ?? ''),
    minute: Number(parts.get('hour')) * 60 + Number(parts.get('minute')),
  }
}

function isWithin(
  local: { readonly day: number; readonly minute: number },
  days: ReadonlySet<number>,
  from: number,
  to: number,
): boolean {
  const { day, minute } = local
  if (from <= to) return days.has(day) && minute >= from && minute < to
  return (days.has(day) && minute >= from) || (days.has((day + 6) % 7) && minute < to)
}

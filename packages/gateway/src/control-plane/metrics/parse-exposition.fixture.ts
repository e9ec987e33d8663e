/** A series as a scraper reads it. */
export interface ReadSeries {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

interface Family {
  readonly type: string
  readonly help: string
}

/** What a scraper makes of a page. */
export interface ReadPage {
  readonly families: ReadonlyMap<string, Family>
  readonly series: readonly ReadSeries[]
}

const namePattern = '[a-zA-Z_:][a-zA-Z0-9_:]*'
const seriesPattern = new RegExp(`^(${namePattern})(?:\\{([^]*)\\})? (\\S+)$`, 'u')
const numberPattern = /^(?:[+-]?(?:\d+(?:\.\d+)?(?:e[+-]?\d+)?|Inf)|NaN)$/u

/**
 * Reads Prometheus' text format 0.0.4 as strictly as its page describes it, and throws at the first thing that does not fit:
 * a series without a type, one that is there twice, groups that are torn apart, bins that are not cumulative.
 */
export function parseExposition(page: string): ReadPage {
  if (page !== '' && !page.endsWith('\n')) throw new Error('the last line has no end')
  const families = new Map<string, Family>()
  const series: ReadSeries[] = []
  const seen = new Set<string>()
  let help: [string, string] | undefined
  let current = ''
  for (const text of page.split('\n').slice(0, -1)) {
    const found = /^# (HELP|TYPE) (\S+) (.*)$/u.exec(text)
    if (found?.[1] === 'HELP') help = [found[2] ?? '', found[3] ?? '']
    else if (found?.[1] === 'TYPE') {
      current = found[2] ?? ''
      if (families.has(current)) throw new Error(`${current} is there twice`)
      if (help?.[0] !== current) throw new Error(`${current} has no help`)
      if (!['counter', 'gauge', 'histogram'].includes(found[3] ?? '')) throw new Error(text)
      families.set(current, { type: found[3] ?? '', help: help[1] })
    } else {
      const read = parseSeries(text)
      const { type = '' } = families.get(current) ?? {}
      if (familyOf(read.name, type) !== current) throw new Error(`${text} stands below ${current}`)
      if (type === 'counter' && !(read.value >= 0)) throw new Error(`${text} counts downwards`)
      const labels = Object.entries(read.labels).map(([label, text]) =>
        JSON.stringify([label, text]),
      )
      const key = `${read.name} ${labels.toSorted().join(' ')}`
      if (seen.has(key)) throw new Error(`${key} is there twice`)
      seen.add(key)
      series.push(read)
    }
  }
  checkBins(families, series)
  return { families, series }
}

/** The value of the one series with these labels; others may be there too. */
export function valueOf(
  page: ReadPage,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number {
  return page.series
    .filter((each) => each.name === name)
    .filter((each) => Object.entries(labels).every(([label, text]) => each.labels[label] === text))
    .reduce((sum, each) => sum + each.value, 0)
}

function familyOf(name: string, type: string): string {
  return type === 'histogram' ? name.replace(/_(?:bucket|sum|count)$/u, '') : name
}

function parseSeries(text: string): ReadSeries {
  const [, name, labels = '', value = ''] = seriesPattern.exec(text) ?? []
  if (name === undefined || !numberPattern.test(value)) throw new Error(`no series: ${text}`)
  return { name, labels: parseLabels(labels), value: Number(value.replace('Inf', 'Infinity')) }
}

function parseLabels(text: string): Record<string, string> {
  const labels: Record<string, string> = {}
  let rest = text
  while (rest !== '') {
    const found = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(,(?=[^])|$)/u.exec(rest)
    if (found === null) throw new Error(`no labels: ${rest}`)
    const [whole, name = '', value = ''] = found
    if (Object.hasOwn(labels, name)) throw new Error(`label ${name} is there twice`)
    labels[name] = value.replaceAll(/\\([^])/gu, (_, mark: string) => (mark === 'n' ? '\n' : mark))
    rest = rest.slice(whole.length)
  }
  return labels
}

function checkBins(families: ReadonlyMap<string, Family>, series: readonly ReadSeries[]): void {
  for (const [name, { type }] of families) {
    if (type !== 'histogram') continue
    const groups = new Map<string, ReadSeries[]>()
    for (const each of series.filter((one) => one.name === `${name}_bucket`)) {
      const { le: _le, ...rest } = each.labels
      const key = JSON.stringify(rest)
      groups.set(key, [...(groups.get(key) ?? []), each])
    }
    for (const [key, bins] of groups) {
      const bounds = bins.map(({ labels }) =>
        Number((labels['le'] ?? '').replace('+Inf', 'Infinity')),
      )
      if (bounds.at(-1) !== Infinity) throw new Error(`${name} has no bin for what is above all`)
      if (bounds.some((bound, at) => at > 0 && !(bound > (bounds[at - 1] ?? 0))))
        throw new Error(`bounds of ${name} are in no order`)
      if (bins.some(({ value }, at) => at > 0 && value < (bins[at - 1]?.value ?? 0)))
        throw new Error(`bins of ${name} are not cumulative`)
      const counts = series.filter(
        (each) => each.name === `${name}_count` && JSON.stringify(each.labels) === key,
      )
      if (counts.length !== 1 || counts[0]?.value !== bins.at(-1)?.value)
        throw new Error(`${name}_count is not the last bin`)
    }
  }
}

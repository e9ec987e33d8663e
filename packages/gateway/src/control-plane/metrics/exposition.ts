/** One line of a metric: what it is of, and how much. */
export interface Sample {
  readonly labels?: Readonly<Record<string, string>>
  readonly value: number
}

/** A latency, as bins that are not cumulative; the last is of what is above all bounds. */
export interface Distribution {
  readonly labels?: Readonly<Record<string, string>>
  readonly bounds: readonly number[]
  readonly counts: readonly number[]
  readonly sum: number
}

/** A metric with all its lines. */
export type Metric = { readonly name: string; readonly help: string } & (
  | { readonly type: 'counter' | 'gauge'; readonly samples: readonly Sample[] }
  | { readonly type: 'histogram'; readonly of: readonly Distribution[] }
)

/** Of what `printMetrics` gives. */
export const expositionType = 'text/plain; version=0.0.4; charset=utf-8'

/** Prints metrics in Prometheus' text format, version 0.0.4. */
export function printMetrics(metrics: readonly Metric[]): string {
  return metrics.map(printMetric).join('')
}

function printMetric(metric: Metric): string {
  const { name, help, type } = metric
  const head = `# HELP ${name} ${help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')}\n# TYPE ${name} ${type}\n`
  const lines =
    metric.type === 'histogram'
      ? metric.of.flatMap((each) => binLines(name, each))
      : metric.samples.map(({ labels, value }) => line(name, labels, value))
  return head + lines.join('')
}

function binLines(name: string, { labels, bounds, counts, sum }: Distribution): string[] {
  let count = 0
  const bins = [...bounds, Infinity].map((bound, at) => {
    count += counts[at] ?? 0
    return line(`${name}_bucket`, { ...labels, le: number(bound) }, count)
  })
  return [...bins, line(`${name}_sum`, labels, sum), line(`${name}_count`, labels, count)]
}

function line(name: string, labels: Sample['labels'] = {}, value: number): string {
  const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escaped(text)}"`)
  return `${name}${pairs.length === 0 ? '' : `{${pairs.join(',')}}`} ${number(value)}\n`
}

function escaped(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
}

function number(value: number): string {
  if (value === Infinity) return '+Inf'
  if (value === -Infinity) return '-Inf'
  return String(value)
}

/** Says what of a value does not fit; empty where all does. */
type Check = (value: unknown, path: string) => string[]

const fits =
  (what: string, test: (value: unknown) => boolean): Check =>
  (value, path) =>
    test(value) ? [] : [`${path} is no ${what}`]

const text = fits('text', (value) => typeof value === 'string' && value.isWellFormed())
const hex = (digits: number): Check =>
  fits(
    `id of ${digits} digits`,
    (value) =>
      typeof value === 'string' &&
      new RegExp(`^[0-9a-f]{${digits}}$`, 'u').test(value) &&
      !/^0+$/u.test(value),
  )
const int64 = fits(
  '64-bit number as text',
  (value) => typeof value === 'string' && /^-?\d{1,19}$/u.test(value),
)
const time = fits('time', (value) => typeof value === 'string' && /^[1-9]\d{9,19}$/u.test(value))
const oneOf = (...values: readonly number[]): Check =>
  fits(values.join(' or '), (value) => values.includes(Number(value)) && typeof value === 'number')
const list =
  (of: Check): Check =>
  (value, path) =>
    Array.isArray(value)
      ? value.flatMap((each, at) => of(each, `${path}.${at}`))
      : [`${path} is no list`]

/** `name?` may be absent; what is not named may not be there. */
const map =
  (fields: Readonly<Record<string, Check>>): Check =>
  (value, path) => {
    if (typeof value !== 'object' || value === null) return [`${path} is no map`]
    const known = new Map(Object.entries(fields).map(([name, of]) => [name.replace('?', ''), of]))
    const missing = Object.keys(fields).filter(
      (name) => !name.endsWith('?') && !Object.hasOwn(value, name),
    )
    return [
      ...missing.map((name) => `${path}.${name} is missing`),
      ...Object.entries(value).flatMap(([name, each]) => {
        const of = known.get(name)
        return of === undefined ? [`${path}.${name} is unknown`] : of(each, `${path}.${name}`)
      }),
    ]
  }

/** AnyValue is a oneof: one field and no more. */
const anyValue: Check = (value, path) => {
  const problems = map({
    'stringValue?': text,
    'boolValue?': fits('flag', (each) => typeof each === 'boolean'),
    'intValue?': int64,
    'doubleValue?': fits('number', (each) => typeof each === 'number'),
    'arrayValue?': map({ values: list((each, at) => anyValue(each, at)) }),
  })(value, path)
  const count = typeof value === 'object' && value !== null ? Object.keys(value).length : 0
  return count === 1 ? problems : [...problems, `${path} has ${count} values`]
}

const attributes: Check = (value, path) => {
  const problems = list(map({ key: text, value: anyValue }))(value, path)
  const keys = Array.isArray(value) ? value.map(({ key }: { key: string }) => key) : []
  return new Set(keys).size === keys.length ? problems : [...problems, `${path} has a key twice`]
}

const span: Check = (value, path) => {
  const problems = map({
    traceId: hex(32),
    spanId: hex(16),
    'parentSpanId?': hex(16),
    name: text,
    kind: oneOf(0, 1, 2, 3, 4, 5),
    startTimeUnixNano: time,
    endTimeUnixNano: time,
    attributes,
    status: map({ code: oneOf(0, 1, 2), 'message?': text }),
  })(value, path)
  const { startTimeUnixNano: from, endTimeUnixNano: to } = value as Record<string, string>
  return BigInt(to ?? 0) >= BigInt(from ?? 0)
    ? problems
    : [...problems, `${path} ends before it begins`]
}

/**
 * ExportTraceServiceRequest in OTLP's JSON (opentelemetry-proto, collector/trace/v1 and trace/v1; the specification of
 * OTLP/HTTP, "JSON Protobuf Encoding"): ids in hexadecimal, enumerations as numbers, 64-bit numbers as texts.
 */
export const checkOtlp = (request: unknown): string[] =>
  map({
    resourceSpans: list(
      map({
        resource: map({ attributes }),
        scopeSpans: list(map({ scope: map({ name: text, version: text }), spans: list(span) })),
      }),
    ),
  })(request, 'request')

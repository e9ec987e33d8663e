/** A value of an attribute, as OTLP's JSON writes it: numbers of 64 bits are texts. */
type AttributeValue =
  | { readonly stringValue: string }
  | { readonly intValue: string }
  | { readonly boolValue: boolean }
  | { readonly arrayValue: { readonly values: readonly { readonly stringValue: string }[] } }

export interface Attribute {
  readonly key: string
  readonly value: AttributeValue
}

/** A span of opentelemetry/proto/trace/v1, in JSON: ids are hexadecimal, times are nanoseconds as text. */
export interface Span {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly name: string
  /** 1 internal, 3 client. */
  readonly kind: 1 | 3
  readonly startTimeUnixNano: string
  readonly endTimeUnixNano: string
  readonly attributes: readonly Attribute[]
  /** 0 unset, 1 ok, 2 error. */
  readonly status: { readonly code: 0 | 1 | 2; readonly message?: string }
}

/** Attributes of what is there; a field that is undefined has none. */
export function attributes(
  of: Readonly<Record<string, string | number | boolean | readonly string[] | undefined>>,
): Attribute[] {
  return Object.entries(of).flatMap(([key, value]) =>
    value === undefined ? [] : [{ key, value: attributeValue(value) }],
  )
}

function attributeValue(value: string | number | boolean | readonly string[]): AttributeValue {
  if (typeof value === 'string') return { stringValue: value.toWellFormed() }
  if (typeof value === 'number') return { intValue: String(Math.round(value)) }
  if (typeof value === 'boolean') return { boolValue: value }
  return { arrayValue: { values: value.map((each) => ({ stringValue: each.toWellFormed() })) } }
}

/** Milliseconds since the epoch, as nanoseconds. */
export function nanoseconds(ms: number): string {
  return String(BigInt(Math.round(ms * 1000)) * 1000n)
}

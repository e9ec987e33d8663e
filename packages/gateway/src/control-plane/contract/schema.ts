import * as z from 'zod'

/** A text without a limit of its own: for answers. */
export const text = z.string()

/** A whole number, 0 or more. */
export const count = z.int().min(0)

/** A moment in UTC, as ISO 8601. */
export const moment = z.iso.datetime()

export const flag = z.boolean()

/** A list that nobody changes. */
export function list<Schema extends z.ZodType>(of: Schema): z.ZodReadonly<z.ZodArray<Schema>> {
  return z.array(of).readonly()
}

/** As `list`, of so many at most: for what a caller sends. */
export function upTo<Schema extends z.ZodType>(
  max: number,
  of: Schema,
  min = 0,
): z.ZodReadonly<z.ZodArray<Schema>> {
  return z.array(of).min(min).max(max).readonly()
}

/** An object of these fields and no others. What is unknown is refused, so that a slip is not taken for a wish. */
export function object<Shape extends z.core.$ZodShape>(
  shape: Shape,
  error?: z.core.$ZodErrorMap,
): z.ZodReadonly<z.ZodObject<Shape, z.core.$strict>> {
  return z.strictObject(shape, error === undefined ? undefined : { error }).readonly()
}

/** A field that may be left out, and is never null. */
export function opt<Schema extends z.ZodType>(of: Schema): z.ZodExactOptional<Schema> {
  return of.exactOptional()
}

/** A text that the types tell from others: an id of one kind. */
export function id<Id extends string>(): z.ZodType<Id, Id> {
  return z.string() as unknown as z.ZodType<Id, Id>
}

/** A text that a caller sends: so long, and not empty. The error names the field. */
export function given(charactersMax: number): z.ZodString {
  return z.string().min(1).max(charactersMax)
}

/** A whole number in a query, which is text there. */
export function countIn(min: number, max: number): z.ZodPreprocess<z.ZodInt> {
  return z.preprocess(
    (value) => (typeof value === 'string' && /^\d{1,15}$/u.test(value) ? Number(value) : value),
    z.int().min(min).max(max),
  )
}

/** Documented elsewhere, and only handed through here: an object. */
export function opaque<Type>(what: string): z.ZodType<Type, Type> {
  return z.record(z.string(), z.unknown()).describe(what) as unknown as z.ZodType<Type, Type>
}

import type * as z from 'zod'
import type { Api } from './all.ts'

/** Method and path of an endpoint: `GET /v1/connections/{name}`. */
export type Call = keyof Api

/** A call that is answered with JSON, or with nothing. */
export type JsonCall = {
  [Each in Call]: Api[Each] extends { readonly answer: { readonly media: unknown } } ? never : Each
}[Call]

/** A call that is answered with a stream or a file. */
export type MediaCall = Exclude<Call, JsonCall>

/** What a client sends with a call: the same schemas as the gateway holds it to. */
export type Asked<Each extends Call> = Part<'params', Api[Each]> &
  Part<'query', Api[Each]> &
  Part<'body', Api[Each]>

/** What comes back; undefined where there is nothing to say. */
export type Answered<Each extends JsonCall> = Api[Each] extends {
  readonly answer: infer Schema extends z.ZodType
}
  ? z.output<Schema>
  : undefined

/** What a call is given: nothing has to be, where nothing of it is required. */
export type Asking<Each extends Call> =
  Record<never, never> extends Asked<Each>
    ? readonly [asked?: Asked<Each>]
    : readonly [asked: Asked<Each>]

type Part<Name extends string, Of> = Of extends {
  readonly [Each in Name]: infer Schema extends z.ZodType
}
  ? Record<never, never> extends z.input<Schema>
    ? { readonly [Each in Name]?: z.input<Schema> }
    : { readonly [Each in Name]: z.input<Schema> }
  : { readonly [Each in Name]?: never }

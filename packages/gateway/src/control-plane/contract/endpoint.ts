import type { ErrorCode } from '@sallyport/core'
import type * as z from 'zod'

/**
 * Who may call: the owner of the gateway; the owner and agents, which reach themselves and what is below them; or anybody,
 * where what is sent is the proof.
 */
export type Callers = 'owner' | 'agents' | 'anybody'

type Fields = z.ZodReadonly<z.ZodObject>

/** One operation of the API. Its method and path are its key in a table: `GET /v1/connections/{name}`. */
export interface Endpoint {
  /** What it does, in a sentence. */
  readonly does: string
  readonly who: Callers
  /** Refused to an agent that is frozen. */
  readonly acts?: true
  /** For each name in the path. */
  readonly params?: Fields
  /** None where absent: a query is refused then, and so is a body. */
  readonly query?: Fields
  readonly body?: z.ZodType
  readonly headers?: Fields
  /** 200 where absent. */
  readonly status?: 200 | 201 | 202 | 204
  /** JSON, a `Media`, or nothing where absent. */
  readonly answer?: z.ZodType | Media
  /** Codes beside those that every endpoint of its kind may answer with. */
  readonly fails?: readonly ErrorCode[]
}

/** What somebody reads whose token, or whose agent's handle, is not or no longer good for anything. */
export const refusedCallers = [
  'SP_LOGIN_REFUSED',
  'SP_PROOF_REFUSED',
  'SP_CREDENTIAL_EXPIRED',
  'SP_AGENT_ENDED',
  'SP_AGENT_REVOKED',
] as const satisfies readonly ErrorCode[]

export type Endpoints = Readonly<Record<string, Endpoint>>

/** An answer that is no single JSON document: media types, each with what a line or an event of it is, where that is JSON. */
export interface Media {
  readonly media: Readonly<Record<string, z.ZodType | undefined>>
}

export function media<Types extends Media['media']>(types: Types): { readonly media: Types } {
  return { media: types }
}

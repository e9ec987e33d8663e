import { SallyportError } from '@sallyport/core'
import type { CredentialRequest } from './credentials.ts'

/** Checks a credential request that came from outside. */
export function parseCredentialRequest(input: unknown): CredentialRequest {
  const given = typeof input === 'object' && input !== null ? input : {}
  const connection = 'connection' in given ? given.connection : undefined
  if (typeof connection !== 'string') throw refused('connection must be a text')
  const allow = 'allow' in given ? given.allow : undefined
  if (allow !== undefined && !isTextList(allow)) throw refused('allow must be a list of texts')
  const ttlMs = 'ttlMs' in given ? given.ttlMs : undefined
  if (ttlMs !== undefined && typeof ttlMs !== 'number') throw refused('ttlMs must be a number')
  return {
    connection,
    ...(allow === undefined || allow.length === 0 ? {} : { allow }),
    ...(ttlMs === undefined ? {} : { ttlMs }),
  }
}

function isTextList(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((each) => typeof each === 'string')
}

function refused(detail: string): SallyportError {
  return new SallyportError('SP_CONFIG_INVALID', detail, { detail })
}

import {
  layerProblem,
  parseAllow,
  parseGrantDocument,
  parseTtl,
  type Budget,
  type DelegateLimits,
  type GrantLayer,
} from '@sallyport/core'
import { OAuthError } from './oauth-error.ts'

/** What a request for an agent asks for. */
export interface GrantAsk {
  /** A conjunction; empty where nothing narrower than what there is was asked for. */
  readonly layers: readonly GrantLayer[]
  readonly budget: Budget
  readonly delegate: DelegateLimits
  readonly ttlMs?: number
}

const detailType = 'sallyport_grant'
const ttlMaxMs = 90 * 86_400_000

/**
 * Reads `scope` (permits without dimensions, divided by blanks), `authorization_details` (RFC 9396, grant documents, or
 * `allow` with permits as text), `resource` (RFC 8707, one connection each) and `ttl`.
 */
export function readGrantAsk(form: URLSearchParams, gatewayUrl: string): GrantAsk {
  const layers: GrantLayer[] = []
  const scope = (form.get('scope') ?? '').split(' ').filter((word) => word !== '')
  if (scope.length > 0) layers.push(layerOf(scope, 'invalid_scope'))
  const details = readDetails(form.get('authorization_details'))
  layers.push(...details.layers)
  const resources = form.getAll('resource').map((uri) => connectionOf(uri, gatewayUrl))
  if (resources.length > 0) {
    // `*` leaves `unknown` out, and a resource says nothing about what is done there.
    const layer = {
      permits: [{ connections: resources, classes: ['*', 'unknown'], dimensions: {} }],
    }
    const problem = layerProblem(layer)
    if (problem !== undefined) throw new OAuthError('invalid_target', problem)
    layers.push(layer)
  }
  const ttl = form.get('ttl')
  const ttlMs = ttl === null ? undefined : parseTtl(ttl)
  if (typeof ttlMs === 'string' || (ttlMs ?? 0) > ttlMaxMs) {
    throw new OAuthError(
      'invalid_request',
      `ttl ${typeof ttlMs === 'string' ? ttlMs : 'is too long'}`,
    )
  }
  return { ...details, layers, ...(ttlMs === undefined ? {} : { ttlMs }) }
}

function layerOf(
  texts: readonly string[],
  error: 'invalid_scope' | 'invalid_authorization_details',
): GrantLayer {
  const layer = {
    permits: texts.map((text) => {
      const parsed = parseAllow(text)
      if (parsed.kind === 'ok') return parsed.permission
      throw new OAuthError(error, parsed.message)
    }),
  }
  const problem = layerProblem(layer)
  if (problem !== undefined) throw new OAuthError(error, problem)
  return layer
}

interface Details {
  readonly layers: readonly GrantLayer[]
  readonly budget: Budget
  readonly delegate: DelegateLimits
}

function readDetails(text: string | null): Details {
  if (text === null) return { layers: [], budget: {}, delegate: {} }
  const list = parseJson(text)
  if (!Array.isArray(list) || list.length !== 1)
    throw detailsError('a list with one object is taken')
  const item: unknown = list[0]
  if (typeof item !== 'object' || item === null || !('type' in item) || item.type !== detailType) {
    throw detailsError(`its type must be ${detailType}`)
  }
  const { type: _type, ...rest } = item as Record<string, unknown>
  if ('allow' in rest && 'permits' in rest) throw detailsError('name allow or permits, not both')
  const { allow, ...document } = rest
  if (allow !== undefined && !isTextList(allow)) throw detailsError('allow must be a list of texts')
  const hasPermits = 'permits' in document
  const parsed = parseGrantDocument(hasPermits ? document : { ...document, permits: [anything] })
  if (parsed.kind === 'refused') {
    throw detailsError(parsed.problems.map(({ path, message }) => `${path} ${message}`).join('; '))
  }
  const { budget, delegate, layer } = parsed.grant
  const permits =
    allow === undefined ? layer.permits : layerOf(allow, 'invalid_authorization_details').permits
  return { layers: [{ ...layer, permits }], budget, delegate }
}

/** For a document that limits only times, clients or budgets. */
const anything = { conn: ['*'], classes: ['*', 'unknown'] }

function connectionOf(uri: string, gatewayUrl: string): string {
  const start = `${gatewayUrl}/c/`
  const name = uri.startsWith(start) ? uri.slice(start.length) : ''
  if (/^[A-Za-z0-9][A-Za-z0-9_.-]*$/u.test(name)) return name
  throw new OAuthError('invalid_target', `a resource is ${start}<connection>`)
}

function isTextList(value: unknown): value is string[] {
  return Array.isArray(value) && value.length > 0 && value.every((each) => typeof each === 'string')
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw detailsError('this is not JSON')
  }
}

function detailsError(why: string): OAuthError {
  return new OAuthError('invalid_authorization_details', `authorization_details: ${why}`)
}

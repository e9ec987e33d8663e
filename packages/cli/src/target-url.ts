import { SallyportError } from '@sallyport/core'

/** The parts of `postgres://user[:password]@host:port/database`. */
export interface TargetUrl {
  readonly user: string
  readonly password: string | undefined
  readonly host: string
  readonly port: number
  readonly database: string
}

const portDefault = 5432

/** Reads the address of a target. */
export function parseTargetUrl(text: string): TargetUrl {
  const url = URL.parse(text)
  if (url === null || !['postgres:', 'postgresql:'].includes(url.protocol)) throw notAnUrl()
  // Settings in the query would be dropped unseen, so they are refused.
  if (url.search !== '')
    throw notAnUrl(`"${url.search}" is not taken here; TLS is set with --tls and --ca`)
  const user = part(url.username)
  const host = url.hostname.replace(/^\[|\]$/g, '')
  if (user === '' || host === '') throw notAnUrl()
  return {
    user,
    password: url.password === '' ? undefined : part(url.password),
    host,
    port: url.port === '' ? portDefault : Number(url.port),
    database: part(url.pathname.slice(1)) || user,
  }
}

/** The database of an address that callers use. The secret needs no escapes; names may. */
export function callerUrl(parts: {
  user: string
  secret: string
  host: string
  port: number
  database: string
}): string {
  const { user, secret, host, port, database } = parts
  const address = host.includes(':') ? `[${host}]` : host
  return `postgresql://${encodeURIComponent(user)}:${secret}@${address}:${port}/${encodeURIComponent(database)}?sslmode=require`
}

function part(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw notAnUrl()
  }
}

function notAnUrl(why = 'give postgres://user@host:port/database'): SallyportError {
  return new SallyportError('SP_CONFIG_INVALID', `the address cannot be used: ${why}`)
}

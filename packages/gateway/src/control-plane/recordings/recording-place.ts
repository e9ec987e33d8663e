import { isIP } from 'node:net'
import { SallyportError } from '@sallyport/core'

/** Where recordings, or copies of anchors, are kept. */
export type RecordingPlace =
  | { readonly kind: 'folder'; readonly dir: string }
  | ({ readonly kind: 's3' } & S3Place)

/** A bucket of Amazon S3, or of a server that speaks its protocol. Credentials are never part of it. */
export interface S3Place {
  readonly bucket: string
  /** Empty, or ends in `/`. */
  readonly prefix: string
  /** Of another server than Amazon's; its buckets are addressed by path. */
  readonly endpoint?: string
  /** The environment's or the profile's where absent. */
  readonly region?: string
  readonly encryption?: 'AES256' | 'aws:kms'
  readonly kmsKey?: string
  /** Objects can't be deleted or replaced for so many days (S3 Object Lock). */
  readonly lock?: { readonly mode: 'GOVERNANCE' | 'COMPLIANCE'; readonly days: number }
}

const parameters = ['endpoint', 'region', 'sse', 'kms-key', 'lock', 'lock-days']
const lockDaysMax = 36_500

/** Reads a path, or `s3://bucket/prefix?endpoint=…&region=…&sse=AES256&lock=compliance&lock-days=365`. */
export function parseRecordingPlace(text: string): RecordingPlace {
  if (!/^[a-z][a-z0-9+.-]*:\/\//iu.test(text)) return { kind: 'folder', dir: text }
  const match = /^s3:\/\/([^/?#@]*)(?:\/([^?#]*))?(?:\?([^#]*))?$/u.exec(text)
  if (match === null)
    throw invalid(`"${plain(text)}" is no folder, and no address such as s3://bucket/prefix`)
  const [, bucket = '', path = '', query = ''] = match
  if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/u.test(bucket))
    throw invalid(`"${bucket}" is no name of a bucket`)
  const prefix = path === '' || path.endsWith('/') ? path : `${path}/`
  if (!/^(?:(?!\.{1,2}\/)[\w.-]+\/)*$/u.test(prefix))
    throw invalid(`the prefix "${path}" may have letters, digits, ".", "_" and "-" between slashes`)
  const values = new URLSearchParams(query)
  for (const name of values.keys()) {
    if (!parameters.includes(name))
      throw invalid(`"${name}" is no setting of a bucket; there are ${parameters.join(', ')}`)
    if (values.getAll(name).length > 1) throw invalid(`"${name}" is said twice`)
  }
  const given = (name: string): string | undefined => values.get(name) ?? undefined
  const region = given('region')
  if (region !== undefined && !/^[a-z0-9-]{1,63}$/u.test(region))
    throw invalid(`"${region}" is no region`)
  const endpoint = endpointOf(given('endpoint'))
  const lock = lockOf(given('lock'), given('lock-days'))
  return {
    kind: 's3',
    bucket,
    prefix,
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(region === undefined ? {} : { region }),
    ...encryptionOf(given('sse'), given('kms-key')),
    ...(lock === undefined ? {} : { lock }),
  }
}

/** For people, and the same for the same place. */
export function describePlace(place: RecordingPlace): string {
  if (place.kind === 'folder') return place.dir
  const at = place.endpoint === undefined ? '' : ` at ${place.endpoint}`
  return `s3://${place.bucket}/${place.prefix}${at}`
}

function endpointOf(text: string | undefined): string | undefined {
  if (text === undefined) return undefined
  const url = URL.canParse(text) ? new URL(text) : undefined
  const isAlone = url?.username === '' && url.search === '' && url.hash === ''
  if (url === undefined || !isAlone || url.pathname !== '/')
    throw invalid('endpoint takes an address such as https://s3.example.com, without credentials')
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && isLoopback(url.hostname)))
    throw invalid(`endpoint ${url.origin}: without TLS only servers of this machine are spoken to`)
  return url.origin
}

/** Who stands between could say that something is stored, and it is not. */
function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '[::1]' || (isIP(host) === 4 && host.startsWith('127.'))
}

function encryptionOf(
  sse: string | undefined,
  kmsKey: string | undefined,
): Pick<S3Place, 'encryption' | 'kmsKey'> {
  if (sse !== undefined && sse !== 'AES256' && sse !== 'aws:kms')
    throw invalid('sse takes AES256 or aws:kms')
  if (kmsKey !== undefined && sse !== 'aws:kms') throw invalid('kms-key goes with sse=aws:kms')
  if (sse === undefined) return {}
  return kmsKey === undefined ? { encryption: sse } : { encryption: sse, kmsKey }
}

function lockOf(mode: string | undefined, days: string | undefined): S3Place['lock'] {
  if (mode === undefined && days === undefined) return undefined
  const count = Number(days)
  const isCount = /^\d+$/u.test(days ?? '') && count >= 1 && count <= lockDaysMax
  if ((mode !== 'governance' && mode !== 'compliance') || !isCount)
    throw invalid(`lock takes governance or compliance, with lock-days from 1 to ${lockDaysMax}`)
  return { mode: mode === 'governance' ? 'GOVERNANCE' : 'COMPLIANCE', days: count }
}

/** Somebody may have put a password into it. */
function plain(text: string): string {
  return text.replace(/\/\/[^/]*@/u, '//…@').replace(/\?.*$/u, '')
}

function invalid(detail: string): SallyportError {
  return new SallyportError('SP_CONFIG_INVALID', detail, { detail })
}

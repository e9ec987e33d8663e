import { SallyportError, type ErrorCode } from '@sallyport/core'

/** What a failed call told, as far as it is of use: the SDK's errors have many shapes. */
interface Told {
  readonly name: string
  readonly message: string
  readonly status: number | undefined
  readonly region: string | undefined
}

interface Advice {
  readonly code: ErrorCode
  readonly text: (told: Told) => string
}

const refused = (text: string): Advice => ({ code: 'SP_RECORDINGS_REFUSED', text: () => text })
const misplaced = (text: string): Advice => ({ code: 'SP_RECORDINGS_MISPLACED', text: () => text })
const away = (text: string): Advice => ({ code: 'SP_RECORDINGS_AWAY', text: () => text })

const clock = refused(
  "this machine's clock differs too much from the store's. Set it right, by NTP for example",
)
const expired = refused('the credentials have expired. Renew them')
const unsigned = refused(
  'the secret key does not fit the access key. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the profile, anew',
)
const noCredentials = refused(
  'there are no credentials. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or give this machine a role',
)
const denied = refused(
  'access is denied. The gateway needs s3:PutObject, s3:GetObject and s3:ListBucket; without the last a missing object looks denied too',
)
const noRegion = misplaced('it has no region. Say region=… in its address, or set AWS_REGION')
const notTaken = misplaced(
  'it does not take what the gateway asks. Where the address says lock, the bucket must have Object Lock, which it gets when it is made; where it says sse, the key must be known there',
)
const noBucket = misplaced('there is no such bucket. Make it, or mend the address')
const busy = away('it asks to be asked less often. It is tried again')
const region: Advice = {
  code: 'SP_RECORDINGS_MISPLACED',
  text: (told) =>
    told.region === undefined
      ? 'the bucket is in another region. Say region=… in its address'
      : `the bucket is in the region ${told.region}. Say region=${told.region} in its address`,
}

const byName: Readonly<Record<string, Advice>> = {
  RequestTimeTooSkewed: clock,
  ExpiredToken: expired,
  ExpiredTokenException: expired,
  TokenRefreshRequired: expired,
  SignatureDoesNotMatch: unsigned,
  InvalidAccessKeyId: refused('the access key is not known there. Set AWS_ACCESS_KEY_ID anew'),
  CredentialsProviderError: noCredentials,
  AccessDenied: denied,
  Forbidden: denied,
  NoSuchBucket: noBucket,
  PermanentRedirect: region,
  AuthorizationHeaderMalformed: region,
  IllegalLocationConstraintException: region,
  SlowDown: busy,
  ServiceUnavailable: busy,
  Throttling: busy,
  ThrottlingException: busy,
  RequestLimitExceeded: busy,
  TooManyRequests: busy,
  InvalidObjectState: refused(
    'the object was moved to an archive class. Restore it there before it is read',
  ),
}

/** A failed call in words: what it means and what to do. What the store itself said stands behind it. */
export function s3Problem(error: unknown, where: string): SallyportError {
  if (error instanceof SallyportError) return error
  const told = toldBy(error)
  const { code, text } = adviceFor(told)
  const words = `${told.name}${told.status === undefined ? '' : ` ${told.status}`}: ${told.message}`
  const detail = `${where}: ${text(told)} (${words.slice(0, 300)})`
  return new SallyportError(code, detail, { detail, cause: error })
}

/** What was sent is not what is there. */
export function s3Changed(where: string, key: string, how: string): SallyportError {
  const detail = `${where}: ${key} was put and ${how}. It is tried again; if that repeats, do not trust this store`
  return new SallyportError('SP_RECORDINGS_CHANGED', detail, { detail })
}

/** True where the call failed because there is no such object. */
export function isMissingObject(error: unknown): boolean {
  const { name, status } = toldBy(error)
  return name === 'NoSuchKey' || name === 'NoSuchVersion' || (name === 'NotFound' && status === 404)
}

/** True where a server does not know a call. */
export function isUnknownCall(error: unknown): boolean {
  const { name, status } = toldBy(error)
  return (
    status === 501 || status === 405 || name === 'NotImplemented' || name === 'MethodNotAllowed'
  )
}

function adviceFor(told: Told): Advice {
  const known = Object.hasOwn(byName, told.name) ? byName[told.name] : undefined
  if (known !== undefined) return known
  if (/region is missing/iu.test(told.message)) return noRegion
  if (/BadDigest|XAmzContent|ChecksumMismatch|InvalidDigest/u.test(told.name))
    return away('an object was changed on its way. It is tried again')
  const { status } = told
  if (status === undefined) return away('it cannot be reached. It is tried again')
  if (status >= 300 && status < 400) return region
  if (status === 401 || status === 403) return denied
  if (status === 404) return noBucket
  if (status === 429 || status === 503) return busy
  return status >= 500 ? away('it fails. It is tried again') : notTaken
}

function toldBy(error: unknown): Told {
  const fields = Object(error) as {
    name?: unknown
    message?: unknown
    code?: unknown
    Region?: unknown
    $metadata?: { httpStatusCode?: unknown }
    $response?: { headers?: Record<string, unknown> }
  }
  const text = (value: unknown): string | undefined =>
    typeof value === 'string' && value !== '' ? value : undefined
  const status = fields.$metadata?.httpStatusCode
  const region = text(fields.Region) ?? text(fields.$response?.headers?.['x-amz-bucket-region'])
  return {
    name: text(fields.name === 'Error' ? fields.code : fields.name) ?? 'Error',
    message: text(fields.message) ?? text(fields.code) ?? String(error),
    status: typeof status === 'number' ? status : undefined,
    region: region !== undefined && /^[a-z0-9-]+$/u.test(region) ? region : undefined,
  }
}

import { Buffer } from 'node:buffer'
import type { Readable } from 'node:stream'
import type { S3Client } from '@aws-sdk/client-s3'
import { SallyportError } from '@sallyport/core'
import { objectBytesMax } from '../recordings/folder-source.ts'
import { describePlace, type S3Place } from '../recordings/recording-place.ts'
import { isMissingObject, s3Problem } from './s3-problems.ts'

export type Sdk = typeof import('@aws-sdk/client-s3')

/** How long is waited for a bucket. */
export interface S3Limits {
  readonly connectMs: number
  /** Without a byte in either direction. */
  readonly idleMs: number
  /** For an operation with all its tries. */
  readonly operationMs: number
  readonly tries: number
}

/** A segment of 8 MiB gets through in time from 150 kB/s on. The shipper tries again what took longer. */
export const s3LimitsDefault: S3Limits = {
  connectMs: 5000,
  idleMs: 20_000,
  operationMs: 60_000,
  tries: 3,
}

const toInstall = 'npm install @aws-sdk/client-s3'

/** A bucket that is read, with an end to every wait. */
export class S3Bucket {
  readonly where: string
  readonly place: S3Place
  readonly sdk: Sdk
  readonly #client: S3Client
  readonly #limits: S3Limits
  readonly #closed = new AbortController()

  private constructor(sdk: Sdk, place: S3Place, limits: S3Limits) {
    this.sdk = sdk
    this.place = place
    this.where = describePlace({ kind: 's3', ...place })
    this.#limits = limits
    const region = place.region ?? (place.endpoint === undefined ? undefined : 'us-east-1')
    this.#client = new sdk.S3Client({
      ...(region === undefined ? {} : { region }),
      ...(place.endpoint === undefined ? {} : { endpoint: place.endpoint, forcePathStyle: true }),
      maxAttempts: limits.tries,
      // What is sent and read is checked by our own rules; other servers stumble over the SDK's trailers.
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
      requestHandler: {
        connectionTimeout: limits.connectMs,
        socketTimeout: limits.idleMs,
        requestTimeout: limits.operationMs,
        throwOnRequestTimeout: true,
      },
    })
  }

  /** Throws SP_CONFIG_INVALID where the optional package is not installed. Asks the bucket nothing yet. */
  static async open(place: S3Place, limits: S3Limits = s3LimitsDefault): Promise<S3Bucket> {
    let sdk: Sdk
    try {
      sdk = await import('@aws-sdk/client-s3')
    } catch (cause) {
      const detail = `recordings in a bucket need the optional package @aws-sdk/client-s3. Install it: ${toInstall}`
      throw new SallyportError('SP_CONFIG_INVALID', detail, { detail, cause })
    }
    return new S3Bucket(sdk, place, limits)
  }

  /** Undefined where there is no such object. */
  async get(key: string): Promise<Buffer | undefined> {
    const { sdk, place } = this
    let isLast = false
    for (;;) {
      try {
        return await this.ask(async (client, abortSignal) => {
          const input = { Bucket: place.bucket, Key: place.prefix + key }
          const answer = await client.send(new sdk.GetObjectCommand(input), { abortSignal })
          // In Node the body is the answer itself.
          return await whole(answer.Body as Readable, answer.ContentLength, abortSignal)
        })
      } catch (error) {
        if (error instanceof SallyportError && isMissingObject(error.cause)) return undefined
        // The SDK tries again until an answer begins. One that is cut in the middle is asked for once more.
        const isCut = error instanceof SallyportError && error.cause instanceof CutAnswer
        if (!isCut || isLast) throw error
        isLast = true
      }
    }
  }

  /** All keys that begin with `prefix`, in the order of their bytes. */
  async *list(prefix: string): AsyncGenerator<string> {
    const { sdk, place } = this
    let token: string | undefined
    do {
      const page = await this.ask(
        async (client, abortSignal) =>
          await client.send(
            new sdk.ListObjectsV2Command({
              Bucket: place.bucket,
              Prefix: place.prefix + prefix,
              ...(token === undefined ? {} : { ContinuationToken: token }),
            }),
            { abortSignal },
          ),
      )
      for (const { Key } of page.Contents ?? [])
        if (Key?.startsWith(place.prefix) === true) yield Key.slice(place.prefix.length)
      const next = page.IsTruncated === true ? page.NextContinuationToken : undefined
      // A server that gives the same page again and again would be listed for ever.
      if (next !== undefined && next === token)
        throw s3Problem(new Error('its list does not go on'), this.where)
      token = next
    } while (token !== undefined)
  }

  /** One operation, which ends in time, and rejects with what is to be done. */
  async ask<T>(operation: (client: S3Client, signal: AbortSignal) => Promise<T>): Promise<T> {
    const { operationMs } = this.#limits
    const timeout = AbortSignal.timeout(operationMs)
    const signal = AbortSignal.any([this.#closed.signal, timeout])
    try {
      signal.throwIfAborted()
      return await operation(this.#client, signal)
    } catch (error) {
      if (error instanceof RangeError) throw error
      const why = this.#closed.signal.aborted
        ? new Error('the gateway stops')
        : timeout.aborted
          ? new Error(`no answer within ${operationMs / 1000} s`)
          : error
      throw s3Problem(why, this.where)
    }
  }

  /** Ends what is under way; nothing can be asked afterwards. */
  close(): void {
    this.#closed.abort()
    this.#client.destroy()
  }
}

/** An answer that began and did not come to its end. */
class CutAnswer extends Error {}

async function whole(
  body: Readable,
  length: number | undefined,
  signal: AbortSignal,
): Promise<Buffer> {
  const tooLarge = new RangeError('it is larger than an object can be')
  const end = (): void => void body.destroy(new Error('no longer waited for'))
  signal.addEventListener('abort', end, { once: true })
  try {
    if ((length ?? 0) > objectBytesMax) throw tooLarge
    const chunks: Buffer[] = []
    let size = 0
    for await (const chunk of body) {
      const bytes = Buffer.from(chunk as Uint8Array)
      size += bytes.length
      if (size > objectBytesMax) throw tooLarge
      chunks.push(bytes)
    }
    if (length !== undefined && size !== length) throw new Error(`${size} of ${length} bytes came`)
    return Buffer.concat(chunks, size)
  } catch (error) {
    body.destroy()
    if (error === tooLarge) throw error
    throw new CutAnswer(error instanceof Error ? error.message : String(error), { cause: error })
  } finally {
    signal.removeEventListener('abort', end)
  }
}

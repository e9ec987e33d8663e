import type { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import type {
  ListObjectVersionsCommandInput,
  ListObjectVersionsCommandOutput,
} from '@aws-sdk/client-s3'
import { SallyportError } from '@sallyport/core'
import { assertStoreKey, type RecordingStore } from '../ports/recording-store.ts'
import { S3Bucket, type S3Limits } from './s3-bucket.ts'
import type { S3Place } from '../recordings/recording-place.ts'
import { isMissingObject, isUnknownCall, s3Changed } from './s3-problems.ts'

const dayMs = 86_400_000

/** Keeps recordings in a bucket. An object counts as stored when the store itself says that it holds these very bytes. */
export class S3RecordingStore implements RecordingStore {
  readonly #bucket: S3Bucket

  constructor(bucket: S3Bucket) {
    this.#bucket = bucket
  }

  static async open(place: S3Place, limits?: S3Limits): Promise<S3RecordingStore> {
    return new S3RecordingStore(await S3Bucket.open(place, limits))
  }

  get where(): string {
    return this.#bucket.where
  }

  async put(key: string, bytes: Uint8Array): Promise<void> {
    assertStoreKey(key)
    const { sdk, place } = this.#bucket
    const md5 = createHash('md5').update(bytes).digest()
    const sha256 = createHash('sha256').update(bytes).digest('base64')
    const input = {
      ...this.#input(key),
      Body: bytes,
      ContentLength: bytes.length,
      // A server checks one of them or the other before it stores; a bucket with Object Lock asks for one.
      ContentMD5: md5.toString('base64'),
      ChecksumSHA256: sha256,
      ...(place.encryption === undefined ? {} : { ServerSideEncryption: place.encryption }),
      ...(place.kmsKey === undefined ? {} : { SSEKMSKeyId: place.kmsKey }),
      ...(place.lock === undefined
        ? {}
        : {
            ObjectLockMode: place.lock.mode,
            ObjectLockRetainUntilDate: new Date(Date.now() + place.lock.days * dayMs),
          }),
    }
    await this.#bucket.ask(
      async (client, abortSignal) =>
        await client.send(new sdk.PutObjectCommand(input), { abortSignal }),
    )
    await this.#confirm(key, bytes, { sha256, etag: `"${md5.toString('hex')}"` })
  }

  async get(key: string): Promise<Buffer | undefined> {
    assertStoreKey(key)
    return await this.#bucket.get(key)
  }

  list(prefix: string): AsyncIterable<string> {
    return this.#bucket.list(prefix)
  }

  /** In a versioned bucket all versions go: a key that was erased must not be there to be fetched. */
  async remove(key: string): Promise<void> {
    assertStoreKey(key)
    const { sdk } = this.#bucket
    const input = this.#input(key)
    for (const version of await this.#versions(key)) {
      const of = version === undefined ? input : { ...input, VersionId: version }
      await this.#bucket.ask(
        async (client, abortSignal) =>
          await client.send(new sdk.DeleteObjectCommand(of), { abortSignal }),
      )
    }
  }

  close(): void {
    this.#bucket.close()
  }

  /** A store that answers yes and keeps nothing, or something else, is found here and not after an incident. */
  async #confirm(
    key: string,
    bytes: Uint8Array,
    expected: { readonly sha256: string; readonly etag: string },
  ): Promise<void> {
    const { sdk, where } = this.#bucket
    const head = await this.#bucket
      .ask(
        async (client, abortSignal) =>
          await client.send(
            new sdk.HeadObjectCommand({ ...this.#input(key), ChecksumMode: 'ENABLED' }),
            { abortSignal },
          ),
      )
      .catch((error: unknown) => {
        if (error instanceof SallyportError && isMissingObject(error.cause))
          throw s3Changed(where, key, 'is not there')
        throw error
      })
    if (head.ContentLength !== bytes.length)
      throw s3Changed(where, key, `has ${head.ContentLength} instead of ${bytes.length} bytes`)
    // Its own checksum, or the MD5 that the tag of an object is unless it is encrypted with another key.
    if (head.ChecksumSHA256 === expected.sha256 || head.ETag === expected.etag) return
    const there = await this.#bucket.get(key)
    if (there?.equals(bytes) !== true) throw s3Changed(where, key, 'is not what was sent')
  }

  /** Undefined stands for the object itself, where a server has no versions. */
  async #versions(key: string): Promise<readonly (string | undefined)[]> {
    const { sdk, place } = this.#bucket
    const input = { Bucket: place.bucket, Prefix: place.prefix + key }
    const found: (string | undefined)[] = []
    let from: Pick<ListObjectVersionsCommandInput, 'KeyMarker' | 'VersionIdMarker'> = {}
    try {
      for (;;) {
        const asked = { ...input, ...from }
        const page: ListObjectVersionsCommandOutput = await this.#bucket.ask(
          async (client, abortSignal) =>
            await client.send(new sdk.ListObjectVersionsCommand(asked), { abortSignal }),
        )
        for (const { Key, VersionId } of [...(page.Versions ?? []), ...(page.DeleteMarkers ?? [])])
          if (Key === input.Prefix) found.push(VersionId)
        // Names that only begin with this one come behind it.
        if (page.IsTruncated !== true || page.NextKeyMarker !== input.Prefix) return found
        from = { KeyMarker: page.NextKeyMarker, VersionIdMarker: page.NextVersionIdMarker }
      }
    } catch (error) {
      if (error instanceof SallyportError && isUnknownCall(error.cause)) return [undefined]
      throw error
    }
  }

  #input(key: string): { Bucket: string; Key: string } {
    const { bucket, prefix } = this.#bucket.place
    return { Bucket: bucket, Key: prefix + key }
  }
}

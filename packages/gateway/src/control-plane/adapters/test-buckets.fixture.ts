import { S3Client, CreateBucketCommand } from '@aws-sdk/client-s3'
import { startRadosGateway, type RadosGateway } from '@sallyport/testkit'
import type { S3Place } from '../recordings/recording-place.ts'
import type { S3Limits } from './s3-bucket.ts'
import { S3RecordingStore } from './s3-recording-store.ts'

/** Buckets of a real server. Its credentials stand in the environment for as long, where the SDK looks for them. */
export class TestBuckets implements AsyncDisposable {
  readonly server: RadosGateway
  readonly client: S3Client
  readonly #before: readonly (readonly [string, string | undefined])[]
  #count = 0

  private constructor(server: RadosGateway) {
    this.server = server
    const environment = {
      AWS_ACCESS_KEY_ID: server.accessKey,
      AWS_SECRET_ACCESS_KEY: server.secretKey,
      AWS_EC2_METADATA_DISABLED: 'true',
    }
    this.#before = Object.keys(environment).map((name) => [name, process.env[name]])
    Object.assign(process.env, environment)
    const at = { endpoint: server.endpoint, forcePathStyle: true, region: 'us-east-1' }
    this.client = new S3Client(at)
  }

  static async start(): Promise<TestBuckets> {
    return new TestBuckets(await startRadosGateway())
  }

  async make(options: { lock?: boolean } = {}): Promise<string> {
    this.#count += 1
    const Bucket = `recordings-${process.pid}-${this.#count}`
    const ObjectLockEnabledForBucket = options.lock === true
    await this.client.send(new CreateBucketCommand({ Bucket, ObjectLockEnabledForBucket }))
    return Bucket
  }

  /** A store in a bucket of its own. */
  async store(
    place: Partial<S3Place> = {},
    limits: Partial<S3Limits> = {},
  ): Promise<S3RecordingStore> {
    const bucket = place.bucket ?? (await this.make())
    return await S3RecordingStore.open(
      { bucket, prefix: 'some/where/', endpoint: this.server.endpoint, ...place },
      { connectMs: 2000, idleMs: 5000, operationMs: 30_000, tries: 3, ...limits },
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client.destroy()
    await this.server.stop()
    for (const [name, value] of this.#before) {
      if (value === undefined) delete process.env[name]
      else process.env[name] = value
    }
  }
}

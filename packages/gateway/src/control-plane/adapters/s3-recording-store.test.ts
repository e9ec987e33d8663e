import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { after, before, suite, test } from 'node:test'
import {
  GetObjectRetentionCommand,
  HeadObjectCommand,
  ListObjectVersionsCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3'
import { SallyportError, type ErrorCode } from '@sallyport/core'
import { bucketSkipReason, FaultProxy, type Fault } from '@sallyport/testkit'
import { S3Bucket } from './s3-bucket.ts'
import { S3RecordingStore } from './s3-recording-store.ts'
import { TestBuckets } from './test-buckets.fixture.ts'

const key = 'sessions/s_1/0-1-1/00000000.segment'

suite('a bucket that is not as it should be', { skip: bucketSkipReason() }, () => {
  let buckets: TestBuckets
  let proxy: FaultProxy
  before(async () => {
    buckets = await TestBuckets.start()
    proxy = await FaultProxy.before(buckets.server.port)
  })
  after(async () => {
    await proxy[Symbol.asyncDispose]()
    await buckets[Symbol.asyncDispose]()
  })

  /** A store behind the proxy, which waits only so long. */
  const behind = async (operationMs = 20_000, tries = 2): Promise<S3RecordingStore> =>
    await buckets.store({ endpoint: proxy.endpoint }, { operationMs, tries, connectMs: 500 })
  const fails = async (
    work: Promise<unknown>,
    code: ErrorCode,
    says: RegExp,
    what = '',
  ): Promise<void> => {
    await assert.rejects(work, (error: unknown) => {
      assert.ok(error instanceof SallyportError, String(error))
      assert.deepEqual([error.code, says.test(error.message)], [code, true], error.message + what)
      const secrets = new RegExp(`${buckets.server.secretKey}|${buckets.server.accessKey}`)
      assert.doesNotMatch(error.message, secrets)
      return true
    })
  }
  const first = async (store: S3RecordingStore): Promise<unknown> =>
    await store.list('')[Symbol.asyncIterator]().next()
  const answer = (status: number, name: string, more = ''): Fault => {
    const body = `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${name}</Code><Message>said the server</Message>${more}</Error>`
    const head = `HTTP/1.1 ${status} No\r\ncontent-type: application/xml\r\nconnection: close\r\ncontent-length: ${body.length}\r\n\r\n`
    return { kind: 'answer', bytes: head + body }
  }

  test('what the server answers becomes a code and what to do', async () => {
    const store = await behind()
    const answers: readonly [number, string, ErrorCode, RegExp, string?][] = [
      [403, 'RequestTimeTooSkewed', 'SP_RECORDINGS_REFUSED', /clock .* NTP/],
      [403, 'AccessDenied', 'SP_RECORDINGS_REFUSED', /needs s3:PutObject/],
      [400, 'ExpiredToken', 'SP_RECORDINGS_REFUSED', /expired/],
      [503, 'SlowDown', 'SP_RECORDINGS_AWAY', /less often/],
      [500, 'InternalError', 'SP_RECORDINGS_AWAY', /it fails/],
      [404, 'NoSuchBucket', 'SP_RECORDINGS_MISPLACED', /no such bucket/],
      [301, 'PermanentRedirect', 'SP_RECORDINGS_MISPLACED', /another region/],
      [
        400,
        'AuthorizationHeaderMalformed',
        'SP_RECORDINGS_MISPLACED',
        /Say region=eu-central-1/,
        '<Region>eu-central-1</Region>',
      ],
      [400, 'InvalidRequest', 'SP_RECORDINGS_MISPLACED', /does not take what the gateway asks/],
    ]
    for (const [status, name, code, says, more] of answers) {
      await proxy.set(answer(status, name, more))
      await fails(store.put(key, Buffer.from('x')), code, says, name)
      await fails(store.get(key), code, says, name)
      await fails(first(store), code, says, name)
    }
    await proxy.set({ kind: 'none' })
    assert.equal(await store.get(key), undefined)
    store.close()
  })

  test('the real server refuses too: wrong keys, no bucket, no lock', async () => {
    const nowhere = await buckets.store({ bucket: 'there-is-none' })
    await fails(nowhere.put(key, Buffer.from('x')), 'SP_RECORDINGS_MISPLACED', /no such bucket/)
    await fails(nowhere.get(key), 'SP_RECORDINGS_MISPLACED', /no such bucket/)
    const unlocked = await buckets.store({ lock: { mode: 'COMPLIANCE', days: 1 } })
    await fails(
      unlocked.put(key, Buffer.from('x')),
      'SP_RECORDINGS_MISPLACED',
      /must have Object Lock/,
    )
    for (const [name, says] of [
      ['AWS_SECRET_ACCESS_KEY', /does not fit the access key/],
      ['AWS_ACCESS_KEY_ID', /access key is not known/],
    ] as const) {
      const right = process.env[name]
      process.env[name] = 'another'
      const store = await buckets.store({ bucket: await buckets.make().catch(() => 'recordings') })
      await fails(store.put(key, Buffer.from('x')), 'SP_RECORDINGS_REFUSED', says)
      process.env[name] = right
    }
  })

  test('without credentials it says which there can be', async () => {
    const { AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: secret } = process.env
    delete process.env['AWS_ACCESS_KEY_ID']
    delete process.env['AWS_SECRET_ACCESS_KEY']
    try {
      const store = await buckets.store({ bucket: 'recordings' })
      await fails(store.get(key), 'SP_RECORDINGS_REFUSED', /there are no credentials/)
    } finally {
      process.env['AWS_ACCESS_KEY_ID'] = id
      process.env['AWS_SECRET_ACCESS_KEY'] = secret
    }
  })

  test('a server that is away, silent or breaks off is told in time, and is used again afterwards', async () => {
    const bytes = randomBytes(1_000_000)
    const faults: readonly Fault[] = [
      { kind: 'refused' },
      { kind: 'silent' },
      { kind: 'reset', afterBytes: 300_000 },
      { kind: 'answer lost' },
    ]
    for (const fault of faults) {
      const store = await behind(1500)
      await proxy.set(fault)
      await fails(store.put(key, bytes), 'SP_RECORDINGS_AWAY', /./, fault.kind)
      await proxy.set({ kind: 'none' })
      await store.put(key, bytes)
      assert.ok((await store.get(key))?.equals(bytes) === true, fault.kind)
      if (fault.kind !== 'reset') {
        await proxy.set(fault)
        await fails(store.get(key), 'SP_RECORDINGS_AWAY', /./, fault.kind)
        await fails(first(store), 'SP_RECORDINGS_AWAY', /./, fault.kind)
      }
      await proxy.set({ kind: 'none' })
      store.close()
    }
  })

  test('an answer that is lost after the object was stored costs nothing', async () => {
    const store = await behind(20_000, 3)
    await proxy.set({ kind: 'answer lost' })
    const put = store.put(key, Buffer.from('once'))
    while (proxy.met < 1) await new Promise((resolve) => setTimeout(resolve, 5))
    await new Promise((resolve) => setTimeout(resolve, 50))
    await proxy.set({ kind: 'none' })
    await put
    assert.equal((await store.get(key))?.toString(), 'once')
    const keys: string[] = []
    for await (const each of store.list('')) keys.push(each)
    assert.deepEqual(keys, [key])
    store.close()
  })

  test('an answer that is cut is asked for again, and then told', async () => {
    const store = await behind()
    const bytes = randomBytes(500_000)
    await store.put(key, bytes)
    await proxy.set({ kind: 'answer cut', afterBytes: 100_000 })
    await fails(store.get(key), 'SP_RECORDINGS_AWAY', /./)
    await proxy.set({ kind: 'none' })
    assert.ok((await store.get(key))?.equals(bytes) === true)
    store.close()
  })

  test('bytes that change on their way are not stored', async () => {
    const store = await behind()
    await proxy.set({ kind: 'change', from: 'SELECT 1', to: 'SELECT 2' })
    await fails(
      store.put(key, Buffer.from('was SELECT 1 it')),
      'SP_RECORDINGS_AWAY',
      /changed on its way/,
    )
    assert.ok(proxy.met > 0)
    await proxy.set({ kind: 'none' })
    assert.equal(await store.get(key), undefined)
    store.close()
  })

  test('a server that says yes and keeps nothing, or something else, is found', async () => {
    const yes = 'HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n'
    const store = await behind()
    // To the question what it has, it says: an object of no length, which the object put here is not.
    await proxy.set({ kind: 'answer', bytes: `${yes}\r\n` })
    await fails(
      store.put(key, Buffer.from('x')),
      'SP_RECORDINGS_CHANGED',
      /has 0 instead of 1 bytes/,
    )
    // Of the right length, without a word on the contents: then these are read.
    const other = 'HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 1\r\n\r\ny'
    await proxy.set({ kind: 'answer', bytes: other })
    await fails(store.put(key, Buffer.from('x')), 'SP_RECORDINGS_CHANGED', /is not what was sent/)
    await proxy.set({ kind: 'answer', bytes: 'HTTP/1.1 404 No\r\nconnection: close\r\n\r\n' })
    await fails(store.put(key, Buffer.from('x')), 'SP_RECORDINGS_MISPLACED', /no such bucket/)
    await proxy.set({ kind: 'none' })
    store.close()
  })

  test('an object whose tag says nothing, since it is encrypted, is read back', async () => {
    const store = await buckets.store({ encryption: 'aws:kms', kmsKey: buckets.server.kmsKey })
    const bytes = randomBytes(70_000)
    await store.put(key, bytes)
    assert.ok((await store.get(key))?.equals(bytes) === true)
    store.close()
  })

  test('what waits ends when the store is closed, and nothing is asked afterwards', async () => {
    const store = await behind(60_000)
    await proxy.set({ kind: 'silent' })
    const waiting = [store.put(key, randomBytes(10_000)), store.get(key), first(store)]
    const ended = Promise.all(
      waiting.map(async (each) => await fails(each, 'SP_RECORDINGS_AWAY', /the gateway stops/)),
    )
    while (proxy.met < 3) await new Promise((resolve) => setTimeout(resolve, 5))
    store.close()
    await ended
    await fails(store.get(key), 'SP_RECORDINGS_AWAY', /the gateway stops/)
    await proxy.set({ kind: 'none' })
  })

  test('a list that does not go on is told, and not followed for ever', async () => {
    const store = await behind()
    const body =
      '<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken></ListBucketResult>'
    const head = 'HTTP/1.1 200 OK\r\ncontent-type: application/xml\r\nconnection: close\r\n'
    const bytes = `${head}content-length: ${body.length}\r\n\r\n${body}`
    await proxy.set({ kind: 'answer', bytes })
    await fails(first(store), 'SP_RECORDINGS_AWAY', /its list does not go on/)
    await proxy.set({ kind: 'none' })
    store.close()
  })

  test('lists of more than a page are whole', async () => {
    const store = await buckets.store()
    const keys = Array.from(
      { length: 1203 },
      (_, at) => `anchors/${String(at).padStart(10, '0')}.jws`,
    )
    const bucket = store.where.split('/')[2] ?? ''
    for (let at = 0; at < keys.length; at += 50)
      await Promise.all(
        keys.slice(at, at + 50).map(async (each) => {
          const Key = `some/where/${each}`
          await buckets.client.send(new PutObjectCommand({ Bucket: bucket, Key, Body: 'x' }))
        }),
      )
    const found: string[] = []
    for await (const each of store.list('anchors/')) found.push(each)
    assert.deepEqual(found, keys)
    store.close()
  })

  test('objects are encrypted and locked where that is asked for, and a lock holds', async () => {
    const bucket = await buckets.make({ lock: true })
    const lock = { mode: 'COMPLIANCE', days: 3 } as const
    const sealed = { encryption: 'aws:kms', kmsKey: buckets.server.kmsKey } as const
    const store = await buckets.store({ bucket, lock, ...sealed })
    await store.put(key, Buffer.from('kept'))
    await store.put(key, Buffer.from('kept'))
    const at = { Bucket: bucket, Key: `some/where/${key}` }
    const head = await buckets.client.send(new HeadObjectCommand(at))
    assert.equal(head.ServerSideEncryption, 'aws:kms')
    const { Retention } = await buckets.client.send(new GetObjectRetentionCommand(at))
    assert.equal(Retention?.Mode, 'COMPLIANCE')
    const days = (Number(Retention.RetainUntilDate) - Date.now()) / 86_400_000
    assert.ok(days > 2.9 && days < 3.1, `${days} days`)
    await fails(store.remove(key), 'SP_RECORDINGS_REFUSED', /denied/)
    assert.equal((await store.get(key))?.toString(), 'kept')
    store.close()
  })

  test('where there are versions, what is removed is gone in all of them, and only that', async () => {
    const bucket = await buckets.make()
    const Status = 'Enabled' as const
    const VersioningConfiguration = { Status }
    await buckets.client.send(
      new PutBucketVersioningCommand({ Bucket: bucket, VersioningConfiguration }),
    )
    const store = await buckets.store({ bucket })
    for (const text of ['one', 'two', 'three']) await store.put('keys/s_1.key', Buffer.from(text))
    await store.put('keys/s_1.key.not', Buffer.from('other'))
    await store.remove('keys/s_1.key')
    assert.equal(await store.get('keys/s_1.key'), undefined)
    const { Versions = [] } = await buckets.client.send(
      new ListObjectVersionsCommand({ Bucket: bucket }),
    )
    assert.deepEqual(
      Versions.map(({ Key }) => Key),
      ['some/where/keys/s_1.key.not'],
    )
    store.close()
  })
})

test('a bucket of no known region says how to name it', async () => {
  const { AWS_REGION: region, AWS_DEFAULT_REGION: other } = process.env
  delete process.env['AWS_REGION']
  delete process.env['AWS_DEFAULT_REGION']
  const bucket = await S3Bucket.open({ bucket: 'recordings', prefix: '' })
  await assert.rejects(bucket.get('x'), /Say region=/)
  bucket.close()
  if (region !== undefined) process.env['AWS_REGION'] = region
  if (other !== undefined) process.env['AWS_DEFAULT_REGION'] = other
})

test('where the optional package is not installed, the command that installs it is said', () => {
  // A process in which the package can't be found; the rest is as it is.
  const hide = `import { registerHooks } from 'node:module'
    registerHooks({ resolve: (name, context, next) => {
      if (name === '@aws-sdk/client-s3') throw Object.assign(new Error('hidden'), { code: 'ERR_MODULE_NOT_FOUND' })
      return next(name, context)
    } })
    const { S3Bucket } = await import(${JSON.stringify(new URL('s3-bucket.ts', import.meta.url).href)})
    await S3Bucket.open({ bucket: 'recordings', prefix: '' }).catch((error) => console.log(error.code, error.message))`
  const options = ['--conditions=@sallyport/source', '--input-type=module', '-e', hide]
  const said = execFileSync(process.execPath, options, { encoding: 'utf8' })
  assert.match(said, /^SP_CONFIG_INVALID .*npm install @aws-sdk\/client-s3$/m)
})

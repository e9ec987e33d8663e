import assert from 'node:assert/strict'
import { test } from 'node:test'
import { describePlace, parseRecordingPlace } from './recording-place.ts'

test('a folder and a bucket with all that can be said of it are read', () => {
  assert.deepEqual(parseRecordingPlace('/var/lib/recordings'), {
    kind: 'folder',
    dir: '/var/lib/recordings',
  })
  const bucket = { kind: 's3', bucket: 'my-bucket', prefix: '' }
  for (const text of ['s3://my-bucket', 's3://my-bucket/'])
    assert.deepEqual(parseRecordingPlace(text), bucket)
  const whole =
    's3://my-bucket/prod/eu?endpoint=https://s3.example.com:9000&region=eu-central-1&sse=aws:kms&kms-key=arn:1&lock=compliance&lock-days=365'
  assert.deepEqual(parseRecordingPlace(whole), {
    ...bucket,
    prefix: 'prod/eu/',
    endpoint: 'https://s3.example.com:9000',
    region: 'eu-central-1',
    encryption: 'aws:kms',
    kmsKey: 'arn:1',
    lock: { mode: 'COMPLIANCE', days: 365 },
  })
  assert.equal(
    describePlace(parseRecordingPlace(whole)),
    's3://my-bucket/prod/eu/ at https://s3.example.com:9000',
  )
})

test('what is not understood is refused, and no password is repeated', () => {
  for (const [text, says] of [
    ['https://bucket/x', /no address such as s3:/],
    ['s3://', /no name of a bucket/],
    ['s3://UPPER', /no name of a bucket/],
    ['s3://me:secret@bucket/x', /no address such as s3:/],
    ['s3://bucket/a/../b', /prefix/],
    ['s3://bucket//b', /prefix/],
    ['s3://bucket/x?acl=public', /"acl" is no setting/],
    ['s3://bucket/x?region=a&region=b', /said twice/],
    ['s3://bucket/x?region=EU west', /no region/],
    ['s3://bucket/x?endpoint=ftp://x', /without TLS/],
    ['s3://bucket/x?endpoint=http://s3.example.com', /without TLS only servers of this machine/],
    ['s3://bucket/x?endpoint=https://me:secret@s3.example.com', /without credentials/],
    ['s3://bucket/x?endpoint=https://s3.example.com/path', /an address such as/],
    ['s3://bucket/x?sse=des', /sse takes/],
    ['s3://bucket/x?kms-key=a', /goes with sse/],
    ['s3://bucket/x?lock=compliance', /lock-days/],
    ['s3://bucket/x?lock=legal&lock-days=1', /governance or compliance/],
    ['s3://bucket/x?lock-days=1', /governance or compliance/],
    ['s3://bucket/x?lock=governance&lock-days=0', /from 1/],
  ] as const) {
    assert.throws(
      () => parseRecordingPlace(text),
      (error: Error & { code?: string }) => {
        assert.deepEqual([error.code, says.test(error.message)], ['SP_CONFIG_INVALID', true], text)
        assert.doesNotMatch(error.message, /secret/)
        return true
      },
      text,
    )
  }
})

test('servers of this machine may be spoken to without TLS', () => {
  for (const host of ['localhost', '127.0.0.1', '[::1]'])
    parseRecordingPlace(`s3://bucket/x?endpoint=http://${host}:9000`)
  for (const host of ['127.evil.example', '10.0.0.1', 'localhost.evil.example'])
    assert.throws(() => parseRecordingPlace(`s3://bucket/x?endpoint=http://${host}`))
})

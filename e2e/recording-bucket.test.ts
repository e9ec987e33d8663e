import assert from 'node:assert/strict'
import { execFile, spawnSync } from 'node:child_process'
import { mkdir, mkdtempDisposable, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { after, before, suite, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { startGateway } from '@sallyport/gateway'
import { bucketSkipReason, FaultProxy, skipReason, until } from '@sallyport/testkit'
import { TestBuckets } from '../packages/gateway/src/control-plane/adapters/test-buckets.fixture.ts'
import { readRecordings } from '../packages/gateway/src/control-plane/recordings/recordings.ts'
import { connect, psql } from './hardship.ts'
import { startTestGateway, type TestGateway } from './test-gateway.ts'

const cli = fileURLToPath(new URL('../packages/cli/bin/sallyport.mjs', import.meta.url))

suite('recordings in a bucket', { skip: skipReason() || bucketSkipReason() }, () => {
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

  const place = async (): Promise<string> =>
    `s3://${await buckets.make()}/prod/eu?endpoint=${proxy.endpoint}`
  const sallyport = async (...args: string[]): Promise<{ code: number | null; text: string }> =>
    await new Promise((resolve) => {
      const child = execFile(process.execPath, [cli, ...args], (_, stdout, stderr) =>
        resolve({ code: child.exitCode, text: stdout + stderr }),
      )
    })
  const shipping = async (gateway: TestGateway) => (await gateway.gateway.status()).shipping
  const keysOf = async (gateway: TestGateway, prefix: string): Promise<string[]> => {
    const keys: string[] = []
    for await (const key of gateway.gateway.recorded.recordings.list(prefix)) keys.push(key)
    return keys
  }
  const seals = async (gateway: TestGateway): Promise<number> =>
    (await keysOf(gateway, 'sessions/')).filter((key) => key.endsWith('seal.jws')).length
  const commandsOf = async (gateway: TestGateway): Promise<string[]> => {
    const texts: string[] = []
    for await (const item of readRecordings(gateway.gateway.recorded)) {
      assert.notEqual(item.kind, 'problem', JSON.stringify(item))
      if (item.kind === 'entry' && item.entry.kind === 'command')
        texts.push(Buffer.from(item.entry.text).toString())
    }
    return texts
  }

  test('a session of psql is in the bucket, and is listed, exported and verified from there', async () => {
    const recordings = await place()
    await using gateway = await startTestGateway({ recordings })
    const ran = await psql(await gateway.url(), '-c', "select 'marker-4711'")
    assert.equal(ran.out.trim(), 'marker-4711', ran.err)
    await until('the session is sealed', async () => (await seals(gateway)) === 1)
    assert.ok(!(await readdir(gateway.dataDir)).includes('recordings'), 'nothing is kept here')
    assert.match((await shipping(gateway)).where, /^s3:\/\/recordings-.*\/prod\/eu\/ at http/)
    const data = ['--data', gateway.dataDir]
    const [session = ''] = (await keysOf(gateway, 'sessions/')).map((key) => key.split('/')[1])
    const listed = await sallyport('sessions', ...data)
    assert.ok(listed.text.includes(session), listed.text)
    assert.match((await sallyport('replay', session, ...data)).text, /select 'marker-4711'/)
    await using dir = await mkdtempDisposable(join(tmpdir(), 'sallyport-export-'))
    const zip = join(dir.path, 'evidence.zip')
    assert.equal((await sallyport('export', session, '--file', zip, ...data)).code, 0)
    for (const what of [[zip], [], [session], [recordings]]) {
      const verified = await sallyport('verify', ...what, ...data)
      assert.equal(verified.code, 0, verified.text)
      assert.match(verified.text, /"unopened":0.*"findings":\[\]/, verified.text)
    }
    const strange = await sallyport('verify', recordings, '--data', dir.path)
    assert.match(strange.text, /"unopened":[12]/, 'without the recording key')
    const none = await sallyport('verify', recordings.replace('prod', 'test'), ...data)
    assert.deepEqual([none.code, /holds no recordings/.test(none.text)], [2, true], none.text)
  })

  test('a store that was left behind is not taken for an empty one', async () => {
    const recordings = await place()
    await using gateway = await startTestGateway({ recordings })
    await psql(await gateway.url(), '-c', 'select 1')
    await until('the session is sealed', async () => (await seals(gateway)) === 1)
    await gateway.gateway.stop(0)
    const again = async (where?: string) => {
      const ports = { api: 0, postgres: 0 }
      const rest = { ports, host: '127.0.0.1', workers: 1, durability: 'process' } as const
      const place = where === undefined ? {} : { recordings: where }
      const onEvent = (): void => undefined
      const options = { dataDir: gateway.dataDir, demo: false, onEvent, ...rest, ...place }
      const started = await startGateway(options)
      await started.stop(0)
    }
    const left = { code: 'SP_CONFIG_INVALID', message: /were kept in s3:.* does not hold them/ }
    await assert.rejects(again(), left)
    await assert.rejects(again(await place()), left)
    await again(`${recordings}&region=us-east-1`)
  })

  test('while the bucket is away nobody waits for it, it is told, and nothing is lost', async () => {
    await using gateway = await startTestGateway({ recordings: await place() })
    const ran: string[] = []
    let isOver = false
    const caller = async (name: string): Promise<void> => {
      for (let session = 0; !isOver; session += 1) {
        const client = await connect(gateway)
        for (let at = 0; at < 10; at += 1) {
          const text = `select '${name} ${session} ${at}'`
          await client.query(text)
          ran.push(text)
        }
        await client.end()
        await sleep(400)
      }
    }
    const callers = Promise.all(['a', 'b'].map(caller))
    callers.catch(() => undefined)
    await until('something is shipped', async () => (await seals(gateway)) > 0)
    for (const fault of [
      { kind: 'refused' },
      { kind: 'answer', bytes: 'HTTP/1.1 503 Slow Down\r\nconnection: close\r\n\r\n' },
      { kind: 'reset', afterBytes: 2000 },
    ] as const) {
      await proxy.set(fault)
      const before = ran.length
      const told = await until('it is told', async () => (await shipping(gateway)).problem)
      assert.match(told, /It is tried again/)
      await until('callers go on', () => ran.length > before + 20)
      await proxy.set({ kind: 'none' })
      await until('it is well again', async () => (await shipping(gateway)).problem === undefined)
    }
    isOver = true
    await callers
    // The ledger stays open.
    await until('all is sealed', async () => (await shipping(gateway)).parts <= 1)
    const recorded = await commandsOf(gateway)
    assert.deepEqual(
      recorded.filter((text) => /^select '[ab] /.test(text)).toSorted(),
      ran.toSorted(),
    )
    const verified = await sallyport('verify', '--data', gateway.dataDir)
    assert.match(verified.text, /"findings":\[\]/)
  })

  /** Runs commands until one is refused for want of a record, then lets the store come back, and runs them again. */
  const fillAndRecover = async (gateway: TestGateway): Promise<void> => {
    await proxy.set({ kind: 'refused' })
    const refused = { code: '58030' }
    const fill = async (): Promise<void> => {
      for (let session = 0; session < 200; session += 1) {
        const client = await connect(gateway)
        for (let at = 0; at < 5; at += 1)
          await client.query("select string_agg(md5(i::text), '') from generate_series(1, 3000) i")
        await client.end()
      }
    }
    await assert.rejects(fill(), (error: unknown) => {
      assert.match(String(error), /could not be recorded/)
      assert.equal(Object(error).code, refused.code)
      return true
    })
    await assert.rejects(connect(gateway), /could not be recorded/)
    await proxy.set({ kind: 'none' })
    await until('commands run again', async () => {
      const client = await connect(gateway).catch(() => undefined)
      const answer = await client?.query("select 'back again'").catch(() => undefined)
      await client?.end()
      return answer !== undefined
    })
    // The ledger stays open.
    await until('all is sealed', async () => (await shipping(gateway)).parts <= 1)
    assert.ok((await commandsOf(gateway)).includes("select 'back again'"))
  }

  test('journals that reach their maximum while it is away refuse commands, and recover by themselves', async () => {
    const journal = { maxBytes: 4 * 1024 * 1024, minFreeBytes: 0 }
    await using gateway = await startTestGateway({ recordings: await place(), journal })
    await fillAndRecover(gateway)
    const use = (await gateway.gateway.status()).journal
    assert.ok(use.bytes < use.maxBytes && use.maxBytes === journal.maxBytes, JSON.stringify(use))
  })

  test('a disk that fills while it is away refuses commands, and recovers by itself', async (context) => {
    const journal = { maxBytes: 2 ** 33, minFreeBytes: 1024 * 1024 }
    let isMounted = false
    let folder = ''
    const prepare = async (dataDir: string): Promise<void> => {
      folder = join(dataDir, 'journal')
      await mkdir(folder)
      const args = ['-t', 'tmpfs', '-o', 'size=8m', 'none', folder]
      isMounted = spawnSync('mount', args).status === 0
    }
    const gateway = await startTestGateway({ recordings: await place(), journal, prepare })
    context.after(async () => {
      await gateway.gateway.stop(0)
      if (isMounted) spawnSync('umount', [folder])
      await gateway[Symbol.asyncDispose]()
      await rm(gateway.dataDir, { recursive: true, force: true })
    })
    // Where nothing can be mounted, the tests of the journal alone have a disk that is full.
    if (!isMounted) return context.diagnostic('no disk of its own: mount is not permitted')
    await fillAndRecover(gateway)
  })
})

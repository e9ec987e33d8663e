import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { storeKeys, tellVerification, verifyRecordings, type Verification } from '@sallyport/core'
import { DirectoryRecordingStore } from '../../adapters/directory-recording-store.ts'
import { openPgliteStore } from '../../adapters/pglite-store.ts'
import type { RecordingStore } from '../../ports/recording-store.ts'
import type { Store } from '../../ports/store.ts'
import { sessionKeyOf } from '../recordings.ts'
import { JournalWriter, recordingKey, ShippingRig } from '../shipping/shipping.fixture.ts'
import { AnchorCopier } from './anchor-copier.ts'
import { openAnchorCopy, openAnchorSink, type AnchorSink } from './anchor-place.ts'

suite('copies of anchors', () => {
  let store: Store
  let dir: string
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'sallyport-copies-'))
    store = await openPgliteStore(join(dir, 'db'))
  })
  after(async () => {
    await store.close()
    await rm(dir, { recursive: true, force: true })
  })

  /** A store that grows by an anchor for each session, and a copier that is asked by hand. */
  const scene = async (sink: AnchorSink) => {
    const rig = await ShippingRig.make(store)
    const writer = new JournalWriter(rig.journalDir)
    await writer.newRun()
    const faults: string[] = []
    let next = 0
    const copier = (): AnchorCopier =>
      new AnchorCopier({
        sink,
        store: rig.recordings,
        newest: () => rig.lastAnchor?.number,
        memory: {
          load: async () => await Promise.resolve(next),
          save: async (to) => {
            next = await Promise.resolve(to)
          },
        },
        onFault: (error) => faults.push(String(error)),
      })
    const record = async (...sessions: string[]): Promise<void> => {
      for (const session of sessions) {
        await writer.open(session)
        await writer.close(session)
        await rig.round()
      }
    }
    return { rig, copier, record, faults }
  }
  const folder = async (): Promise<DirectoryRecordingStore> =>
    new DirectoryRecordingStore(await mkdtemp(join(dir, 'copy-')))
  const keysOf = async (of: RecordingStore, prefix = ''): Promise<string[]> => {
    const keys: string[] = []
    for await (const key of of.list(prefix)) keys.push(key)
    return keys
  }
  const verify = async (of: RecordingStore, copy: RecordingStore): Promise<Verification> => {
    const keyOf = async (session: string) => await sessionKeyOf(of, recordingKey, session)
    const copies = [{ where: 'elsewhere', source: copy }]
    return await verifyRecordings({ source: of, keyOf, copies })
  }
  const said = ({ findings }: Verification): string =>
    findings.map(({ where, what }) => `${where}: ${what}`).join('\n')

  test('all anchors are copied in order with the keys that prove them, over restarts and a change of keys', async () => {
    const copy = await folder()
    const puts: string[] = []
    const sink = {
      where: copy.where,
      close: () => undefined,
      put: async (key: string, bytes: Uint8Array) => {
        puts.push(key)
        await copy.put(key, bytes)
      },
    }
    const { rig, copier, record, faults } = await scene(sink)
    await using _rig = rig
    const first = copier()
    await record('s_a', 's_b')
    await first.round()
    await first.round()
    await record('s_c')
    await (await rig.round()).rotateKey(async () => await Promise.resolve())
    await record('s_d')
    const second = copier()
    await second.round()
    assert.deepEqual(faults, [])
    assert.deepEqual([first.status().behind, second.status().behind], [2, 0])
    assert.deepEqual(
      puts.filter((key) => key.startsWith(storeKeys.anchors)),
      [0, 1, 2, 3].map(storeKeys.anchor),
    )
    const change = puts.findIndex((key) => key.startsWith(storeKeys.keyChanges))
    assert.ok(change > 0 && change < puts.indexOf(storeKeys.anchor(3)))
    const result = await verify(rig.recordings, copy)
    assert.equal(said(result), '')
    assert.match(tellVerification(result).join('\n'), /Anchors 0 to 3 are the same in elsewhere\./)
  })

  test('a place that is away holds up nothing, is told once, and gets all in order afterwards', async () => {
    const copy = await folder()
    const away = { isAway: true }
    const sink = {
      where: copy.where,
      close: () => undefined,
      put: async (key: string, bytes: Uint8Array) => {
        if (away.isAway) throw new Error('nobody is there')
        await copy.put(key, bytes)
      },
    }
    const { rig, copier, record, faults } = await scene(sink)
    await using _rig = rig
    const one = copier()
    await record('s_a')
    await one.round()
    await record('s_b', 's_c')
    await one.round()
    assert.deepEqual(one.status(), {
      where: copy.where,
      behind: 3,
      missing: [],
      problem: 'nobody is there',
    })
    assert.deepEqual(faults, ['Error: anchors are not copied: nobody is there'])
    const notYet = await verify(rig.recordings, await folder())
    assert.match(said(notYet), /it holds no anchors to compare with/)
    away.isAway = false
    await one.round()
    assert.equal(one.status().problem, undefined)
    assert.deepEqual((await keysOf(copy, storeKeys.anchors)).length, 3)
  })

  test('an anchor that was taken away before it was copied is told, and stops none behind it', async () => {
    const copy = await folder()
    const { rig, copier, record, faults } = await scene(copy)
    await using _rig = rig
    await record('s_a', 's_b', 's_c')
    await rig.recordings.remove(storeKeys.anchor(1))
    const one = copier()
    await one.round()
    assert.deepEqual(one.status().missing, [1])
    assert.match(faults.join(), /anchor 1 is gone/)
    assert.deepEqual(await keysOf(copy, storeKeys.anchors), [0, 2].map(storeKeys.anchor))
  })

  test('a store that was wiped and made anew, even with our own key, is found', async () => {
    const copy = await folder()
    const { rig, copier, record } = await scene(copy)
    await using _rig = rig
    await record('s_a', 's_b', 's_c')
    await copier().round()
    // Somebody has the disk: he keeps the signing key, and lets the gateway write another past.
    const { dir: stolen } = rig
    for (const key of await keysOf(rig.recordings)) await rig.recordings.remove(key)
    await using forger = await ShippingRig.make(store)
    const { copyFile } = await import('node:fs/promises')
    await copyFile(join(stolen, 'signing.key'), join(forger.dir, 'signing.key'))
    const writer = new JournalWriter(forger.journalDir)
    await writer.newRun()
    await writer.open('s_a')
    await writer.close('s_a')
    await forger.round()
    const alone = await verifyRecordings({
      source: forger.recordings,
      keyOf: async (session) => await sessionKeyOf(forger.recordings, recordingKey, session),
    })
    assert.equal(said(alone), '', 'nothing in it tells')
    const found = said(await verify(forger.recordings, copy))
    assert.match(found, /0000000000\.jws: it is another one than its copy in elsewhere/)
    assert.match(found, /0000000001\.jws: it is missing here, and stands in elsewhere/)
    assert.match(found, /0000000002\.jws: it is missing here/)
    // The same with a key of his own: the copies say by whom they are signed.
    await using stranger = await ShippingRig.make(store)
    const other = new JournalWriter(stranger.journalDir)
    await other.newRun()
    await other.open('s_a')
    await other.close('s_a')
    await stranger.round()
    assert.match(said(await verify(stranger.recordings, copy)), /nothing leads there from/)
  })

  test('newest anchors that were cut off are missed, and those that are not copied yet are told', async () => {
    const copy = await folder()
    const { rig, copier, record } = await scene(copy)
    await using _rig = rig
    await record('s_a', 's_b')
    await copier().round()
    await record('s_c')
    const { notes, findings } = await verify(rig.recordings, copy)
    assert.deepEqual(findings, [])
    assert.ok(notes.includes('Anchors 2 to 2 are not in elsewhere yet.'), notes.join('\n'))
    for (const key of await keysOf(rig.recordings))
      if (/s_b|s_c/.test(key)) await rig.recordings.remove(key)
    for (const number of [1, 2]) await rig.recordings.remove(storeKeys.anchor(number))
    assert.match(said(await verify(rig.recordings, copy)), /0000000001\.jws: it is missing here/)
  })

  test('a copy that was changed is found as one', async () => {
    const copy = await folder()
    const { rig, copier, record } = await scene(copy)
    await using _rig = rig
    await record('s_a', 's_b')
    await copier().round()
    const bytes = (await copy.get(storeKeys.anchor(0))) ?? Buffer.alloc(0)
    bytes.writeUInt8(bytes.readUInt8(60) ^ 1, 60)
    await copy.put(storeKeys.anchor(0), bytes)
    assert.match(said(await verify(rig.recordings, copy)), /of its copy in elsewhere: /)
  })

  test('a copier of a store that was made anew takes no copies away, and says so', async () => {
    const place = await mkdtemp(join(dir, 'kept-'))
    const first = await scene(await openAnchorSink(place))
    await using _first = first.rig
    await first.record('s_a', 's_b')
    await first.copier().round()
    const before = await openAnchorCopy(place).then(
      async ({ source }) => await source.get(storeKeys.anchor(0)),
    )
    const second = await scene(await openAnchorSink(place))
    await using _second = second.rig
    await second.record('s_a')
    const one = second.copier()
    await one.round()
    assert.match(
      one.status().problem ?? '',
      /holds another anchors\/0000000000\.jws: these are copies of/,
    )
    const { source } = await openAnchorCopy(place)
    assert.deepEqual(await source.get(storeKeys.anchor(0)), before)
    // The same again is no trouble: a crash may have come before it was noted.
    const again = first.copier()
    await again.round()
    assert.equal(again.status().problem, undefined)
  })

  suite('by a webhook', () => {
    let server: Server
    let status = 204
    const got: { key: string; type: string; body: string }[] = []
    before(async () => {
      server = createServer((request, response) => {
        if (status === 0) return
        let body = ''
        request.on('data', (chunk: Buffer) => (body += chunk.toString()))
        request.on('end', () => {
          const { 'sallyport-object': key = '', 'content-type': type = '' } = request.headers
          if (status < 300) got.push({ key: String(key), type, body })
          response.writeHead(status, { location: 'http://127.0.0.1:1/elsewhere' }).end()
        })
      })
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
    })
    after(() => {
      server.closeAllConnections()
      server.close()
    })
    const url = (): string =>
      `http://127.0.0.1:${(server.address() as AddressInfo).port}/secret-path`

    test('each anchor is posted as it is signed, after its keys, and what is refused comes again', async () => {
      const sink = await openAnchorSink(url())
      const { rig, copier, record } = await scene(sink)
      await using _rig = rig
      await record('s_a', 's_b')
      const one = copier()
      for (const bad of [500, 403, 302]) {
        status = bad
        await one.round()
        assert.match(one.status().problem ?? '', bad === 302 ? /redirect/ : new RegExp(`${bad}`))
        assert.doesNotMatch(one.status().problem ?? '', /secret-path/)
      }
      assert.doesNotMatch(one.status().where, /secret-path/)
      status = 204
      await one.round()
      assert.equal(one.status().problem, undefined)
      const [key, ...anchors] = got
      assert.deepEqual(
        [key?.type, key?.key.split('/')[0]],
        ['application/x-pem-file', 'signing-keys'],
      )
      assert.deepEqual(
        anchors.map((each) => [each.type, each.key]),
        [0, 1].map((number) => ['application/jose', storeKeys.anchor(number)]),
      )
      // What a receiver keeps under these names is a place to verify with.
      const kept = await folder()
      for (const { key: name, body } of got) await kept.put(name, Buffer.from(body))
      assert.equal(said(await verify(rig.recordings, kept)), '')
    })

    test('one that never answers holds up no stop', async () => {
      const sink = await openAnchorSink(url())
      const { rig, copier, record } = await scene(sink)
      await using _rig = rig
      await record('s_a')
      status = 0
      const one = copier()
      one.start()
      await one.stop()
      assert.equal(one.status().behind, 1)
      status = 204
    })
  })

  test('addresses that would give anchors away, or are none, are refused', async () => {
    for (const text of ['http://example.com/x', 'https://me:secret@example.com/', 'ftp://x/'])
      await assert.rejects(openAnchorSink(text), { code: 'SP_CONFIG_INVALID' })
  })
})

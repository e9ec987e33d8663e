import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { storeKeys, tellVerification, verifyRecordings, type Verification } from '@sallyport/core'
import { openPgliteStore } from '../adapters/pglite-store.ts'
import { KeyRing } from '../keys/key-ring.ts'
import { signingKeyOf, type SigningKey } from '../keys/signing-key.ts'
import type { Store } from '../ports/store.ts'
import { sessionKeyOf } from './recordings.ts'
import { JournalWriter, recordingKey, ShippingRig } from './shipping/shipping.fixture.ts'

type Objects = Map<string, Buffer>

suite('signing keys that follow each other', () => {
  let store: Store
  let dir: string
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'sallyport-keys-'))
    store = await openPgliteStore(dir)
  })
  after(async () => {
    await store.close()
    await rm(dir, { recursive: true, force: true })
  })

  const silent = async (): Promise<void> => await Promise.resolve()
  /** A session of its own, whole in the store. */
  const record = async (rig: ShippingRig, writer: JournalWriter, session: string) => {
    await writer.open(session)
    await writer.close(session)
    await rig.round()
  }
  const objectsOf = async (rig: ShippingRig): Promise<Objects> => {
    const objects: Objects = new Map()
    for await (const key of rig.recordings.list(''))
      objects.set(key, (await rig.recordings.get(key)) ?? Buffer.alloc(0))
    return objects
  }
  const verify = async (
    objects: Objects,
    signedBy: readonly string[] = [],
  ): Promise<Verification> => {
    const source = {
      get: async (key: string) => await Promise.resolve(objects.get(key)),
      async *list(prefix: string) {
        for (const key of [...objects.keys()].toSorted()) if (key.startsWith(prefix)) yield key
      },
    }
    const rest = { where: '', put: async () => {}, remove: async () => {}, close: () => {} }
    const keyOf = async (session: string) =>
      await sessionKeyOf({ ...source, ...rest }, recordingKey, session)
    return await verifyRecordings({ source, keyOf, signedBy })
  }
  const said = ({ findings }: Verification): string =>
    findings.map(({ where, what }) => `${where}: ${what}`).join('\n')

  /** Three sessions, signed by three keys in turn. Private halves, which a node forgets, are kept here for the attacks. */
  const turned = async () => {
    await using rig = await ShippingRig.make(store)
    const writer = new JournalWriter(rig.journalDir)
    await writer.newRun()
    const keys: SigningKey[] = []
    const noteKey = async () => {
      const pem = await readFile(join(rig.dir, 'signing.key'), 'utf8')
      keys.push(await signingKeyOf(pem, ''))
    }
    await record(rig, writer, 's_a')
    await noteKey()
    for (const session of ['s_b', 's_c']) {
      await (await rig.round()).rotateKey(silent)
      await noteKey()
      await record(rig, writer, session)
    }
    assert.deepEqual(rig.faults, [])
    return { objects: await objectsOf(rig), keys, ids: keys.map(({ id }) => id) }
  }
  const claims = (jws: Buffer): { number?: number } =>
    Object(JSON.parse(Buffer.from(jws.toString().split('.')[1] ?? '', 'base64url').toString()))

  test('what older keys signed still verifies, by whichever of the keys is known', async () => {
    const { objects, ids } = await turned()
    for (const expected of [[], ...ids.map((id) => [id]), ids]) {
      const result = await verify(objects, expected)
      assert.equal(said(result), '', expected.join())
      assert.deepEqual([...result.signedBy].toSorted(), ids.toSorted())
    }
    const [first = ''] = ids
    assert.deepEqual((await verify(objects)).trusted, { keys: [first], isExpected: false })
    assert.match(
      tellVerification(await verify(objects)).join('\n'),
      new RegExp(
        `Trusted: ${first}, only since it signed first\\..*"keys"[^]*these keys are its own`,
      ),
    )
    const told = tellVerification(await verify(objects, [ids[2] ?? ''])).join('\n')
    assert.match(told, new RegExp(`Trusted: ${ids[2]}, as expected`))
    assert.doesNotMatch(told, /these keys are its own/)
  })

  test('who makes everything anew with a key of his own is found by whoever knows one of ours', async () => {
    const { objects, ids } = await turned()
    await using other = await ShippingRig.make(store)
    const writer = new JournalWriter(other.journalDir)
    await writer.newRun()
    await record(other, writer, 's_a')
    const forged = await objectsOf(other)
    assert.equal(said(await verify(forged)), '', 'nothing tells that it is another one')
    for (const id of ids)
      assert.match(said(await verify(forged, [id])), new RegExp(`nothing leads there from ${id}`))
    // Nor does it help to lay our keys and changes beside it.
    for (const [key, bytes] of objects)
      if (/^(?:signing-keys|key-changes)/.test(key)) forged.set(key, bytes)
    for (const id of ids) assert.match(said(await verify(forged, [id])), /nothing leads there/)
  })

  test('an old key signs nothing any more, whoever has it', async () => {
    const { objects, keys, ids } = await turned()
    const [old] = keys
    const newest = storeKeys.anchor(2)
    const forged = new Map(objects)
    const bytes = Buffer.from(
      (await old?.sign(claims(objects.get(newest) ?? Buffer.alloc(0)))) ?? '',
    )
    forged.set(newest, bytes)
    assert.match(said(await verify(forged)), /which was followed by .* from anchor 1 on/)
    // He can't lead the chain to a key of his own either: it has been led on.
    const mine = (await KeyRing.open(await mkdtemp(join(dir, 'mine-')))).current
    const payload = { type: 'sallyport.key.1', from: old?.id, to: mine.id, anchor: 1, at: '' }
    const change = Buffer.from(`${await old?.sign(payload)}\n${await mine.sign(payload)}`)
    const led = new Map(objects)
    led.set(storeKeys.publicKey(mine.id), Buffer.from(mine.publicKey))
    led.set(storeKeys.keyChange(mine.id), change)
    assert.match(said(await verify(led)), /was followed by .*, and here by|was followed by/)
    // Without the change to ours, who knows our newest key finds that nothing leads to it.
    led.delete(storeKeys.keyChange(ids[1] ?? ''))
    assert.match(said(await verify(led, [ids[2] ?? ''])), /nothing leads there from/)
  })

  test('anchors that were cut off behind a change of keys are missed', async () => {
    const { objects } = await turned()
    const cut = new Map(objects)
    for (const key of objects.keys()) if (/s_c|s_b/.test(key)) cut.delete(key)
    for (const number of [1, 2]) cut.delete(storeKeys.anchor(number))
    assert.match(said(await verify(cut)), /made before anchor 2, and those from 1 on are missing/)
  })

  test('a change that is missing, or in which any byte is changed, is found', async () => {
    const { objects, ids } = await turned()
    const key = storeKeys.keyChange(ids[1] ?? '')
    const gone = new Map(objects)
    gone.delete(key)
    assert.match(said(await verify(gone)), /nothing leads there from/)
    const bytes = objects.get(key) ?? Buffer.alloc(0)
    assert.ok(bytes.length > 500)
    for (let at = 0; at < bytes.length; at += 1) {
      const flipped = Buffer.from(bytes)
      flipped.writeUInt8(flipped.readUInt8(at) ^ (1 << (at % 8)), at)
      assert.notEqual(said(await verify(new Map(objects).set(key, flipped))), '', `byte ${at}`)
    }
  })

  test('a crash at any moment of a change leaves one key that signs, and all of it verifies', async () => {
    for (const stage of ['before', 'change written', 'key written'] as const) {
      await using rig = await ShippingRig.make(store)
      const writer = new JournalWriter(rig.journalDir)
      await writer.newRun()
      await record(rig, writer, 's_a')
      const old = await readFile(join(rig.dir, 'signing.key'))
      const refuse = async (): Promise<void> => await Promise.reject(new Error('no'))
      const rotated = (await rig.round()).rotateKey(stage === 'before' ? refuse : silent)
      if (stage === 'before') await assert.rejects(rotated, /no/)
      else await rotated
      // What was written last is not there.
      if (stage === 'change written') await writeFile(join(rig.dir, 'signing.key'), old)
      rig.restart()
      await record(rig, writer, 's_b')
      await (await rig.round()).rotateKey(silent)
      await record(rig, writer, 's_c')
      const result = await verify(await objectsOf(rig))
      assert.equal(said(result), '', stage)
      assert.equal(result.signedBy.length, stage === 'key written' ? 3 : 2)
      const left = await readdir(join(rig.dir, 'key-changes'))
      assert.ok(left.every((name) => name.endsWith('.jws')))
      assert.deepEqual(rig.faults, [])
    }
  })
})

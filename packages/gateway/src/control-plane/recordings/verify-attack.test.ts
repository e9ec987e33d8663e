import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { crc32, deflateRawSync, zstdCompressSync } from 'node:zlib'
import {
  parseSegment,
  sealSegment,
  storeKeys,
  tellVerification,
  verifyRecordings,
  type Verification,
} from '@sallyport/core'
import { zipSync } from 'fflate'
import { openPgliteStore } from '../adapters/pglite-store.ts'
import { loadSigningKey, type SigningKey } from '../keys/signing-key.ts'
import type { Store } from '../ports/store.ts'
import { verifyPlace } from './export/verify-place.ts'
import { sessionKeyOf } from './recordings.ts'
import { JournalWriter, recordingKey, ShippingRig } from './shipping/shipping.fixture.ts'

type Objects = Map<string, Buffer>

const part = '0-1-1'
const segment = (index: number): string => storeKeys.segment('s_one', part, index)

/** Somebody who can write the store or an export, has the keys that an export holds, and not the node's signing key. */
suite('who tampers with recordings', () => {
  let store: Store
  let dir: string
  let whole: Objects
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'sallyport-tamper-'))
    store = await openPgliteStore(join(dir, 'db'))
    whole = await recorded()
  })
  after(async () => {
    await store.close()
    await rm(dir, { recursive: true, force: true })
  })

  /** A session that ended, and one that is open. */
  async function recorded(): Promise<Objects> {
    await using rig = await ShippingRig.make(store)
    const writer = new JournalWriter(rig.journalDir)
    await writer.newRun()
    await writer.open('s_one')
    await writer.open('s_open')
    await writer.note('s_one', 'first')
    rig.nowMs += 61_000
    await rig.round()
    await writer.close('s_one')
    await rig.round()
    rig.nowMs += 61_000
    await writer.note('s_open', 'later')
    await rig.round()
    assert.deepEqual(rig.faults, [])
    const objects: Objects = new Map()
    for await (const key of rig.recordings.list(''))
      objects.set(key, (await rig.recordings.get(key)) ?? Buffer.alloc(0))
    return objects
  }

  const verify = async (objects: Objects, only?: ReadonlySet<string>): Promise<Verification> => {
    const source = {
      get: async (key: string) => await Promise.resolve(objects.get(key)),
      async *list(prefix: string) {
        for (const key of [...objects.keys()].toSorted()) if (key.startsWith(prefix)) yield key
      },
    }
    const recordings = {
      ...source,
      where: '',
      put: async () => {},
      remove: async () => {},
      close: () => {},
    }
    return await verifyRecordings({
      source,
      keyOf: async (session) => await sessionKeyOf(recordings, recordingKey, session),
      ...(only === undefined ? {} : { only }),
    })
  }
  const changed = (change: (objects: Objects) => void): Objects => {
    const objects = new Map(whole)
    change(objects)
    return objects
  }
  const said = ({ findings }: Verification): string => findings.map(({ what }) => what).join('\n')
  const anchors = (): string[] =>
    [...whole.keys()].filter((key) => key.startsWith(storeKeys.anchors)).toSorted()
  const bytesOf = (key: string): Buffer => whole.get(key) ?? Buffer.alloc(0)
  const claims = (jws: Buffer): object =>
    Object(JSON.parse(Buffer.from(jws.toString().split('.')[1] ?? '', 'base64url').toString()))
  const stranger = async (): Promise<SigningKey> =>
    await loadSigningKey(await mkdtemp(join(dir, 'stranger-')))
  const place = async (objects: ReadonlyMap<string, Uint8Array>): Promise<string> => {
    const folder = await mkdtemp(join(dir, 'place-'))
    for (const [key, bytes] of objects) {
      await mkdir(dirname(join(folder, key)), { recursive: true })
      await writeFile(join(folder, key), bytes)
    }
    return folder
  }
  const keyOf = (session: string): Buffer => Buffer.alloc(32, session)
  const exported = (): Map<string, Buffer> => {
    const objects = new Map([...whole].filter(([key]) => !key.startsWith('keys/')))
    const sessions = ['s_one', 's_open'].map((session) => ({
      session,
      key: keyOf(session).toString('base64'),
    }))
    const manifest = { type: 'sallyport.export.1', exportedAt: '', sessions }
    return objects.set('export.json', Buffer.from(JSON.stringify(manifest)))
  }

  test('all bits of a signature count, and nothing may stand around it', async () => {
    for (const key of [storeKeys.seal('s_one'), anchors().at(-1) ?? '']) {
      const text = bytesOf(key).toString()
      // The last character of 64 bytes in base64url has 4 bits that say nothing.
      const last = text.charCodeAt(text.length - 1)
      for (const other of [`${text}\n`, ` ${text}`, `${text}!`, `${text}=`]) {
        const result = await verify(changed((all) => all.set(key, Buffer.from(other))))
        assert.match(said(result), /signature|signed/, JSON.stringify(other.slice(-3)))
      }
      for (let bit = 0; bit < 4; bit += 1) {
        const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
        const at = alphabet.indexOf(String.fromCharCode(last)) ^ (1 << bit)
        const other = Buffer.from(text.slice(0, -1) + alphabet.charAt(at))
        assert.match(said(await verify(changed((all) => all.set(key, other)))), /signature/)
      }
    }
  })

  test('a public key that is written in another way is told', async () => {
    const [pem = ''] = [...whole.keys()].filter((key) => key.startsWith(storeKeys.publicKeys))
    for (const other of [`${bytesOf(pem).toString()}\n`, `text\n${bytesOf(pem).toString()}`])
      assert.match(
        said(await verify(changed((all) => all.set(pem, Buffer.from(other))))),
        /no Ed25519 key as a gateway writes it/,
      )
  })

  test('anchors and seals that somebody signed with another key show', async () => {
    const key = await stranger()
    const newest = anchors().at(-1) ?? ''
    const forgedAnchor = Buffer.from(await key.sign(claims(bytesOf(newest))))
    const unknown = await verify(changed((all) => all.set(newest, forgedAnchor)))
    assert.match(said(unknown), /that signed it is not here/)
    const published = (all: Objects): Objects =>
      all.set(storeKeys.publicKey(key.id), Buffer.from(key.publicKey))
    const result = await verify(changed((all) => published(all).set(newest, forgedAnchor)))
    assert.match(said(result), new RegExp(`${key.id} signs it, and nothing leads there from`))
    const seal = storeKeys.seal('s_one')
    const forgedSeal = Buffer.from(await key.sign(claims(bytesOf(seal))))
    const sealed = await verify(changed((all) => published(all).set(seal, forgedSeal)))
    assert.match(said(sealed), new RegExp(`${key.id} signed it, and nothing leads there from`))
    // Its head is "none": nothing is signed.
    const [head = '', body = ''] = bytesOf(seal).toString().split('.')
    for (const alg of ['none', 'HS256', 'EdDSA']) {
      const header = { ...Object(JSON.parse(Buffer.from(head, 'base64url').toString())), alg }
      const forged = `${Buffer.from(JSON.stringify(header)).toString('base64url')}x.${body}.`
      assert.notEqual(said(await verify(changed((all) => all.set(seal, Buffer.from(forged))))), '')
    }
  })

  test('entries that were added behind the newest anchor, with the key of an export, are not called proven', async () => {
    const { header } = parseSegment(bytesOf(storeKeys.segment('s_open', '0-1-2', 1)))
    const objects = changed((all) => all.delete(anchors().at(-1) ?? ''))
    const { notes } = await verify(objects)
    const behind = `s_open has entries ${header.first} to ${header.first} behind its newest anchor`
    assert.ok(
      notes.some((note) => note.startsWith(behind)),
      notes.join('\n'),
    )
  })

  test('a segment that was made anew with the key of an export is found', async () => {
    const { header } = parseSegment(bytesOf(segment(0)))
    const bomb = Buffer.alloc(64 * 1024 * 1024)
    for (const [records, said1] of [
      [Buffer.alloc(0), /entries|hash|seal/],
      [Buffer.from('no records'), /./],
      [bomb, /unfold/],
    ] as const) {
      const rawBytes = records === bomb ? 1000 : records.length
      const made = await sealSegment({ ...header, rawBytes }, records, keyOf('s_one'))
      const result = await verify(changed((all) => all.set(segment(0), made)))
      assert.match(said(result), said1)
      assert.match(said(result), /follows another one/, 'the next segment names the one that was')
    }
  })

  test('contents that are no zstd, under a right seal, are a finding and no crash', async () => {
    const { header, bound } = parseSegment(bytesOf(segment(1)))
    const { createCipheriv, hkdfSync } = await import('node:crypto')
    const key = Buffer.from(hkdfSync('sha256', keyOf('s_one'), 's_one', 'sallyport segment 1', 32))
    const good = zstdCompressSync(Buffer.alloc(header.rawBytes))
    for (const packed of [Buffer.from('garbage'), good.subarray(0, -3), Buffer.alloc(0)]) {
      const cipher = createCipheriv('aes-256-gcm', key, Buffer.alloc(12)).setAAD(bound)
      const sealed = Buffer.concat([cipher.update(packed), cipher.final()])
      const file = Buffer.concat([bound, Buffer.alloc(12), cipher.getAuthTag(), sealed])
      const result = await verify(changed((all) => all.set(segment(1), file)))
      assert.match(said(result), /unfold|number of bytes/)
    }
  })

  test('a name with a huge number makes nobody count to it', async () => {
    const result = await verify(changed((all) => all.set(segment(99_999_999), bytesOf(segment(0)))))
    assert.match(said(result), /the segment is missing, and 99999996 behind it/)
    assert.ok(result.findings.length < 10)
    const digits = '9'.repeat(400)
    const key = `sessions/s_one/${part}/${digits}.segment`
    const strange = await verify(changed((all) => all.set(key, Buffer.alloc(1))))
    assert.ok(strange.notes.some((note) => note.includes('no part of a recording')))
  })

  test('what only looks like a part of a recording is not taken for one, and told', async () => {
    const copy = anchors()[0] ?? ''
    const twin = copy.replace('anchors/', 'anchors/0')
    const two = await verify(changed((all) => all.set(twin, bytesOf(copy))))
    assert.match(said(two), /this is not the name of an anchor/)
    const other = `sessions/s_one/${part}/2.segment`
    const result = await verify(changed((all) => all.set(other, bytesOf(segment(0)))))
    assert.deepEqual(result.findings, [])
    assert.match(result.notes.join(), /1 of the files are no part of a recording/)
    for (const name of ['__proto__', 'constructor', '..', '...']) {
      const evil = await verify(
        changed((all) => all.set(`sessions/${name}/${name}/00000000.segment`, bytesOf(segment(0)))),
      )
      assert.match(said(evil), /belongs to another session/, name)
      assert.match(said(evil), /no anchor names this recording/, name)
    }
  })

  test('anchors that were cut at the beginning are missed in a store', async () => {
    const [zero = ''] = anchors()
    const cut = changed((all) => all.delete(zero))
    assert.match(said(await verify(cut)), /the anchors 0 to 0 are missing/)
    for (const key of cut.keys()) if (key.includes('s_one')) cut.delete(key)
    assert.deepEqual((await verify(cut, new Set(['s_open']))).findings, [])
  })

  test('a seal without its recording is told', async () => {
    const lone = changed((all) => {
      for (const key of [segment(0), segment(1), ...anchors()]) all.delete(key)
    })
    assert.match(said(await verify(lone)), /the recording that it seals is missing/)
  })

  test('a key of a session that was removed or changed is told where the others open', async () => {
    const data = async (objects: Objects): Promise<string> => {
      const inside = new Map([...objects].map(([key, bytes]) => [`recordings/${key}`, bytes]))
      inside.set('recording.key', Buffer.from(recordingKey.toString('base64')))
      return await place(inside)
    }
    assert.deepEqual((await verifyPlace({ path: await data(whole) })).findings, [])
    const key = storeKeys.sessionKey('s_one')
    const gone = await data(changed((all) => all.delete(key)))
    assert.match(said(await verifyPlace({ path: gone })), /the key of the session is missing/)
    const swapped = await data(
      changed((all) => all.set(key, bytesOf(storeKeys.sessionKey('s_open')))),
    )
    assert.match(said(await verifyPlace({ path: swapped })), /does not open/)
    await writeFile(join(dir, 'no.key'), 'abc')
    const copy = await place(whole)
    await assert.rejects(
      verifyPlace({ path: copy, keyFile: join(dir, 'no.key') }),
      /no recording key/,
    )
    await assert.rejects(verifyPlace({ path: copy, keyFile: join(dir, 'none') }), /cannot be read/)
    await assert.rejects(verifyPlace({ path: await place(new Map()) }), /holds no recordings/)
  })

  test('pipes, folders and loops in the place of files are told, and nobody waits for them', async () => {
    const path = await place(exported())
    const verifyFile = new URL('../../../assets/verify.mjs', import.meta.url)
    await writeFile(join(path, 'verify.mjs'), await readFile(verifyFile))
    const at = (key: string): string => join(path, key)
    for (const key of [segment(0), storeKeys.seal('s_one'), anchors()[0] ?? '']) {
      const bytes = bytesOf(key)
      for (const make of [
        () => execFileSync('sh', ['-c', 'mkfifo "$0"', at(key)]),
        async () => await mkdir(at(key)),
        async () => await symlink(at(key), at(key)),
        async () => await symlink('/dev/zero', at(key)),
        async () => await symlink('/', at(key)),
      ]) {
        await rm(at(key), { recursive: true })
        await make()
        const options = { encoding: 'utf8', timeout: 20_000 } as const
        const run = spawnSync(process.execPath, [join(path, 'verify.mjs')], options)
        assert.equal(run.status, 1, `${key} ${String(make)} ${run.stderr}`)
        await rm(at(key), { recursive: true })
        await writeFile(at(key), bytes)
      }
    }
    const run = spawnSync(process.execPath, [join(path, 'verify.mjs')], { encoding: 'utf8' })
    assert.equal(run.status, 0, run.stdout + run.stderr)
    assert.match(run.stdout, /they were not checked/)
    for (const manifest of ['', '{', '[]', '{"type":"sallyport.export.2"}']) {
      await writeFile(join(path, 'export.json'), manifest)
      const other = spawnSync(process.execPath, [join(path, 'verify.mjs')], { encoding: 'utf8' })
      assert.equal(other.status, 2)
      assert.doesNotMatch(other.stderr, /at .*\.mjs/, 'no stack')
    }
  })

  test('names of files cannot steer the terminal of whoever verifies', async () => {
    const name = `sessions/\u001B]0;x\u0007\u009B2J\u202E/p/00000000.segment`
    const lines = tellVerification(await verify(changed((all) => all.set(name, Buffer.alloc(9)))))
    assert.doesNotMatch(lines.join(''), /[\p{Cc}\p{Bidi_Control}]/u)
  })

  test('an archive that programs would unpack in different ways, or that unfolds without end, is refused', async () => {
    const zip = async (bytes: Uint8Array): Promise<string> => {
      const path = join(await mkdtemp(join(dir, 'zip-')), 'e.zip')
      await writeFile(path, bytes)
      return path
    }
    const files = exported()
    for (const level of [0, 9] as const) {
      const good = zipSync(Object.fromEntries(files), { level })
      const result = await verifyPlace({ path: await zip(good) })
      assert.deepEqual([result.findings, result.sessions], [[], 2])
    }
    const entries = [...files].map(([name, bytes]) => ({ name, bytes }))
    const refused = async (bytes: Buffer): Promise<string> => {
      try {
        return said(await verifyPlace({ path: await zip(bytes) }))
      } catch (error) {
        return String(error)
      }
    }
    assert.match(
      await refused(rawZip([...entries, { name: segment(0), bytes: Buffer.alloc(3) }])),
      /twice/,
    )
    const misnamed = entries.map((each) => ({
      ...each,
      ...(each.name === segment(0) ? { inside: 'sessions/s_two' } : {}),
    }))
    assert.match(await refused(rawZip(misnamed)), /two names/)
    const bomb = deflateRawSync(Buffer.alloc(300 * 1024 * 1024))
    for (const size of [10, 300 * 1024 * 1024, 0xff_ff_ff_fe])
      assert.match(
        await refused(
          rawZip(
            entries.map((each) =>
              each.name === segment(0) ? { ...each, bytes: bomb, size } : each,
            ),
          ),
        ),
        /damaged in the archive|larger than an object/,
      )
    const good = rawZip(entries)
    const end = good.length - 22
    for (const [at, value] of [
      [8, 0xffff],
      [10, 0xffff],
      [12, 0xff_ff_ff],
      [16, 0xff_ff_ff_f0],
    ] as const) {
      const bad = Buffer.from(good)
      if (at < 12) bad.writeUInt16LE(value, end + at)
      else bad.writeUInt32LE(value >>> 0, end + at)
      if (at !== 8) assert.match(await refused(bad), /no archive that can be read/)
    }
    for (const path of ['', 'PK', 'x'.repeat(70_000)])
      assert.match(await refused(Buffer.from(path)), /no archive/)
    const evil = new Map(files)
      .set('../../etc/passwd', Buffer.from('x'))
      .set('__proto__', Buffer.from('x'))
    assert.equal(await refused(rawZip([...evil].map(([name, bytes]) => ({ name, bytes })))), '')
  })
})

/** A ZIP archive that says what it is told to. */
function rawZip(
  files: readonly { name: string; bytes: Buffer; inside?: string; size?: number }[],
): Buffer {
  const out: Buffer[] = []
  const directory: Buffer[] = []
  let at = 0
  for (const { name, bytes, inside = name, size } of files) {
    const local = Buffer.alloc(30)
    local.writeUInt32LE(0x04_03_4b_50)
    local.writeUInt16LE(inside.length, 26)
    const entry = Buffer.alloc(46)
    entry.writeUInt32LE(0x02_01_4b_50)
    entry.writeUInt16LE(size === undefined ? 0 : 8, 10)
    entry.writeUInt32LE(crc32(bytes), 16)
    entry.writeUInt32LE(bytes.length, 20)
    entry.writeUInt32LE(size ?? bytes.length, 24)
    entry.writeUInt16LE(name.length, 28)
    entry.writeUInt32LE(at, 42)
    out.push(local, Buffer.from(inside), bytes)
    directory.push(entry, Buffer.from(name))
    at += 30 + inside.length + bytes.length
  }
  const list = Buffer.concat(directory)
  const end = Buffer.alloc(22)
  end.writeUInt32LE(0x06_05_4b_50)
  end.writeUInt16LE(files.length, 8)
  end.writeUInt16LE(files.length, 10)
  end.writeUInt32LE(list.length, 12)
  end.writeUInt32LE(at, 16)
  return Buffer.concat([...out, list, end])
}

import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { unzipSync } from 'fflate'
import { ZipSource } from './zip-source.ts'
import { ZipWriter } from './zip-writer.ts'

const folder = async (context: TestContext): Promise<string> => {
  const dir = await mkdtemp(join(tmpdir(), 'sallyport-zip-'))
  context.after(async () => await rm(dir, { recursive: true, force: true }))
  return dir
}

test('an archive reads as it was written, also by a program of somebody else', async (context) => {
  const path = join(await folder(context), 'a.zip')
  const zip = new ZipWriter()
  const pieces: Uint8Array[] = []
  pieces.push(...zip.file('a/empty', new Uint8Array()), ...zip.file('a/bytes', Buffer.from('one')))
  const texts = (async function* texts() {
    for (const text of ['two', '', ' and ü']) yield await Promise.resolve(text)
  })()
  for await (const piece of zip.stream('text ü.txt', texts)) pieces.push(piece)
  pieces.push(...zip.end())
  await writeFile(path, Buffer.concat(pieces))
  await using source = await ZipSource.open(path)
  const read: Record<string, string | undefined> = {}
  for await (const name of source.list('')) read[name] = (await source.get(name))?.toString()
  const expected = { 'a/bytes': 'one', 'a/empty': '', 'text ü.txt': 'two and ü' }
  assert.deepEqual(read, expected)
  const others = Object.entries(unzipSync(Buffer.concat(pieces)))
  assert.deepEqual(
    Object.fromEntries(others.map(([name, bytes]) => [name, Buffer.from(bytes).toString()])),
    expected,
  )
})

test('an archive may hold more than 65,535 files and be larger than 4 GiB', async (context) => {
  const path = join(await folder(context), 'large.zip')
  const zip = new ZipWriter()
  const handle = await open(path, 'w')
  context.after(async () => await handle.close())
  // The contents are a hole in the file: only what stands around them takes room.
  const block = Buffer.alloc(64 * 1024 * 1024)
  let at = 0
  const put = async (pieces: Iterable<Uint8Array>): Promise<void> => {
    for (const piece of pieces) {
      if (piece !== block) await handle.write(piece, 0, piece.length, at)
      at += piece.length
    }
  }
  for (let index = 0; index < 66; index += 1) await put(zip.file(`large/${index}`, block))
  for (let index = 0; index < 66_000; index += 1200) {
    const small: Uint8Array[] = []
    for (let each = index; each < Math.min(index + 1200, 66_000); each += 1)
      small.push(...zip.file(`small/${each}`, Buffer.from(String(each))))
    await put([Buffer.concat(small)])
  }
  await put([Buffer.concat([...zip.end()])])
  await using source = await ZipSource.open(path)
  assert.equal((await source.get('small/65999'))?.toString(), '65999')
  assert.equal((await source.get('large/65'))?.length, block.length)
  let count = 0
  for await (const _name of source.list('')) count += 1
  assert.equal(count, 66 + 66_000)
})

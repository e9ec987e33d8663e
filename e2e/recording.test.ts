import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdir, mkdtempDisposable, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { suite, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { unzipSync } from 'fflate'
import { startGateway } from '@sallyport/gateway'
import { skipReason, until } from '@sallyport/testkit'
import {
  listSessions,
  sessionEntries,
} from '../packages/gateway/src/control-plane/recordings/recordings.ts'
import { connect } from './hardship.ts'
import { startTestGateway, type TestGateway } from './test-gateway.ts'

const cli = new URL('../packages/cli/bin/sallyport.mjs', import.meta.url)

/** Runs a script of Node's, and gives what it printed on both outputs. */
async function ran(args: readonly string[]): Promise<{ code: number | null; text: string }> {
  return await new Promise((resolve) => {
    const child = execFile(process.execPath, args, (error, stdout, stderr) => {
      resolve({ code: child.exitCode, text: stdout + stderr })
    })
  })
}

suite('recordings', { skip: skipReason() }, () => {
  const sealedOf = async (gateway: TestGateway): Promise<string[]> => {
    const folder = join(gateway.dataDir, 'recordings', 'sessions')
    const sessions = await readdir(folder).catch(() => [])
    const sealed = sessions.map(async (session) =>
      (await readdir(join(folder, session))).includes('seal.jws') ? [session] : [],
    )
    return (await Promise.all(sealed)).flat()
  }
  const texts = async (gateway: TestGateway): Promise<string[]> => {
    const all: string[] = []
    for await (const item of sessionEntries(gateway.gateway.recorded, '')) {
      if (item.kind === 'problem') all.push(`!! ${item.reason}`)
      else if (item.entry.kind === 'command') all.push(Buffer.from(item.entry.text).toString())
    }
    return all
  }

  test('a session that ended is in the store, and reads whole without its journal', async () => {
    await using gateway = await startTestGateway()
    const client = await connect(gateway)
    await client.query("select 'marker-4711' as m")
    await client.end()
    const [session] = await until('the session is sealed', async () => {
      const sealed = await sealedOf(gateway)
      return sealed.length === 1 ? sealed : false
    })
    await gateway.gateway.stop(0)
    await rm(join(gateway.dataDir, 'journal'), { recursive: true })
    await using stack = new AsyncDisposableStack()
    const again = await startGateway({
      dataDir: gateway.dataDir,
      ports: { api: 0, postgres: 0 },
      host: '127.0.0.1',
      workers: 1,
      durability: 'process',
      demo: false,
      onEvent: () => undefined,
    })
    stack.defer(async () => await again.stop(0))
    const token = (await readFile(join(gateway.dataDir, 'owner.token'), 'utf8')).trim()
    const url = `http://127.0.0.1:${again.ports.api}/v1/sessions/${session}?as=text`
    const answer = await fetch(url, { headers: { authorization: `Bearer ${token}` } })
    const text = await answer.text()
    assert.equal(answer.status, 200, text)
    assert.match(text, /select 'marker-4711' as m/)
    assert.match(text, /closed: /)
    assert.doesNotMatch(text, /!!/)
  })

  test('an archive proves itself to somebody who has nothing else, and changes to it are found', async () => {
    await using gateway = await startTestGateway()
    await using dir = await mkdtempDisposable(join(tmpdir(), 'sallyport-export-'))
    const ended = await connect(gateway)
    await ended.query("select 'marker-one' as m")
    await ended.end()
    const open = await connect(gateway)
    await open.query("select 'marker-two' as m")
    const sessions = (await (await gateway.api('GET', '/v1/sessions')).json()) as { id: string }[]
    const ids = sessions.map(({ id }) => id)
    assert.equal(ids.length, 2)
    const sallyport = async (...args: string[]) =>
      await ran([fileURLToPath(cli), ...args, '--data', gateway.dataDir])
    const zip = join(dir.path, 'evidence.zip')
    const exported = await sallyport('export', ...ids, '--file', zip)
    assert.equal(exported.code, 0, exported.text)
    const again = await sallyport('export', ...ids, '--file', zip)
    assert.match(again.text, /is there already/)
    const [first = ''] = ids
    for (const [args, code, text] of [
      [['export', first, '--as', 'pdf'], 2, /--as takes zip, csv/],
      [['export', ...ids, '--as', 'csv'], 2, /--as csv takes one session/],
      [
        ['export', 's_nothere', '--file', join(dir.path, 'none.zip')],
        2,
        /no recording of a session/,
      ],
      [['verify', join(dir.path, 'nothere.zip')], 2, /there is no /],
      [['verify', 's_nothere'], 2, /"sessions":0/],
    ] as const) {
      const refused = await sallyport(...args)
      assert.deepEqual([refused.code, text.test(refused.text)], [code, true], refused.text)
    }
    assert.deepEqual(await readdir(dir.path), ['evidence.zip'], 'nothing is left of what failed')
    const asPdf = await gateway.api('GET', `/v1/sessions/${first}?as=pdf`)
    assert.deepEqual([asPdf.status, /as must be one of /.test(await asPdf.text())], [400, true])
    const page = await sallyport('export', first, '--as', 'html', '--file', '-')
    assert.match(page.text, /^<!doctype html>/)

    const files = unzipSync(await readFile(zip))
    const unpacked = join(dir.path, 'evidence')
    for (const [name, bytes] of Object.entries(files)) {
      await mkdir(dirname(join(unpacked, name)), { recursive: true })
      await writeFile(join(unpacked, name), bytes)
    }
    for (const [at, id] of ids.toReversed().entries()) {
      const transcript = Buffer.from(files[`transcripts/${id}.txt`] ?? []).toString()
      assert.match(transcript, new RegExp(`marker-${at === 0 ? 'one' : 'two'}`))
    }
    // Alone: the verifier finds nothing of this project around it.
    const alone = async () => await ran([join(unpacked, 'verify.mjs')])
    const proof = await alone()
    assert.equal(proof.code, 0, proof.text)
    assert.match(proof.text, /^✓ 2 recordings, \d+ entries in \d+ segments, signed by [\w-]{43}\n/)
    assert.match((await sallyport('verify', zip)).text, /✓|"findings":\[\]/)
    assert.match((await sallyport('verify')).text, /"findings":\[\]/)

    const segment = Object.keys(files).find((name) => name.endsWith('.segment')) ?? ''
    const bytes = Buffer.from(files[segment] ?? [])
    bytes.writeUInt8(bytes.readUInt8(bytes.length - 5) ^ 1, bytes.length - 5)
    await writeFile(join(unpacked, segment), bytes)
    const changed = await alone()
    assert.equal(changed.code, 1, changed.text)
    assert.match(changed.text, new RegExp(`${segment}: the seal of the segment is broken`))
    await open.end()
  })

  test('a store that cannot be written holds up no caller, is told, and is caught up with', async () => {
    // A file in the folder's place stops the superuser too.
    await using gateway = await startTestGateway()
    const folder = join(gateway.dataDir, 'recordings')
    await rm(folder, { recursive: true, force: true })
    await writeFile(folder, 'no folder')
    for (const each of [1, 2, 3]) {
      const client = await connect(gateway)
      await client.query(`select 'away ${each}'`)
      await client.end()
    }
    const shipping = async () => (await gateway.gateway.status()).shipping
    const problem = await until('the fault is told', async () => (await shipping()).problem)
    assert.match(problem, /ENOTDIR|EEXIST/)
    assert.ok(gateway.events.some((event) => event.kind === 'fault'))
    await rm(folder)
    await until('all is in the store', async () => (await sealedOf(gateway)).length === 3)
    await until('it is well again', async () => (await shipping()).problem === undefined)
    const { problems } = await listSessions(gateway.gateway.recorded)
    assert.deepEqual(problems, [])
    assert.deepEqual(
      (await texts(gateway)).filter((text) => text.startsWith("select 'away")).toSorted(),
      [1, 2, 3].map((each) => `select 'away ${each}'`),
    )
  })
})

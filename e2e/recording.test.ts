import assert from 'node:assert/strict'
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { startGateway } from '@sallyport/gateway'
import { skipReason, until } from '@sallyport/testkit'
import {
  listSessions,
  sessionEntries,
} from '../packages/gateway/src/control-plane/recordings/recordings.ts'
import { connect } from './hardship.ts'
import { startTestGateway, type TestGateway } from './test-gateway.ts'

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

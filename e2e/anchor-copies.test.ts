import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { copyFile, mkdtempDisposable, readdir } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { skipReason, until } from '@sallyport/testkit'
import { psql } from './hardship.ts'
import { startTestGateway, type TestGateway } from './test-gateway.ts'

const cli = fileURLToPath(new URL('../packages/cli/bin/sallyport.mjs', import.meta.url))

suite('anchors that are copied elsewhere', { skip: skipReason() }, () => {
  const sallyport = async (...args: string[]): Promise<{ code: number | null; text: string }> =>
    await new Promise((resolve) => {
      const child = execFile(process.execPath, [cli, ...args], (_, stdout, stderr) =>
        resolve({ code: child.exitCode, text: stdout + stderr }),
      )
    })
  const copied = async (place: string): Promise<number> =>
    (await readdir(join(place, 'anchors')).catch(() => [])).length
  const isCopied = async ({ gateway }: TestGateway): Promise<boolean> => {
    const { anchors, shipping } = await gateway.status()
    return shipping.parts <= 1 && anchors.every(({ behind, problem }) => behind === 0 && !problem)
  }

  test('a gateway made anew with the keys of the old one is found, and a change of keys is not', async () => {
    await using dir = await mkdtempDisposable(join(tmpdir(), 'sallyport-anchors-'))
    const place = join(dir.path, 'audit')
    const posted: string[] = []
    const server = createServer((request, response) => {
      posted.push(String(request.headers['sallyport-object']))
      request.resume().on('end', () => response.writeHead(204).end())
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const anchors = [place, `http://127.0.0.1:${(server.address() as AddressInfo).port}/in`]
    await using gateway = await startTestGateway({ anchors })
    const data = ['--data', gateway.dataDir]
    await psql(await gateway.url(), '-c', "select 'before'")
    await until('it is copied', async () => (await copied(place)) > 0 && (await isCopied(gateway)))
    const before = await sallyport('keys', ...data)
    const rotated = await sallyport('keys', 'rotate', ...data)
    assert.deepEqual([before.code, rotated.code], [0, 0], rotated.text)
    await psql(await gateway.url(), '-c', "select 'after'")
    const some = await copied(place)
    await until(
      'it is copied',
      async () => (await copied(place)) > some && (await isCopied(gateway)),
    )
    assert.ok(posted.some((key) => key.startsWith('key-changes/')))
    assert.equal(posted.filter((key) => key.startsWith('anchors/')).length, await copied(place))
    const facts = await sallyport('ledger', 'what:key.rotated', ...data)
    assert.match(facts.text, /key\.rotated/)
    const { first } = JSON.parse(before.text) as { first: string }
    for (const more of [[], ['--signed-by', first]]) {
      const whole = await sallyport('verify', '--anchors', place, ...more, ...data)
      assert.deepEqual([whole.code, /"same":\d/.test(whole.text)], [0, true], whole.text)
    }
    const other = await sallyport('verify', '--signed-by', 'x'.repeat(43), ...data)
    assert.deepEqual([other.code, /nothing leads there from xxx/.test(other.text)], [7, true])

    // Somebody with the disk makes another past, and signs it with our key.
    const prepare = async (forged: string): Promise<void> => {
      for (const name of ['signing.key', 'recording.key'])
        await copyFile(join(gateway.dataDir, name), join(forged, name))
    }
    await using forged = await startTestGateway({ anchors: [place], prepare })
    await psql(await forged.url(), '-c', "select 'nothing happened'")
    const told = await until('the copier says so', async () => {
      const [copy] = (await forged.gateway.status()).anchors
      return copy?.problem
    })
    assert.match(told, /holds another anchors\/0000000000\.jws/)
    const doctor = await sallyport('doctor', '--data', forged.dataDir)
    assert.match(doctor.text, /not copied to .*audit/)
    const alone = await sallyport('verify', '--data', forged.dataDir)
    assert.equal(alone.code, 0, 'nothing in it tells')
    const found = await sallyport('verify', '--anchors', place, '--data', forged.dataDir)
    assert.deepEqual([found.code, /another one than its copy in/.test(found.text)], [7, true])
    server.closeAllConnections()
    server.close()
  })
})

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { constants } from 'node:fs'
import { mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { DeliveryError } from './destination.ts'
import { StandardOutput } from './standard-output.ts'

const module = fileURLToPath(new URL('standard-output.ts', import.meta.url))
/** Delivers as many long lines as it is told, and says on the standard error that its event loop goes on. */
const program = `
  const { StandardOutput } = await import(${JSON.stringify(module)})
  const count = Number(process.argv[1])
  const line = JSON.stringify({ text: 'x'.repeat(1000) })
  const alive = setInterval(() => process.stderr.write('alive\\n'), 20)
  const output = new StandardOutput()
  const events = Array.from({ length: count }, (_, id) => ({ id: BigInt(id), line }))
  await output.deliver(events, new AbortController().signal).then(
    () => process.stderr.write('delivered\\n'),
    (error) => process.stderr.write('failed: ' + error.message + '\\n'),
  )
  clearInterval(alive)`

/** What the program wrote through a pipe to `reader`, and what it said. Node's own pipes are sockets. */
async function piped(reader: string): Promise<{ text: string; said: string }> {
  const dir = await mkdtemp(join(tmpdir(), 'sallyport-stdout-'))
  try {
    const said = join(dir, 'said')
    const words = ['--conditions=@sallyport/source', '--input-type=module', '-e', program, '2000']
    const { stdout } = await promisify(execFile)(
      'sh',
      ['-c', `said="$0"; "$@" 2>"$said" | ${reader}`, said, process.execPath, ...words],
      { maxBuffer: 64 * 1024 * 1024 },
    )
    return { text: stdout, said: await readFile(said, 'utf8') }
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

suite('events on standard output', () => {
  test('whoever stops reading holds up nothing, and gets every line when reading goes on', async () => {
    const waits = '(while [ "$(grep -c alive "$said")" -lt 10 ]; do sleep 0.1; done; cat)'
    const { text, said } = await piped(waits)
    assert.match(said, /alive[^]*delivered/)
    const got = text.trimEnd().split('\n')
    assert.equal(got.length, 2000)
    for (const line of got) assert.equal((JSON.parse(line) as { text: string }).text.length, 1000)
  })

  test('where nobody reads, that is told', async () => {
    const { said } = await piped('true')
    assert.match(said, /failed: nobody reads standard output/)
  })

  test('a file is appended to, and one that is not there is told', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'sallyport-stdout-'))
    try {
      const path = join(dir, 'out')
      await writeFile(path, 'before\n')
      const { signal } = new AbortController()
      await new StandardOutput(path).deliver([{ id: 1n, line: '{}' }], signal)
      assert.equal(await readFile(path, 'utf8'), 'before\n{}\n')
      const missing = new StandardOutput(join(dir, 'none'))
      await assert.rejects(missing.deliver([{ id: 1n, line: '{}' }], signal), DeliveryError)
    } finally {
      await rm(dir, { recursive: true, force: true })
    }
  })

  test('a delivery that is aborted ends, and the line that it tore is ended before the next', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'sallyport-stdout-'))
    try {
      const path = join(dir, 'pipe')
      await promisify(execFile)('mkfifo', [path])
      await using reader = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
      const output = new StandardOutput(path)
      const long = JSON.stringify({ text: 'x'.repeat(1_000_000) })
      await assert.rejects(
        output.deliver([{ id: 1n, line: long }], AbortSignal.timeout(200)),
        /abort|timeout/i,
      )
      const { buffer, bytesRead } = await reader.read({ buffer: Buffer.alloc(2_000_000) })
      assert.ok(bytesRead > 0 && bytesRead < long.length)
      await output.deliver([{ id: 1n, line: '{"whole":true}' }], new AbortController().signal)
      const more = await reader.read(buffer, bytesRead)
      const lines = buffer.toString('utf8', 0, bytesRead + more.bytesRead).split('\n')
      assert.deepEqual(lines.slice(1), ['{"whole":true}', ''])
    } finally {
      await rm(dir, { recursive: true, force: true })
    }
  })
})

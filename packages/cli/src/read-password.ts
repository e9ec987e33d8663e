import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'
import { text } from 'node:stream/consumers'

/** Reads a password: from a pipe as its first line, from a terminal without showing it. */
export async function readPassword(prompt: string): Promise<string> {
  if (!process.stdin.isTTY) return (await text(process.stdin)).split(/\r?\n/)[0] ?? ''
  process.stderr.write(prompt)
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() })
  const reader = createInterface({ input: process.stdin, output: nowhere, terminal: true })
  const { promise, resolve } = Promise.withResolvers<string>()
  reader.once('line', resolve)
  reader.once('close', () => resolve(''))
  const password = await promise
  reader.close()
  process.stderr.write('\n')
  return password
}

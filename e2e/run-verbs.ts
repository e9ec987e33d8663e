/** Runs verbs one after the other in this process, and writes down which calls each made: `node run-verbs.ts FILE`. */
import { readFileSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { main } from '../packages/cli/src/index.ts'

const [, , file = ''] = process.argv
const { verbs, data } = JSON.parse(readFileSync(file, 'utf8')) as {
  readonly verbs: readonly (readonly string[])[]
  readonly data: string
}
/** A verb that follows what happens has asked long before. */
const verbMsMax = 5000

const made: string[][] = []
const send = globalThis.fetch
globalThis.fetch = async (input, init) => {
  const url = new URL(input instanceof Request ? input.url : input)
  made.at(-1)?.push(`${init?.method ?? 'GET'} ${url.pathname}`)
  return await send(input, init)
}
for (const words of verbs) {
  made.push([])
  await Promise.race([main([...words, '--data', data]), sleep(verbMsMax)])
}
writeFileSync(file, JSON.stringify(made))
process.exit(0)

import { setTimeout as sleep } from 'node:timers/promises'
import type { VerbContext } from '../context.ts'
import { EXIT } from '../exit-codes.ts'
import { printOne } from '../output.ts'

const lookEveryMs = 500

/** Makes the index of searches again, and waits until that is done. Ctrl-C only stops waiting. */
export async function reindex(context: VerbContext): Promise<number> {
  const { output } = context
  const api = await context.api()
  await api.call('POST /v1/reindex')
  let parts = 0
  for (;;) {
    const { search } = await api.call('GET /v1/status')
    if (search.problem !== undefined) output.say(`waiting: ${search.problem}\n`)
    if (search.rebuilding === undefined) break
    parts = Math.max(parts, search.rebuilding.parts)
    await sleep(lookEveryMs)
  }
  await printOne(output, { parts }, 'The index was made again.\n', String(parts))
  return EXIT.done
}

import type { FoundFact } from '@sallyport/gateway'
import type { VerbContext } from '../context.ts'
import { EXIT } from '../exit-codes.ts'
import { printList, table } from '../output.ts'
import type { SearchFlags } from './search.ts'

/** Lists facts of the ledger, newest first. */
export async function ledger(
  context: VerbContext,
  query: string,
  flags: SearchFlags,
): Promise<number> {
  const { output } = context
  const api = await context.api()
  const { limit, after } = flags
  const page = await api.call('GET /v1/ledger', { query: { q: query, limit, after } })
  const form = output.form ?? (output.isTerminal ? 'table' : 'ndjson')
  if (form === 'table') output.data(table(page.facts, columns))
  else if (form === 'json') output.data(`${JSON.stringify(page, undefined, 2)}\n`)
  else await printList(output, page.facts, {}, ({ what }) => what)
  if (page.facts.length === 0) output.say('Nothing matches.\n')
  if (page.next !== undefined) output.say(`There is more: --after ${page.next}\n`)
  return EXIT.done
}

const columns = {
  'WHEN (UTC)': ({ at }: FoundFact) => at.slice(0, 19).replace('T', ' '),
  FACT: ({ what }: FoundFact) => what,
  SUBJECT: ({ subject }: FoundFact) => subject,
  BY: ({ by, actor, chain }: FoundFact) => {
    const who = chain.length > 0 ? chain.join(' › ') : actor
    return who === '' || who === by ? by : `${by} ${who}`
  },
  FROM: ({ source }: FoundFact) => source,
  DETAIL: ({ detail }: FoundFact) =>
    Object.entries(detail ?? {})
      .map(
        ([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
      )
      .join(' '),
}

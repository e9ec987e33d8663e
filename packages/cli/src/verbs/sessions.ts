import type { SessionView } from '@sallyport/gateway'
import type { VerbContext } from '../context.ts'
import { age } from '../durations.ts'
import { EXIT } from '../exit-codes.ts'
import type { GatewayApi } from '../gateway-api.ts'
import { printList } from '../output.ts'

/** Lists the newest sessions. */
export async function sessions(context: VerbContext): Promise<number> {
  const api = await context.api()
  const rows = await newestSessions(api)
  const short = shortestPrefixes(rows.map((row) => row.id))
  const now = Date.now()
  const columns = {
    SESSION: (row: SessionView) => short.get(row.id) ?? row.id,
    AGE: (row: SessionView) => age(now - Date.parse(row.openedAt)),
    CHAIN: (row: SessionView) => row.chain.join(' › '),
    CONNECTION: (row: SessionView) => row.connection,
    CMDS: (row: SessionView) => String(row.commands),
    BLOCKED: (row: SessionView) => String(row.blocked),
    MASKED: (row: SessionView) => String(row.maskedValues),
    STATE: (row: SessionView) => row.reason ?? 'open',
  }
  await printList(context.output, rows, columns, (row) => row.id)
  return EXIT.done
}

/** Sessions without a search: the newest. */
export async function newestSessions(api: GatewayApi): Promise<readonly SessionView[]> {
  const answer = await api.call('GET /v1/sessions')
  return 'sessions' in answer ? [] : answer
}

const prefixLeast = 3
const typePrefix = 's_'.length

/** The shortest beginning of each id that is unique in the list and at least three characters long. */
export function shortestPrefixes(ids: readonly string[]): Map<string, string> {
  const sorted = ids.toSorted()
  return new Map(
    sorted.map((id, at) => {
      const shared = Math.max(common(id, sorted[at - 1] ?? ''), common(id, sorted[at + 1] ?? ''))
      return [id, id.slice(0, Math.max(typePrefix + prefixLeast, shared + 1))]
    }),
  )
}

function common(left: string, right: string): number {
  let length = 0
  while (length < left.length && left[length] === right[length]) length += 1
  return length
}

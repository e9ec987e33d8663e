import { SallyportError } from '@sallyport/core'
import type { FoundSession, SearchPage } from '@sallyport/gateway'
import type { VerbContext } from '../context.ts'
import { age } from '../durations.ts'
import { EXIT } from '../exit-codes.ts'
import { type Output, printable, printList, table } from '../output.ts'
import { shortestPrefixes } from './sessions.ts'

export interface SearchFlags {
  readonly limit: string
  readonly after?: string
}

type FoundMatch = FoundSession['matches'][number]

/** Sessions with commands that match, and the newest of these below each. */
export async function sessions(
  context: VerbContext,
  query: string,
  flags: SearchFlags,
): Promise<number> {
  const { output } = context
  const api = await context.api()
  const { limit, after } = flags
  const page = await api.call('GET /v1/sessions', { query: { q: query, limit, after } })
  if (!('sessions' in page))
    throw new SallyportError('SP_GATEWAY_UNREACHABLE', 'the answer is not that of a search')
  const form = output.form ?? (output.isTerminal ? 'table' : 'ndjson')
  if (form === 'table') output.data(searchTable(page.sessions, output.columns))
  else if (form === 'json') output.data(`${JSON.stringify(page, undefined, 2)}\n`)
  else await printList(output, page.sessions, {}, (each) => each.id)
  sayMore(output, page)
  return EXIT.done
}

function sayMore(output: Output, { sessions: found, next }: SearchPage): void {
  const [session] = found
  const match = session?.matches[0]
  if (session === undefined || match === undefined) return output.say('Nothing matches.\n')
  output.say(`Replay: sallyport replay ${session.id} --at '#${match.seq}'\n`)
  if (next !== undefined) output.say(`There is more: --after ${next}\n`)
}

/** A row for each session, and its matches below it. */
export function searchTable(found: readonly FoundSession[], width: number): string {
  const short = shortestPrefixes(found.map(({ id }) => id))
  const columns = {
    SESSION: ({ id }: FoundSession) => short.get(id) ?? id,
    'WHEN (UTC)': ({ openedAt }: FoundSession) => openedAt.slice(0, 16).replace('T', ' '),
    CHAIN: ({ chain }: FoundSession) => chain.join(' › '),
    CONNECTION: ({ connection }: FoundSession) => connection,
    CMDS: ({ commands: { allowed, held, blocked } }: FoundSession) =>
      String(allowed + held + blocked),
    VERDICTS: ({ commands }: FoundSession) =>
      ['held', 'blocked']
        .map((verdict) => [verdict, Reflect.get(commands, verdict)] as const)
        .filter(([, count]) => count !== 0)
        .map(([verdict, count]) => `${String(count)} ${verdict}`)
        .join(', ') || '–',
    'DATA RETURNED': ({ masked }: FoundSession) =>
      masked.map(({ rule, values }) => `${rule} ×${values} (masked)`).join(', ') || '–',
    LENGTH: ({ openedAt, closedAt }: FoundSession) =>
      closedAt === undefined ? 'open' : age(Date.parse(closedAt) - Date.parse(openedAt)),
  }
  const [head = '', ...rows] = table(found, columns).split('\n')
  const lines = [head]
  for (const [at, session] of found.entries()) {
    lines.push(rows[at] ?? '')
    for (const match of session.matches) lines.push(matchLine(match, width))
    if (session.hasMore) lines.push('    …')
  }
  return `${lines.join('\n')}\n`
}

function matchLine(match: FoundMatch, width: number): string {
  const { at, seq, text, verdict, rules, code } = match
  const by = rules.length === 0 ? '' : ` by ${rules.join(', ')}`
  const refused =
    verdict === 'allowed' ? (code === undefined ? '' : ` ${code}`) : ` ${verdict}${by}`
  const end = `  ←${refused === '' ? ' match' : refused}`
  const start = `    ${at.slice(11, 19)}  #${seq}  `
  const room = Math.max(20, width - start.length - end.length)
  const line = text.replaceAll(/\s+/gu, ' ')
  const shown = line.length > room ? `${line.slice(0, room - 1)}…` : line
  return printable(`${start}${shown}${end}`)
}

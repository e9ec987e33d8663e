import type { ChannelStatus, NoticeView } from '@sallyport/gateway'
import type { VerbContext } from '../context.ts'
import { age } from '../durations.ts'
import { EXIT } from '../exit-codes.ts'
import { printList, printOne } from '../output.ts'

export interface LogFlags {
  readonly channel?: string
  readonly limit: string
}

/** Lists channels of approvals, and what waits for each. */
export async function listChannels(context: VerbContext): Promise<number> {
  const api = await context.api()
  const rows = await api.call('GET /v1/channels')
  const columns = {
    NAME: (row: ChannelStatus) => row.name,
    TYPE: (row: ChannelStatus) => row.type,
    WHERE: (row: ChannelStatus) => row.where,
    WAITING: (row: ChannelStatus) => String(row.waiting),
    DELIVERED: (row: ChannelStatus) => String(row.delivered),
    DROPPED: (row: ChannelStatus) => String(row.dropped),
    STATE: (row: ChannelStatus) => row.problem ?? 'ok',
  }
  await printList(context.output, rows, columns, (row) => row.name)
  return EXIT.done
}

/** Sends a test by a channel. */
export async function testChannel(context: VerbContext, name: string): Promise<number> {
  const api = await context.api()
  const tried = await api.call('POST /v1/channels/{name}/test', { params: { name } })
  const text = tried.ok
    ? `✓ ${name}: ${tried.where} took a test message\n`
    : `✕ ${name}: ${tried.where}: ${tried.problem ?? ''}\n`
  await printOne(context.output, tried, text, name)
  return tried.ok ? EXIT.done : EXIT.findings
}

/** What was told by channels, and what waits, newest first. */
export async function showChannelLog(context: VerbContext, flags: LogFlags): Promise<number> {
  const api = await context.api()
  const { limit, channel } = flags
  const rows = await api.call('GET /v1/channels/log', { query: { limit, channel } })
  const now = Date.now()
  const columns = {
    ID: (row: NoticeView) => row.id,
    AGE: (row: NoticeView) => age(now - Date.parse(row.begunAt)),
    KIND: (row: NoticeView) => row.kind,
    STATE: (row: NoticeView) => row.state,
    TRIES: (row: NoticeView) => String(row.tries),
    APPROVALS: (row: NoticeView) => approvalsOf(row),
    PROBLEM: (row: NoticeView) => row.problem ?? '–',
  }
  await printList(context.output, rows, columns, (row) => row.id)
  return EXIT.done
}

function approvalsOf({ approvals }: NoticeView): string {
  const [first = '–'] = approvals
  return approvals.length > 1 ? `${first} and ${approvals.length - 1} more` : first
}

import type { ChannelStatus, ChatLinkView, NoticeView } from '@sallyport/gateway'
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

/** Which accounts of chats are linked to whom. */
export async function listLinks(context: VerbContext): Promise<number> {
  const api = await context.api()
  const rows = await api.call('GET /v1/channels/links')
  const columns = {
    ACCOUNT: (row: ChatLinkView) => `${row.team}/${row.user}`,
    PERSON: (row: ChatLinkView) => row.name,
    PRINCIPAL: (row: ChatLinkView) => row.principal,
    SINCE: (row: ChatLinkView) => row.linkedAt,
  }
  await printList(context.output, rows, columns, (row) => `${row.team}/${row.user}`)
  return EXIT.done
}

/** Ends the link of an account. */
export async function unlinkAccount(context: VerbContext, account: string): Promise<number> {
  const [team = '', user = ''] = account.split('/')
  const api = await context.api()
  await api.call('DELETE /v1/channels/links/{team}/{user}', { params: { team, user } })
  await printOne(context.output, { team, user }, `✓ ${account} speaks for nobody now.\n`, account)
  return EXIT.done
}

function approvalsOf({ approvals }: NoticeView): string {
  const [first = '–'] = approvals
  return approvals.length > 1 ? `${first} and ${approvals.length - 1} more` : first
}

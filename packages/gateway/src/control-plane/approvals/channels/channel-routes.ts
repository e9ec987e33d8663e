import type { Hono } from 'hono'
import { serve } from '../../api/serve.ts'
import {
  channelEndpoints,
  type ChannelStatus,
  type ChannelTest,
  type ChatLinkView,
  type NoticeView,
} from '../../contract/channels.ts'

/** What the owner does with channels. */
export interface ChannelOperations {
  list(): Promise<readonly ChannelStatus[]>
  /** Sends a message that says that it is a test. */
  test(name: string): Promise<ChannelTest>
  /** What was told, and what waits, newest first. */
  links(): Promise<readonly ChatLinkView[]>
  /** Of `team/user`. Fails with SP_NOT_FOUND where there is none. */
  unlink(account: string): Promise<void>
  log(of: { readonly channel?: string; readonly limit: number }): Promise<readonly NoticeView[]>
}

const limitDefault = 50

/** The routes of channels, for the owner. */
export function addChannelRoutes(app: Hono, channels: ChannelOperations): void {
  serve(app, channelEndpoints, () => undefined, {
    'GET /v1/channels': async () => await channels.list(),
    'GET /v1/channels/links': async () => await channels.links(),
    'DELETE /v1/channels/links/{team}/{user}': async ({ params: { team, user } }) =>
      await channels.unlink(`${team}/${user}`),
    'GET /v1/channels/log': async ({ query: { channel, limit = limitDefault } }) =>
      await channels.log({ limit, ...(channel === undefined ? {} : { channel }) }),
    'POST /v1/channels/{name}/test': async ({ params }) => await channels.test(params.name),
  })
}

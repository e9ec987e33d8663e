import * as z from 'zod'
import type { Endpoints } from './endpoint.ts'
import { count, countIn, flag, given, list, moment, object, opt, text } from './schema.ts'

const nameCharactersMax = 63
const logLimitMax = 500

export const channelStatus = object({
  name: text,
  type: text,
  where: text,
  waiting: count.describe('Messages that wait.'),
  delivered: count.describe('Messages that were delivered since the start.'),
  failures: count.describe('Tries that failed since the start.'),
  dropped: count.describe('Messages that were given up since the start.'),
  problem: opt(text).describe('Why it does not go on; absent while it does.'),
}).meta({ id: 'ChannelStatus' })

/** What a channel has done, and how far it is behind. */
export type ChannelStatus = z.output<typeof channelStatus>

const channelTest = object({ name: text, where: text, ok: flag, problem: opt(text) }).meta({
  id: 'ChannelTest',
})

/** How a try at a channel went. */
export type ChannelTest = z.output<typeof channelTest>

const notice = object({
  id: text,
  channel: text,
  kind: z.enum(['requested', 'decided', 'expired', 'withdrawn']),
  state: z
    .enum(['waiting', 'delivered', 'dropped'])
    .describe('Dropped: it will not be told any more.'),
  tree: text.describe('The root agent of the tree that asks.'),
  approvals: list(text).describe('The requests that it is about.'),
  tries: count,
  begunAt: moment,
  dueAt: opt(moment).describe('When it is tried next; only while it waits.'),
  endedAt: opt(moment),
  problem: opt(text),
}).meta({ id: 'ChannelNotice' })

/** What the log shows of a message. */
export type NoticeView = z.output<typeof notice>

const chatLink = object({
  team: text,
  user: text,
  principal: text,
  name: text,
  linkedAt: moment,
}).meta({ id: 'ChatLink' })

/** An account of a chat, and whose it is. */
export type ChatLinkView = z.output<typeof chatLink>

export const channelEndpoints = {
  'GET /v1/channels': {
    does: 'Lists how requests for approval are told, and what waits.',
    who: 'owner',
    answer: list(channelStatus),
  },
  'GET /v1/channels/links': {
    does: 'Lists which accounts of chats are linked to whom.',
    who: 'owner',
    answer: list(chatLink),
  },
  'DELETE /v1/channels/links/{team}/{user}': {
    does: 'Ends the link of an account.',
    who: 'owner',
    params: object({ team: given(nameCharactersMax), user: given(nameCharactersMax) }),
    status: 204,
    fails: ['SP_NOT_FOUND', 'SP_RECORD_UNAVAILABLE'],
  },
  'GET /v1/channels/log': {
    does: 'Lists what was told and what waits, newest first.',
    who: 'owner',
    query: object({
      channel: given(nameCharactersMax).optional().describe('All channels where absent.'),
      limit: countIn(1, logLimitMax).optional().describe('50 where absent.'),
    }),
    answer: list(notice),
  },
  'POST /v1/channels/{name}/test': {
    does: 'Sends a message that says that it is a test.',
    who: 'owner',
    params: object({ name: given(nameCharactersMax) }),
    answer: channelTest,
    fails: ['SP_NOT_FOUND', 'SP_RECORD_UNAVAILABLE'],
  },
} as const satisfies Endpoints

const idCharactersMax = 64
const subjectCharactersMax = 1024
const noteCharactersMax = 500

export const callbackEndpoints = {
  'POST /v1/approvals/callback/{channel}': {
    does: 'Takes what a person answered from a system that is trusted to have authenticated them: signed, once, in time.',
    who: 'anybody',
    params: object({ channel: given(nameCharactersMax) }),
    headers: object({
      'webhook-id': given(subjectCharactersMax).describe('Of this answer alone: it is taken once.'),
      'webhook-timestamp': given(idCharactersMax).describe('Seconds since the epoch.'),
      'webhook-signature': given(subjectCharactersMax).describe(
        'Of Standard Webhooks: v1, and the base64 of HMAC-SHA-256 over id, timestamp and body.',
      ),
    }),
    body: object({
      approval: given(idCharactersMax).describe('The whole id.'),
      binding: given(idCharactersMax).describe('As the event had it.'),
      subject: given(subjectCharactersMax).describe(
        "The person's, at the provider of the channel.",
      ),
      decision: z.enum(['approve', 'deny']),
      note: z.string().max(noteCharactersMax).optional(),
    }),
    answer: object({ id: text, state: text }),
    fails: [
      'SP_CALLBACK_REFUSED',
      'SP_APPROVAL_REFUSED',
      'SP_NOT_FOUND',
      'SP_RECORD_UNAVAILABLE',
      'SP_RATE_LIMIT',
    ],
  },
} as const satisfies Endpoints

import type { Secret } from '@sallyport/core'
import type { NoticeKind } from '../channel.ts'

/** Which requests go to a channel: those that match each list that is there. */
export interface Route {
  /** Rules that ask, as `policy/rule`; `*` stands for any run of characters. */
  readonly rules?: readonly string[]
  readonly connections?: readonly string[]
  /** Groups that a rule of the request names. */
  readonly groups?: readonly string[]
}

interface AnyChannel {
  readonly name: string
  /** Any of these; all requests where there are none. */
  readonly routes: readonly Route[]
  readonly events: readonly NoticeKind[]
}

/** Events to a receiver over HTTP, signed. */
export interface WebhookChannel extends AnyChannel {
  readonly type: 'webhook'
  readonly url: string
  /** Signs each request. */
  readonly secret: Secret<string>
  /** The value of an `Authorization` header. */
  readonly authorization?: Secret<string>
  readonly callback?: Callback
}

/** A system that is trusted to have authenticated a person, and to say what they answered. */
export interface Callback {
  /** The name of a provider of logins: it speaks for its people only. */
  readonly provider: string
  /** Signs answers; never that which signs events. */
  readonly secret: Secret<string>
  /** How long ago a person may have logged in at the gateway, in milliseconds. */
  readonly loginWithinMs: number
}

/** Plain mail with links, by SMTP. */
export interface EmailChannel extends AnyChannel {
  readonly type: 'email'
  readonly host: string
  readonly port: number
  /** `off` on this machine alone. */
  readonly tls: 'starttls' | 'tls' | 'off'
  /** PEM; what the system trusts where absent. */
  readonly ca?: Secret<string>
  readonly login?: { readonly user: string; readonly password: Secret<string> }
  readonly from: string
  readonly to: readonly string[]
}

/** Messages in a channel of Slack; with a token of the app also buttons, over Socket Mode. */
export interface SlackChannel extends AnyChannel {
  readonly type: 'slack'
  /** Where the Web API is, with a slash at the end. */
  readonly api: string
  /** `xoxb-…` */
  readonly botToken: Secret<string>
  /** `xapp-…`; absent where nobody answers in the chat. */
  readonly appToken?: Secret<string>
  /** The id of the channel, `C0123456789`. */
  readonly channel: string
  /** How long ago a person who presses a button may have logged in at the gateway, in milliseconds. */
  readonly loginWithinMs: number
}

/** One channel, by its name. */
export type ChannelConfig = WebhookChannel | EmailChannel | SlackChannel

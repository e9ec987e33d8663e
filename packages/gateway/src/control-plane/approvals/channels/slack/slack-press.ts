import type { ChatAccount } from '../people/chat-links.ts'
import { oneLine } from '../told-approval.ts'

/** A button that somebody pressed, as Slack tells it over a socket that only Slack can write to. */
export interface Press extends ChatAccount {
  readonly channel: string
  readonly decision: 'approve' | 'deny'
  readonly approval: string
  readonly binding: string
}

const decisions = ['approve', 'deny'] as const
const idPattern = /^[A-Z0-9]{2,40}$/u

/** Of Slack's `block_actions`. Undefined for anything else: links are pressed too, and tell so. */
export function pressIn(payload: unknown): Press | undefined {
  const { type, team, user, channel, actions } = fieldsOf(payload)
  const [action] = Array.isArray(actions) ? (actions as unknown[]) : []
  const { action_id: pressed, value } = fieldsOf(action)
  const decision = decisions.find((each) => each === pressed)
  if (type !== 'block_actions' || decision === undefined || typeof value !== 'string')
    return undefined
  const who = fieldsOf(user)
  // In a channel that is shared, the team of the account is another than that of the message.
  const teamId = idOf(who['team_id'] ?? fieldsOf(team)['id'])
  const userId = idOf(who['id'])
  const channelId = idOf(fieldsOf(channel)['id'])
  const [approval, binding, ...rest] = value.split(':')
  if (teamId === undefined || userId === undefined || channelId === undefined) return undefined
  if (approval === undefined || binding === undefined || rest.length > 0) return undefined
  const name = who['username'] ?? who['name']
  const shownName = oneLine(typeof name === 'string' ? `@${name}` : userId)
  return { team: teamId, user: userId, shownName, channel: channelId, decision, approval, binding }
}

function idOf(value: unknown): string | undefined {
  return typeof value === 'string' && idPattern.test(value) ? value : undefined
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? { ...value } : {}
}

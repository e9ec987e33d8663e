import { matchesAny } from '@sallyport/core'
import type { ApprovalView } from '../approval.ts'
import type { ChannelConfig, Route } from './config/channel-config.ts'

/** Whether requests like this one go to a channel. */
export function goesTo(
  { routes }: Pick<ChannelConfig, 'routes'>,
  view: Pick<ApprovalView, 'connection' | 'demands'>,
): boolean {
  return routes.length === 0 || routes.some((route) => takes(route, view))
}

function takes(
  { rules, connections, groups }: Route,
  { connection, demands }: Pick<ApprovalView, 'connection' | 'demands'>,
): boolean {
  if (connections !== undefined && !matchesAny(connections, connection)) return false
  // One rule has to be and to name what is asked for: another's group is not who this rule asks.
  return demands.some(
    ({ rule, from }) =>
      (rules === undefined || matchesAny(rules, rule)) &&
      (groups === undefined || from.some((who) => namesGroup(who, groups))),
  )
}

function namesGroup(who: string, groups: readonly string[]): boolean {
  return who.startsWith('group:') && matchesAny(groups, who.slice('group:'.length))
}

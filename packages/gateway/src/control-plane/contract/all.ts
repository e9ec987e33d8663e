import { breakGlassEndpoints } from './break-glass.ts'
import { agentEndpoints, ticketEndpoints, treeEndpoints } from './agents.ts'
import { callbackEndpoints, channelEndpoints } from './channels.ts'
import { approvalEndpoints } from './approvals.ts'
import { connectionEndpoints } from './connections.ts'
import { incidentEndpoints } from './incidents.ts'
import { operationEndpoints, publicEndpoints } from './operations.ts'
import { policyEndpoints } from './policies.ts'
import { retentionEndpoints } from './retention.ts'
import { sessionEndpoints } from './sessions.ts'

/** The whole API, by area, in the order of its document. */
export const areas = {
  Gateway: { ...publicEndpoints, ...operationEndpoints },
  Connections: connectionEndpoints,
  Agents: { ...treeEndpoints, ...ticketEndpoints, ...agentEndpoints },
  Policies: policyEndpoints,
  Channels: { ...channelEndpoints, ...callbackEndpoints },
  Approvals: approvalEndpoints,
  Recordings: { ...sessionEndpoints, ...retentionEndpoints },
  Incidents: incidentEndpoints,
  'Break-glass': breakGlassEndpoints,
} as const

/** All endpoints by method and path. */
export type Api = (typeof areas)['Gateway'] &
  (typeof areas)['Connections'] &
  (typeof areas)['Agents'] &
  (typeof areas)['Policies'] &
  (typeof areas)['Channels'] &
  (typeof areas)['Approvals'] &
  (typeof areas)['Recordings'] &
  (typeof areas)['Incidents'] &
  (typeof areas)['Break-glass']

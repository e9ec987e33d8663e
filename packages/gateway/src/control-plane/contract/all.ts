import { agentEndpoints, ticketEndpoints, treeEndpoints } from './agents.ts'
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
  Recordings: { ...sessionEndpoints, ...retentionEndpoints },
  Incidents: incidentEndpoints,
} as const

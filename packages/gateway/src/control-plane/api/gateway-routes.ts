import type { Hono } from 'hono'
import { operationEndpoints } from '../contract/operations.ts'
import type { GatewayOperations } from './owner-operations.ts'
import { serve } from './serve.ts'

const pageLimitDefault = 20

/** The gateway itself: its state, its ledger, its keys and where it tells events, for the owner. */
export function addGatewayRoutes(app: Hono, operations: GatewayOperations): void {
  serve(app, operationEndpoints, () => undefined, {
    'GET /v1/status': async () => await operations.status(),
    'GET /v1/ledger': async ({ query: { q = '', limit = pageLimitDefault, after } }) =>
      await operations.readLedger({ query: q, limit, ...(after === undefined ? {} : { after }) }),
    'GET /v1/keys': async () => await operations.listKeys(),
    'POST /v1/keys/rotate': async () => await operations.rotateKey(),
    'GET /v1/event-exports': async () => await operations.listExports(),
    'POST /v1/event-exports/{name}/test': async ({ params }) =>
      await operations.testExport(params.name),
  })
}

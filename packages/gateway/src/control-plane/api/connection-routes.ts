import type { Hono } from 'hono'
import type * as z from 'zod'
import { bytesOf } from '../bytes-of.ts'
import { settingsDefault } from '../connection-settings.ts'
import type { NewConnection } from '../connections.ts'
import { connectionEndpoints, type newConnection } from '../contract/connections.ts'
import { guardRequestOf } from '../guard/guard-request.ts'
import type { ConnectionOperations } from './owner-operations.ts'
import { present } from './present.ts'
import { serve } from './serve.ts'

const portDefault = 5432

/** Connections, their guards and credentials, for the owner. */
export function addConnectionRoutes(app: Hono, operations: ConnectionOperations): void {
  serve(app, connectionEndpoints, () => undefined, {
    'GET /v1/connections': async () => await operations.listConnections(),
    'POST /v1/connections': async ({ body }) =>
      await operations.putConnection(newConnectionOf(body)),
    'GET /v1/connections/{name}': async ({ params }) => await operations.getConnection(params.name),
    'PATCH /v1/connections/{name}': async ({ params, body }) =>
      await operations.setConnection(params.name, present(body)),
    'DELETE /v1/connections/{name}': async ({ params }) => {
      await operations.removeConnection(params.name)
    },
    'POST /v1/connections/{name}/test': async ({ params }) =>
      await operations.testConnection(params.name),
    'POST /v1/connections/{name}/guard': async ({ params, body, context }) => {
      const request = guardRequestOf(body)
      await operations.getConnection(params.name)
      const pieces = bytesOf(await operations.guardConnection(params.name, request))
      return context.body(pieces, 200, { 'content-type': 'application/x-ndjson' })
    },
    'POST /v1/credentials': async ({ body: { connection, allow = [], ttlMs } }) =>
      await operations.issueCredential({
        connection,
        ...(allow.length === 0 ? {} : { allow }),
        ...(ttlMs === undefined ? {} : { ttlMs }),
      }),
  })
}

/** A connection as it was sent, with what is meant where nothing was said. */
export function newConnectionOf(body: z.output<typeof newConnection>): NewConnection {
  const { name, labels, host, port, user, password, database, tls, ca, ...settings } = body
  return {
    name,
    labels: labels ?? {},
    host,
    port: port ?? portDefault,
    user,
    password: password ?? '',
    database: database ?? user,
    tls: { mode: tls ?? 'full', ...(ca === undefined ? {} : { ca }) },
    settings: { ...settingsDefault, ...present(settings) },
  }
}

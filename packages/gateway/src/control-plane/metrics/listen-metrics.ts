import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { SallyportError } from '@sallyport/core'
import { isNameOfHere, isThisMachine } from '../this-machine.ts'
import { expositionType } from './exposition.ts'
import type { Readiness } from './readiness.ts'

/** What the port of metrics answers from. */
export interface MetricsPages {
  /** Prometheus' text format. */
  metrics(): Promise<string>
  readiness(): Promise<Readiness>
}

/** A listening port of metrics. */
export interface MetricsListener {
  readonly port: number
  close(): Promise<void>
}

/** Who asks for metrics sends a few headers. */
const headersMsMax = 5000

/** Serves `/metrics`, `/healthz` and `/readyz`, to everybody who reaches the port. */
export async function listenMetrics(
  pages: MetricsPages,
  host: string,
  port: number,
): Promise<MetricsListener> {
  const isOpen = !isThisMachine(host)
  const server = createServer((request, response) => {
    // A page in a browser may let a name of its own lead to this machine.
    if (!isOpen && !isNameOfHere(request.headers.host, undefined)) return end(response, 421)
    void answer(pages, request, response).catch(() => end(response, 500))
  })
  server.headersTimeout = headersMsMax
  server.requestTimeout = headersMsMax
  server.listen(port, host)
  try {
    await once(server, 'listening')
  } catch (cause) {
    const message = `port ${port} of ${host} cannot be used for metrics. Choose another: --port-metrics`
    throw new SallyportError('SP_CONFIG_INVALID', message, { cause, detail: message })
  }
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}

async function answer(
  pages: MetricsPages,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const [path] = (request.url ?? '').split('?')
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.setHeader('allow', 'GET, HEAD')
    return end(response, 405)
  }
  if (path === '/metrics') return end(response, 200, expositionType, await pages.metrics())
  if (path === '/healthz') return json(response, 200, { ok: true })
  if (path === '/readyz') {
    const found = await pages.readiness()
    return json(response, found.ready ? 200 : 503, found)
  }
  return end(response, 404)
}

function json(response: ServerResponse, status: number, body: unknown): void {
  end(response, status, 'application/json', `${JSON.stringify(body)}\n`)
}

function end(response: ServerResponse, status: number, type = 'text/plain', body = ''): void {
  if (response.headersSent) return
  response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' })
  // Node leaves the body out where HEAD was asked.
  response.end(body)
}

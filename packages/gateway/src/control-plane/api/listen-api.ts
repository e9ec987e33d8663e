import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { ERRORS, SallyportError } from '@sallyport/core'
import { getRequestListener } from '@hono/node-server'
import type { Hono } from 'hono'
import { isNameOfHere, isThisMachine } from '../this-machine.ts'

/** A listening API. */
export interface ApiListener {
  readonly port: number
  close(): Promise<void>
}

/** Serves the routes on one address of this machine. */
export async function listenApi(
  app: Hono,
  host: string,
  port: number,
  publicUrl?: string,
): Promise<ApiListener> {
  const answer = getRequestListener(app.fetch)
  const isOpen = !isThisMachine(host)
  const listener = createServer((request, response) => {
    if (isOpen || isNameOfHere(request.headers.host, publicUrl)) void answer(request, response)
    else refuseHost(response)
  })
  listener.listen(port, host)
  try {
    await once(listener, 'listening')
  } catch (cause) {
    const message = `port ${port} of ${host} cannot be used for the API. Choose another: --port-api`
    throw new SallyportError('SP_CONFIG_INVALID', message, { cause, detail: message })
  }
  return {
    port: (listener.address() as AddressInfo).port,
    async close() {
      const closed = once(listener, 'close')
      listener.close()
      listener.closeAllConnections()
      await closed
    },
  }
}

function refuseHost(response: ServerResponse): void {
  const code = 'SP_NOT_FOUND'
  const message = 'this API is not served by the name in the Host header: use 127.0.0.1'
  const body = { error: { code, message, retry: ERRORS[code].retry, fix: ERRORS[code].say } }
  response.writeHead(421, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}

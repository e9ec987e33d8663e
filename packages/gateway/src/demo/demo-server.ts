import { createServer, type Server, type Socket } from 'node:net'
import type { DemoBackend } from './demo-backend.ts'
import type { DemoLogin } from './demo-login.ts'
import { serveDemoSession } from './demo-session.ts'

export interface DemoServerOptions extends DemoLogin {
  readonly host: string
  readonly port: number
}

/** Accepts PostgreSQL connections for the demo database. */
export async function listenDemo(
  options: DemoServerOptions,
  backend: DemoBackend,
): Promise<{ port: number; close(): Promise<void> }> {
  const sockets = new Set<Socket>()
  const listener = createServer((socket) => {
    sockets.add(socket)
    socket.setNoDelay(true)
    // A connection that breaks ends its own session only; the loop below sees the end and cleans up.
    socket.on('error', () => socket.destroy())
    void serveDemoSession(socket, options, backend).finally(() => {
      sockets.delete(socket)
      socket.destroy()
    })
  })
  await listen(listener, options)
  const address = listener.address()
  return {
    port: typeof address === 'object' && address !== null ? address.port : options.port,
    close: () => close(listener, sockets),
  }
}

function listen(listener: Server, { host, port }: DemoServerOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    listener.once('error', reject)
    listener.listen({ host, port }, () => resolve())
  })
}

function close(listener: Server, sockets: ReadonlySet<Socket>): Promise<void> {
  for (const socket of sockets) socket.destroy()
  return new Promise((resolve) => {
    listener.close(() => resolve())
  })
}

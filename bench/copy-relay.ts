import { connect, createServer } from 'node:net'

/** Copies bytes between a listener and PostgreSQL and does nothing else: what Node itself costs, below which no gateway in it can go. */
const [listen, target] = process.argv.slice(2).map(Number)
if (listen === undefined || target === undefined) {
  throw new Error('usage: copy-relay.ts <port to listen on> <port of PostgreSQL>')
}
createServer({ noDelay: true }, (downstream) => {
  const upstream = connect({ port: target, host: '127.0.0.1', noDelay: true })
  downstream.pipe(upstream).pipe(downstream)
  downstream.on('error', () => upstream.destroy())
  upstream.on('error', () => downstream.destroy())
}).listen(listen, '127.0.0.1')

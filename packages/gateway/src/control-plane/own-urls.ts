/** By which URLs requests of this gateway may name it: in public, and on this machine where it listens there. */
export function ownUrls(gatewayUrl: string, host: string, port: number): readonly string[] {
  const local = ['127.0.0.1', 'localhost', '[::1]'].map((name) => `http://${name}:${port}`)
  const bound = `http://${host.includes(':') ? `[${host}]` : host}:${port}`
  return [...new Set([gatewayUrl.replace(/\/+$/u, ''), bound, ...local])]
}

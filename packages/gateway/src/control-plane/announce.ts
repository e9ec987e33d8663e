import { X509Certificate } from 'node:crypto'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Status } from './contract/operations.ts'

/** Writes the file by which other commands, and the local broker, find the gateway. It goes when the gateway ends. */
export async function announce(
  dataDir: string,
  status: Status,
  cert: string,
  undo: AsyncDisposableStack,
): Promise<void> {
  const path = join(dataDir, 'gateway.json')
  const facts = {
    url: `http://${status.host}:${status.ports.api}`,
    pid: status.pid,
    postgres: { host: status.host, port: status.ports.postgres },
    // A local broker pins it: the listener's certificate is signed by nobody.
    certSha256: new X509Certificate(cert).fingerprint256.replaceAll(':', '').toLowerCase(),
  }
  await writeFile(path, `${JSON.stringify(facts)}\n`, { mode: 0o600 })
  undo.defer(async () => await rm(path, { force: true }))
}

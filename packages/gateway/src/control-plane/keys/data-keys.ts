import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { SallyportError, Secret } from '@sallyport/core'
import { secretFile } from './secret-file.ts'
import { LineageKey } from './lineage-key.ts'
import { currentCertificate } from './listener-certificate.ts'

const keyBytes = 32

/** The key material of one data folder: files of mode 0600, never rows of the database. */
export interface DataKeys {
  /** Seals the passwords of targets. */
  readonly kek: Secret<Buffer>
  readonly recording: Secret<Buffer>
  readonly mask: Secret<Buffer>
  /** Opens the API. */
  readonly ownerToken: Secret<string>
  readonly lineage: LineageKey
  /** PEM. */
  readonly tls: { readonly cert: string; readonly key: string }
}

/** Reads the keys of a data folder, making those that are absent. */
export async function loadDataKeys(dataDir: string): Promise<DataKeys> {
  const [kek, recording, mask, ownerToken, lineage, tls] = await Promise.all([
    keyFile(join(dataDir, 'kek')),
    keyFile(join(dataDir, 'recording.key')),
    keyFile(join(dataDir, 'mask.key')),
    secretFile(
      join(dataDir, 'owner.token'),
      () => `${randomBytes(keyBytes).toString('base64url')}\n`,
    ),
    LineageKey.open(dataDir),
    currentCertificate(dataDir),
  ])
  return { kek, recording, mask, lineage, ownerToken: new Secret(ownerToken.trim()), tls }
}

async function keyFile(path: string): Promise<Secret<Buffer>> {
  const text = await secretFile(path, () => `${randomBytes(keyBytes).toString('base64')}\n`)
  const key = Buffer.from(text.trim(), 'base64')
  if (key.length !== keyBytes) {
    throw new SallyportError('SP_CONFIG_INVALID', `${path} must hold ${keyBytes} bytes in base64`)
  }
  return new Secret(key)
}

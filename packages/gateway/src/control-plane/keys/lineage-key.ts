import { generateKeyPairSync } from 'node:crypto'
import { join } from 'node:path'
import { calculateJwkThumbprint, exportJWK, importPKCS8, type JWK, SignJWT } from 'jose'
import { secretFile } from './secret-file.ts'

const algorithm = 'EdDSA'

/** Signs what the gateway says of its agents, for readers who were not there. Its key signs nothing else. */
export class LineageKey {
  readonly publicJwk: JWK
  readonly #key: Awaited<ReturnType<typeof importPKCS8>>
  readonly #keyId: string

  /** Reads `lineage.key` of the data folder, or makes it. */
  static async open(dataDir: string): Promise<LineageKey> {
    const text = await secretFile(join(dataDir, 'lineage.key'), () =>
      generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    )
    const key = await importPKCS8(text, algorithm, { extractable: true })
    const { d: _, ...jwk } = await exportJWK(key)
    const keyId = await calculateJwkThumbprint(jwk, 'sha256')
    return new LineageKey(key, { ...jwk, kid: keyId, alg: algorithm, use: 'sig' }, keyId)
  }

  private constructor(key: Awaited<ReturnType<typeof importPKCS8>>, publicJwk: JWK, keyId: string) {
    this.#key = key
    this.publicJwk = publicJwk
    this.#keyId = keyId
  }

  /** A compact JWS (RFC 7515). The type of its own keeps it from being taken for a token that opens anything. */
  async sign(statement: Readonly<Record<string, unknown>>): Promise<string> {
    return await new SignJWT(statement)
      .setProtectedHeader({ alg: algorithm, kid: this.#keyId, typ: 'sallyport-lineage+jwt' })
      .sign(this.#key)
  }
}

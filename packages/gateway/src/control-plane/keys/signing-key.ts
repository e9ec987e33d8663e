import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { join } from 'node:path'
import { SallyportError } from '@sallyport/core'
import { calculateJwkThumbprint, CompactSign, exportJWK } from 'jose'
import { secretFile } from './secret-file.ts'

/** Signs what this node says of its recordings: seals and anchors, as JWS (RFC 7515) with Ed25519 (RFC 8037). */
export interface SigningKey {
  /** Thumbprint of the public key (RFC 7638). */
  readonly id: string
  /** PEM. */
  readonly publicKey: string
  /** A compact JWS over the JSON of `payload`. */
  sign(payload: object): Promise<string>
}

/** Reads the node's key, making it where it is absent. */
export async function loadSigningKey(dataDir: string): Promise<SigningKey> {
  const path = signingKeyPath(dataDir)
  const pem = await secretFile(path, newSigningKey)
  return await signingKeyOf(pem, path)
}

export function signingKeyPath(dataDir: string): string {
  return join(dataDir, 'signing.key')
}

/** A new private key, in PEM. */
export function newSigningKey(): string {
  const { privateKey } = generateKeyPairSync('ed25519')
  return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
}

export async function signingKeyOf(pem: string, path: string): Promise<SigningKey> {
  let key: KeyObject
  try {
    key = createPrivateKey(pem)
  } catch (cause) {
    throw new SallyportError('SP_CONFIG_INVALID', `${path} holds no private key`, { cause })
  }
  if (key.asymmetricKeyType !== 'ed25519')
    throw new SallyportError('SP_CONFIG_INVALID', `${path} must hold an Ed25519 key`)
  const publicKey = createPublicKey(key)
  const id = await calculateJwkThumbprint(await exportJWK(publicKey))
  return {
    id,
    publicKey: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    sign: async (payload) =>
      await new CompactSign(new TextEncoder().encode(JSON.stringify(payload)))
        .setProtectedHeader({ alg: 'EdDSA', kid: id })
        .sign(key),
  }
}

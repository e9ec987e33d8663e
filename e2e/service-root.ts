import assert from 'node:assert/strict'
import { generateKeyPairSync, randomUUID, sign, type KeyObject } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { TestAgent } from './agent-family.ts'
import type { TestGateway } from './test-gateway.ts'

/** A service that proves itself with a key of its own: agents below it have another principal than the owner's. */
export class TestService {
  readonly name: string
  readonly #key: KeyObject

  private constructor(name: string, key: KeyObject) {
    this.name = name
    this.#key = key
  }

  /** Puts its key into the data folder of a gateway that starts then. */
  static async prepare(dataDir: string, name: string): Promise<TestService> {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const jwk = { ...publicKey.export({ format: 'jwk' }), kid: 'k1', alg: 'ES256' }
    const folder = join(dataDir, 'identity')
    await mkdir(folder, { recursive: true })
    await writeFile(join(folder, `${name}.json`), JSON.stringify({ keys: [jwk] }))
    await writeFile(join(folder, `${name}.yaml`), identity(name))
    return new TestService(name, privateKey)
  }

  /** A new root of its own. */
  async root({ gateway }: TestGateway): Promise<TestAgent> {
    const url = `http://127.0.0.1:${gateway.ports.api}`
    const now = Math.floor(Date.now() / 1000)
    const claims = { iss: this.name, sub: this.name, aud: url, jti: randomUUID() }
    const assertion = this.#signed({ ...claims, iat: now, exp: now + 60 })
    const response = await fetch(`${url}/oauth/token`, {
      method: 'POST',
      body: new URLSearchParams({
        grant_type: 'client_credentials',
        client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
        client_assertion: assertion,
      }),
    })
    const text = await response.text()
    assert.ok(response.ok, text)
    const { access_token: handle, agent } = JSON.parse(text) as {
      access_token: string
      agent: { id: string }
    }
    return { id: agent.id, handle, cut: [] }
  }

  /** A JWT (RFC 7515, section 3.1) with the service's key. */
  #signed(claims: object): string {
    const input = `${encoded({ alg: 'ES256', kid: 'k1' })}.${encoded(claims)}`
    const key = { key: this.#key, dsaEncoding: 'ieee-p1363' } as const
    return `${input}.${sign('sha256', Buffer.from(input), key).toString('base64url')}`
  }
}

function encoded(part: object): string {
  return Buffer.from(JSON.stringify(part)).toString('base64url')
}

const identity = (name: string): string => `apiVersion: sallyport.dev/v1
kind: Service
metadata: {name: ${name}}
spec: {jwksFile: ${name}.json, owner: "group:ops"}
---
apiVersion: sallyport.dev/v1
kind: Grant
metadata: {name: for-${name}}
spec: {to: ["service:${name}"], on: [{connections: ["shop"]}], allow: ["*"]}
`

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { until } from '@sallyport/testkit'
import { LocalProvider } from '../packages/gateway/src/control-plane/births/local-provider.fixture.ts'
import type { TestGateway } from './test-gateway.ts'

/** A provider of OpenID Connect on this machine, and where it sends back to. */
export interface People {
  readonly provider: LocalProvider
  /** Of the gateway's API and pages. */
  readonly url: string
}

/** Starts a provider named `idp`, and resolves when the gateway knows it and what else `objects` says, in YAML. */
export async function startPeople(
  { gateway, dataDir }: TestGateway,
  objects = '',
): Promise<People> {
  const url = `http://127.0.0.1:${gateway.ports.api}`
  const provider = await LocalProvider.open(`${url}/login/callback`, true)
  const folder = join(dataDir, 'identity')
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'secret'), 'test-secret')
  writeFileSync(join(folder, 'people.yaml'), `${providerObject(provider.url)}${objects}`)
  await until('the provider is in force', async () => {
    const metadata = await (await fetch(`${url}/.well-known/oauth-authorization-server`)).text()
    return metadata.includes('device_authorization')
  })
  return { provider, url }
}

/** A grant of rights to a group, as a document of its own. */
export function grantTo(group: string, allow: string): string {
  return `---
apiVersion: sallyport.dev/v1
kind: Grant
metadata: {name: of-${group}}
spec: {to: ["group:${group}"], on: [{connections: ["shop"]}], allow: ["${allow}"]}
`
}

function providerObject(issuer: string): string {
  return `apiVersion: sallyport.dev/v1
kind: OidcProvider
metadata: {name: idp}
spec:
  issuer: ${issuer}
  clientId: sallyport
  clientSecret: {from: "file:secret"}
  scopes: [openid, email, profile]
`
}

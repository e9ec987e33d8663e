import { deflateRawSync } from 'node:zlib'
import type { SamlProvider } from '../config/identity-config.ts'

/** How this gateway is called by providers of SAML: the address of its metadata. */
export function samlEntityId(gatewayUrl: string): string {
  return `${gatewayUrl}/saml/metadata`
}

/** Where providers send browsers with their answer. */
export function samlAcsUrl(gatewayUrl: string): string {
  return `${gatewayUrl}/saml/acs`
}

/** The address at the provider where a person logs in: an AuthnRequest by the HTTP-Redirect binding (SAML Bindings, 3.4). */
export function authnRequestUrl(
  provider: SamlProvider,
  id: string,
  gatewayUrl: string,
  nowMs: number,
  isFresh = false,
): URL {
  const acs = escapeXml(samlAcsUrl(gatewayUrl))
  const request = `<samlp:AuthnRequest xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="${id}" Version="2.0" IssueInstant="${new Date(nowMs).toISOString()}"${isFresh ? ' ForceAuthn="true"' : ''} Destination="${escapeXml(provider.ssoUrl)}" AssertionConsumerServiceURL="${acs}" ProtocolBinding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"><saml:Issuer>${escapeXml(samlEntityId(gatewayUrl))}</saml:Issuer></samlp:AuthnRequest>`
  const url = new URL(provider.ssoUrl)
  url.searchParams.set('SAMLRequest', deflateRawSync(request).toString('base64'))
  return url
}

/** What a provider has to know of this gateway (SAML Metadata, 2.4.4). */
export function samlMetadata(gatewayUrl: string): string {
  const acs = escapeXml(samlAcsUrl(gatewayUrl))
  return `<?xml version="1.0" encoding="UTF-8"?>
<md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" entityID="${escapeXml(samlEntityId(gatewayUrl))}"><md:SPSSODescriptor AuthnRequestsSigned="false" WantAssertionsSigned="true" protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol"><md:AssertionConsumerService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" Location="${acs}" index="0" isDefault="true"/></md:SPSSODescriptor></md:EntityDescriptor>
`
}

const marks: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&apos;',
}

function escapeXml(text: string): string {
  return text.replaceAll(/[&<>"']/gu, (mark) => marks[mark] ?? '')
}

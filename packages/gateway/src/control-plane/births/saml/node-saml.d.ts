/** The little of @node-saml/node-saml that is used. */
export interface SamlOptions {
  readonly idpCert: string[]
  readonly issuer: string
  readonly audience: string
  readonly callbackUrl: string
  readonly wantAssertionsSigned: boolean
  readonly wantAuthnResponseSigned: boolean
  readonly acceptedClockSkewMs: number
  readonly maxAssertionAgeMs: number
  readonly validateInResponseTo: 'never'
}

export class SAML {
  constructor(options: SamlOptions)
  validatePostResponseAsync(container: { readonly SAMLResponse: string }): Promise<{
    readonly profile: { getAssertion?(): unknown } | null
  }>
}

export const ValidateInResponseTo: { readonly never: 'never' }

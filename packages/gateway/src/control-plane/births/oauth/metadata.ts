import { tokenAlgorithms } from '../workload/verify-token.ts'

/** What clients of OAuth learn of this gateway (RFC 8414). Only what it has. */
export function serverMetadata(
  gatewayUrl: string,
  canLogIn: boolean,
): Readonly<Record<string, unknown>> {
  const human = canLogIn ? [grantTypes.code, grantTypes.device] : []
  return {
    issuer: gatewayUrl,
    jwks_uri: `${gatewayUrl}/oauth/jwks`,
    token_endpoint: `${gatewayUrl}/oauth/token`,
    ...(canLogIn
      ? {
          authorization_endpoint: `${gatewayUrl}/oauth/authorize`,
          device_authorization_endpoint: `${gatewayUrl}/oauth/device_authorization`,
          code_challenge_methods_supported: ['S256'],
          authorization_response_iss_parameter_supported: true,
        }
      : {}),
    response_types_supported: canLogIn ? ['code'] : [],
    grant_types_supported: [...human, grantTypes.jwt, grantTypes.exchange, grantTypes.service],
    token_endpoint_auth_methods_supported: ['none', 'private_key_jwt'],
    token_endpoint_auth_signing_alg_values_supported: tokenAlgorithms,
    authorization_details_types_supported: ['sallyport_grant'],
    dpop_signing_alg_values_supported: tokenAlgorithms,
  }
}

/** The values of `grant_type` that are served. */
export const grantTypes = {
  code: 'authorization_code',
  device: 'urn:ietf:params:oauth:grant-type:device_code',
  jwt: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
  exchange: 'urn:ietf:params:oauth:grant-type:token-exchange',
  service: 'client_credentials',
} as const

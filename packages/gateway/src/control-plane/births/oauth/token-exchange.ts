import { SallyportError } from '@sallyport/core'
import type { CheckedProof } from '../../dpop.ts'
import type { BirthAgents, BirthEvent, Born } from '../ports.ts'
import type { WorkloadBirths } from '../workload/workload-births.ts'
import { readGrantAsk } from './grant-request.ts'
import { OAuthError } from './oauth-error.ts'

/** The type of a handle, as a token. */
export const agentTokenType = 'urn:sallyport:token-type:agent'
const jwtTypes = [
  'urn:ietf:params:oauth:token-type:jwt',
  'urn:ietf:params:oauth:token-type:id_token',
]

export interface ExchangeOptions {
  readonly agents: BirthAgents
  readonly workloads: Pick<WorkloadBirths, 'attest'>
  readonly gatewayUrl: () => string
  readonly onEvent: (event: BirthEvent) => void
}

/**
 * Makes a child for standard clients (RFC 8693). The parent is the agent whose handle is the subject token, and nothing
 * else in the request can choose another: an actor token attests the child only.
 */
export async function exchangeToken(
  form: URLSearchParams,
  options: ExchangeOptions,
  { source, proof }: { readonly source: string; readonly proof: CheckedProof | undefined },
): Promise<Born> {
  if (form.get('subject_token_type') !== agentTokenType) {
    throw new OAuthError('invalid_request', `subject_token_type must be ${agentTokenType}`)
  }
  const wanted = form.get('requested_token_type')
  if (wanted !== null && wanted !== agentTokenType) {
    throw new OAuthError('invalid_request', `requested_token_type must be ${agentTokenType}`)
  }
  const bound = proof === undefined ? {} : { thumbprint: proof.thumbprint }
  const parent = options.agents.authenticateHandle(form.get('subject_token') ?? '', {
    source,
    ...bound,
  })
  if (parent === undefined) {
    throw new SallyportError('SP_LOGIN_REFUSED', 'the subject token is not valid', {
      detail: 'the subject token is not valid',
    })
  }
  await proof?.use()
  const ask = readGrantAsk(form, options.gatewayUrl())
  const declared = await attested(form, options)
  const purpose = form.get('purpose')
  const born = await options.agents.spawn(parent.id, {
    name: form.get('name') ?? 'child',
    layers: ask.layers,
    budget: ask.budget,
    delegate: ask.delegate,
    born: 'mint',
    handle: true,
    ...(proof === undefined ? {} : { boundTo: proof.thumbprint }),
    ...(ask.ttlMs === undefined ? {} : { ttlMs: ask.ttlMs }),
    ...(purpose === null ? {} : { purpose }),
    ...(declared === undefined ? {} : { declared }),
  })
  options.onEvent({ kind: 'exchange', parent: parent.id, agent: born.agent.id })
  return born
}

async function attested(
  form: URLSearchParams,
  { workloads }: ExchangeOptions,
): Promise<Readonly<Record<string, string>> | undefined> {
  const token = form.get('actor_token')
  const type = form.get('actor_token_type')
  if (token === null && type === null) return undefined
  if (token === null || type === null || !jwtTypes.includes(type)) {
    throw new OAuthError(
      'invalid_request',
      `actor_token needs actor_token_type, one of ${jwtTypes.join(', ')}`,
    )
  }
  return workloads.attest(token)
}

import { SallyportError, type GrantLayer, type Principal } from '@sallyport/core'
import { decodeJwt, errors, jwtVerify } from 'jose'
import type { CheckedProof } from '../../dpop.ts'
import type { IdentityConfig, Service } from '../config/identity-config.ts'
import { askedOf, type Entitlements, serviceId, smallerBudget, tightest } from '../entitlements.ts'
import type { GrantAsk } from '../oauth/grant-request.ts'
import { OAuthError } from '../oauth/oauth-error.ts'
import type { BirthAgents, BirthEvent, Born, TokenUses } from '../ports.ts'
import { agentName } from '../workload/claims.ts'
import type { IssuerKeys } from '../workload/issuer-keys.ts'
import { digest } from '../workload/token-job.ts'
import { leewaySeconds, tokenAlgorithms } from '../workload/verify-token.ts'

/** An assertion is made for one request. */
const lifeSecondsMax = 300
const assertionCharactersMax = 8192
const idCharactersMax = 256

export const assertionType = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

export interface ServiceOptions {
  readonly config: () => IdentityConfig
  readonly agents: BirthAgents
  readonly entitlements: Pick<Entitlements, 'of' | 'settle'>
  readonly keys: IssuerKeys
  readonly uses: TokenUses
  readonly gatewayUrl: () => string
  readonly onEvent: (event: BirthEvent) => void
  readonly now: () => number
}

interface Shown {
  readonly service: Service
  readonly id: string
  readonly boot: string | undefined
  readonly forgetAtMs: number
}

/** Makes the roots of services that hold a key of their own (`private_key_jwt`: RFC 7523, section 2.2). */
export class ServiceBirths {
  readonly #options: ServiceOptions

  constructor(options: ServiceOptions) {
    this.#options = options
  }

  async bear(form: URLSearchParams, ask: GrantAsk, proof: CheckedProof | undefined): Promise<Born> {
    const { uses, onEvent } = this.#options
    const shown = await this.#verify(form)
    const { service, id, forgetAtMs } = shown
    await proof?.use()
    const earlier = await uses.take(id, { birthKey: id, forgetAtMs })
    if (earlier !== undefined) {
      onEvent({ kind: 'token.replayed', rule: service.name, why: 'the assertion was used already' })
      throw new SallyportError('SP_TOKEN_REPLAYED', 'the assertion was used already')
    }
    const born = await this.#make(shown, ask, proof?.thumbprint)
    onEvent({ kind: 'token.accepted', agent: born.agent.id, rule: service.name })
    return born
  }

  /** Who it is that nobody knows, and what is wrong with a signature, reads the same to the caller. */
  async #verify(form: URLSearchParams): Promise<Shown> {
    const assertion = form.get('client_assertion') ?? ''
    if (form.get('client_assertion_type') !== assertionType)
      throw new OAuthError('invalid_request', `client_assertion_type must be ${assertionType}`)
    const name = unverifiedName(assertion)
    const service = this.#options.config().services.get(name)
    try {
      if (service === undefined) throw new errors.JOSEError('no service has this name')
      const named = form.get('client_id')
      if (named !== null && named !== name)
        throw new errors.JOSEError('client_id names another service')
      return await this.#check(service, assertion)
    } catch (error) {
      if (!(error instanceof errors.JOSEError)) throw error
      this.#options.onEvent({ kind: 'token.refused', issuer: name, why: error.message })
      throw new OAuthError('invalid_client', 'this assertion is not accepted', {
        code: 'SP_TOKEN_REFUSED',
        status: 401,
      })
    }
  }

  async #check(service: Service, assertion: string): Promise<Shown> {
    const { keys, gatewayUrl, now } = this.#options
    const { name } = service
    const place = { issuer: serviceId(name), keys: service.keys }
    const { payload, protectedHeader } = await jwtVerify(assertion, keys.keyOf(place), {
      algorithms: tokenAlgorithms,
      issuer: name,
      subject: name,
      requiredClaims: ['exp', 'iat', 'jti'],
      maxTokenAge: lifeSecondsMax,
      clockTolerance: leewaySeconds,
      currentDate: new Date(now()),
    })
    const { exp = 0, iat = 0, jti, aud } = payload
    // One audience: an assertion for several servers could be brought here by another one of them.
    if (aud !== gatewayUrl() && aud !== `${gatewayUrl()}/oauth/token`)
      throw new errors.JOSEError('its audience is another server, or several')
    if (!/^(?:client-authentication\+)?jwt$/iu.test(protectedHeader.typ ?? 'jwt'))
      throw new errors.JOSEError('its type is another')
    if (exp - iat > lifeSecondsMax) throw new errors.JOSEError('it lives too long')
    if (typeof jti !== 'string' || jti === '' || jti.length > idCharactersMax)
      throw new errors.JOSEError('it has no jti')
    const { boot_id: boot } = payload
    if (boot !== undefined && (typeof boot !== 'string' || boot.length > idCharactersMax))
      throw new errors.JOSEError('boot_id is no text')
    return {
      service,
      id: digest(['service', name, jti]),
      boot: boot as string | undefined,
      forgetAtMs: (exp + 2 * leewaySeconds) * 1000,
    }
  }

  async #make(
    { service, boot }: Shown,
    ask: GrantAsk,
    thumbprint: string | undefined,
  ): Promise<Born> {
    const { agents, entitlements, config } = this.#options
    const { name, owner } = service
    const profile =
      service.profile === undefined ? undefined : config().profiles.get(service.profile)
    // A ceiling that is gone must not lift what was below it.
    if (service.profile !== undefined && profile === undefined)
      throw new SallyportError('SP_TOKEN_REFUSED', `the profile ${service.profile} is gone`)
    const principal: Principal = { id: serviceId(name), kind: 'service', name, groups: [] }
    const granted = await entitlements.of(principal)
    const ceiling: GrantLayer[] = profile === undefined ? [] : [profile.ceiling]
    const held = tightest([granted.delegate, profile?.delegate ?? {}])
    const born = await agents.createRoot({
      principal,
      name: agentName(name),
      born: 'service',
      owner,
      layers: [...ceiling, ...ask.layers],
      entitlement: granted.layers,
      budget: smallerBudget(granted.budget, ask.budget),
      delegate: askedOf(held, ask.delegate),
      ttlMs: Math.min(service.maxTtlMs, ask.ttlMs ?? service.maxTtlMs),
      handle: true,
      ...(thumbprint === undefined ? {} : { boundTo: thumbprint }),
      // A service that starts again on a machine is the agent that it was.
      ...(boot === undefined ? {} : { key: digest(['service', name, boot]) }),
    })
    await entitlements.settle(born.agent.id, principal, granted)
    return born
  }
}

/** Nothing is verified yet. */
function unverifiedName(assertion: string): string {
  try {
    if (assertion.length > assertionCharactersMax) return ''
    const { iss }: { readonly iss?: unknown } = decodeJwt(assertion)
    return typeof iss === 'string' ? iss.slice(0, idCharactersMax) : ''
  } catch {
    return ''
  }
}

import {
  SallyportError,
  type DelegateLimits,
  type GrantLayer,
  type Principal,
} from '@sallyport/core'
import type { AgentProfile, IdentityConfig } from '../config/identity-config.ts'
import { askedOf, type Entitlements, smallerBudget, tightest, workloadId } from '../entitlements.ts'
import { OAuthError } from '../oauth/oauth-error.ts'
import type { GrantAsk } from '../oauth/grant-request.ts'
import type { BirthAgents, BirthEvent, Born, TokenUse, TokenUses } from '../ports.ts'
import { agentName } from './claims.ts'
import type { CheckedProof } from '../../dpop.ts'
import type { IssuerKeys } from './issuer-keys.ts'
import { digest, type Job, jobOf, recordOf } from './token-job.ts'
import { leewaySeconds, TokenRefused, verifyToken, type AcceptedToken } from './verify-token.ts'

/** Tokens that live shorter only prove how a job began; longer ones are meant to last as long as the job. */
const startTokenMs = 15 * 60_000
/** An issuer that nobody knows may have any name. */
const issuerCharactersMax = 200
/** As long as a run may last. */
const revokedMs = 6 * 3_600_000
/** Jobs of one run; the hard limit of live children. */
const jobsMax = 256

export interface WorkloadOptions {
  readonly config: () => IdentityConfig
  readonly agents: BirthAgents
  readonly entitlements: Pick<Entitlements, 'of' | 'settle'>
  readonly keys: IssuerKeys
  readonly uses: TokenUses
  readonly gatewayUrl: () => string
  readonly onEvent: (event: BirthEvent) => void
  readonly now?: () => number
}

export interface WorkloadRequest {
  readonly assertion: string
  readonly ask: GrantAsk
  readonly profile?: string
  /** The DPoP proof of the request; it counts as used with the first good token. */
  readonly proof?: CheckedProof
}

/** Makes agents of workloads that show a token of their platform (RFC 7523), as trust rules say. */
export class WorkloadBirths {
  readonly #options: WorkloadOptions
  readonly #now: () => number

  constructor(options: WorkloadOptions) {
    this.#options = options
    this.#now = options.now ?? Date.now
  }

  async bear({ assertion, ask, profile, proof }: WorkloadRequest): Promise<Born> {
    const token = await this.verify(assertion, profile)
    await proof?.use()
    const thumbprint = proof?.thumbprint
    const job = this.#jobOf(token)
    // A job that asks its platform for a second token, and has kept its key, is the agent that it was.
    const birthKey =
      thumbprint === undefined || job.childKey === undefined
        ? token.id
        : digest([job.childKey, thumbprint])
    // The token is taken before anything is made: of two requests with one token, one makes the agent.
    const earlier = await this.#take(token, birthKey, thumbprint)
    if (earlier !== undefined) {
      this.#checkReplay(token, earlier, thumbprint)
      const again = await this.#make(token, job, ask, earlier.birthKey, thumbprint)
      if (again.agent.id === earlier.agent) return again
      // It ended while it was asked for: what was born in its place goes too.
      const why = 'its agent is gone'
      await this.#options.agents.revoke(again.agent.id, token.rule.name, why)
      throw this.#replayed(token, earlier, why)
    }
    const born = await this.#makeOrRelease(token, job, ask, birthKey, thumbprint)
    await this.#options.uses.bind(token.id, born.agent.id)
    this.#options.onEvent({ kind: 'token.accepted', agent: born.agent.id, rule: token.rule.name })
    return born
  }

  /** Verifies a token without using it up. */
  async verify(assertion: string, profile?: string): Promise<AcceptedToken> {
    const { config, keys, gatewayUrl, onEvent } = this.#options
    try {
      return await verifyToken(assertion, {
        config: config(),
        keys,
        gatewayUrl: gatewayUrl(),
        nowMs: this.#now(),
        ...(profile === undefined ? {} : { profile }),
      })
    } catch (error) {
      if (error instanceof TokenRefused) {
        const rule = error.rule === undefined ? {} : { rule: error.rule }
        onEvent({
          kind: 'token.refused',
          issuer: error.issuer.slice(0, issuerCharactersMax),
          ...rule,
          why: error.message,
        })
      }
      throw error
    }
  }

  /** Verifies a token that attests a child, and uses it up: the same token attests one agent. */
  async attest(assertion: string): Promise<Readonly<Record<string, string>>> {
    const token = await this.verify(assertion)
    const earlier = await this.#take(token, token.id, undefined)
    if (earlier !== undefined) throw this.#replayed(token, earlier, 'the token was used already')
    return recordOf(token)
  }

  #take(
    token: AcceptedToken,
    birthKey: string,
    thumbprint: string | undefined,
  ): Promise<TokenUse | undefined> {
    // Past its end a token is refused as expired, and an agent may be asked for again until it ends.
    const tokenEndMs = (token.claims.exp + 2 * leewaySeconds) * 1000
    return this.#options.uses.take(token.id, {
      birthKey,
      forgetAtMs: Math.max(tokenEndMs, this.#now() + token.rule.maxTtlMs),
      ...(thumbprint === undefined ? {} : { thumbprint }),
    })
  }

  /** The same token again: with the same key a lost answer is given again, else nothing is. An agent that ended does not come back. */
  #checkReplay(token: AcceptedToken, earlier: TokenUse, thumbprint: string | undefined): void {
    const isSameKey = thumbprint !== undefined && thumbprint === earlier.thumbprint
    if (!isSameKey && token.rule.replay !== 'per-pod') {
      const hasKeys = thumbprint !== undefined && earlier.thumbprint !== undefined
      throw this.#replayed(
        token,
        earlier,
        hasKeys ? 'with another key' : 'without a proof of the same key',
      )
    }
    const agent = earlier.agent === undefined ? undefined : this.#options.agents.get(earlier.agent)
    if (agent === undefined || (agent.state !== 'active' && agent.state !== 'frozen')) {
      throw this.#replayed(token, earlier, 'its agent is gone')
    }
    if (isSameKey) return
    const why = 'a container of the pod started again: the former handle ended'
    this.#options.onEvent({ kind: 'token.replayed', rule: token.rule.name, agent: agent.id, why })
  }

  #replayed(token: AcceptedToken, earlier: TokenUse, why: string): SallyportError {
    const agent = earlier.agent === undefined ? {} : { agent: earlier.agent }
    this.#options.onEvent({ kind: 'token.replayed', rule: token.rule.name, ...agent, why })
    return new SallyportError('SP_TOKEN_REPLAYED', why)
  }

  async #makeOrRelease(
    token: AcceptedToken,
    job: Job,
    ask: GrantAsk,
    birthKey: string,
    thumbprint: string | undefined,
  ): Promise<Born> {
    try {
      return await this.#make(token, job, ask, birthKey, thumbprint)
    } catch (error) {
      await this.#options.uses.release(token.id)
      throw error
    }
  }

  async #make(
    token: AcceptedToken,
    job: Job,
    ask: GrantAsk,
    birthKey: string,
    thumbprint: string | undefined,
  ): Promise<Born> {
    const { agents, entitlements, uses } = this.#options
    const { rule } = token
    const profile = this.#profileOf(token)
    const principal: Principal = {
      id: workloadId(rule.name),
      kind: 'workload',
      name: rule.name,
      groups: [],
    }
    const granted = await entitlements.of(principal)
    const { layers: entitlement, budget, delegate } = granted
    const held = tightest([delegate, profile?.delegate ?? {}])
    const asked = {
      budget: ask.budget,
      delegate: askedOf(held, ask.delegate),
      ttlMs: this.#ttlOf(token, ask),
      handle: true,
      ...(thumbprint === undefined ? {} : { boundTo: thumbprint }),
    }
    const ceiling: GrantLayer[] = profile === undefined ? [] : [profile.ceiling]
    const root = { principal, born: 'jwt', owner: rule.owner, entitlement } as const
    if (job.rootKey === undefined) {
      const layers = [...ceiling, ...ask.layers]
      const name = agentName(rule.name)
      const caps = smallerBudget(budget, ask.budget)
      const born = await agents.createRoot({
        ...root,
        ...asked,
        budget: caps,
        name,
        layers,
        declared: recordOf(token),
        key: birthKey,
      })
      await entitlements.settle(born.agent.id, principal, granted)
      return born
    }
    for (const key of job.keys) await this.#refuseRevoked(key)
    const { agent } = await agents.createRoot({
      ...root,
      name: job.rootName,
      layers: ceiling,
      budget,
      delegate: forJobs(held, rule.maxTtlMs),
      ttlMs: rule.maxTtlMs,
      handle: false,
      key: job.rootKey,
    })
    await entitlements.settle(agent.id, principal, granted)
    const restMs = Date.parse(agent.expiresAt) - this.#now()
    const born = await agents.spawn(agent.id, {
      ...asked,
      ttlMs: Math.min(asked.ttlMs, restMs),
      name: job.childName,
      layers: ask.layers,
      born: 'attach',
      declared: recordOf(token),
      key: birthKey,
      ...(profile?.purpose === undefined ? {} : { purpose: profile.purpose }),
    })
    await uses.bind(job.rootKey, agent.id)
    if (job.childKey !== undefined) await uses.bind(job.childKey, born.agent.id)
    return born
  }

  /** Whoever stops a run or a job means it: its platform hands out more tokens, which must not begin it anew. */
  async #refuseRevoked(key: string): Promise<void> {
    const { uses } = this.#options
    const forgetAtMs = this.#now() + revokedMs
    const agent = (await uses.take(key, { birthKey: key, forgetAtMs }))?.agent
    if (agent === undefined || !(await uses.wasRevoked(agent))) return
    const detail = `agent ${agent} was revoked`
    throw new SallyportError('SP_AGENT_REVOKED', detail, { detail })
  }

  #profileOf({ rule }: AcceptedToken): AgentProfile | undefined {
    if (rule.profile === undefined) return undefined
    const profile = this.#options.config().profiles.get(rule.profile)
    // A ceiling that is gone must not lift what was below it.
    if (profile === undefined)
      throw new TokenRefused(`the profile ${rule.profile} is gone`, rule.issuer, rule.name)
    return profile
  }

  #ttlOf({ rule, claims }: AcceptedToken, ask: GrantAsk): number {
    const isWholeJob = (claims.exp - claims.iat) * 1000 > startTokenMs
    const rest = claims.exp * 1000 - this.#now()
    const ttlMs = Math.min(
      rule.maxTtlMs,
      ask.ttlMs ?? rule.maxTtlMs,
      isWholeJob ? rest : rule.maxTtlMs,
    )
    if (ttlMs > 0) return ttlMs
    throw new OAuthError('invalid_grant', 'the token is at its end', { code: 'SP_TOKEN_REFUSED' })
  }

  #jobOf(token: AcceptedToken): Job {
    const job = jobOf(token)
    if (job !== undefined) return job
    const { name, issuer } = token.rule
    const why = 'a claim of root.key or child.key is absent'
    this.#options.onEvent({ kind: 'token.refused', issuer, rule: name, why })
    throw new TokenRefused(why, issuer, name)
  }
}

/** Jobs are children of a root without a handle: one level more, and as many as the hard limit allows. */
function forJobs(held: DelegateLimits, ttlMs: number): DelegateLimits {
  const { depth } = held
  return { ...held, children: jobsMax, ttlMs, ...(depth === undefined ? {} : { depth: depth + 1 }) }
}

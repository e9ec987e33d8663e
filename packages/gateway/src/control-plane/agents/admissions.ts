import type { SessionId } from '@sallyport/core'
import type { Admission, AdmissionRequest } from '../../boundary/agents.ts'
import type { AgentContext } from './agent-context.ts'
import type { CredentialNode } from './agent-node.ts'
import { refusalOf } from './authorize-agent.ts'
import { amountOf, capOf, isCapped, remember, takeBudget } from './budgets.ts'
import type { Findings } from './findings.ts'
import { networkOf } from './network-of.ts'

type Refused = Extract<Admission, { kind: 'refused' }>

/** A target notices by itself that its client is gone, but not while it computes; after this it is nobody's any more. */
export const lostForMs = 5 * 60 * 1000

/** More sessions than this at once on one credential are not one client any more. */
const overlappingMax = 4

/**
 * Lets sessions in. The worker has put the session into its live index before it asks, and the state of the agents is read
 * again after everything else: so a session is either refused here, or closed with all the others when they are.
 */
export class Admissions {
  readonly #context: AgentContext
  readonly #findings: Findings

  constructor(context: AgentContext, findings: Findings) {
    this.#context = context
    this.#findings = findings
  }

  async admit(request: AdmissionRequest, worker: number): Promise<Admission> {
    const { credentials, sessions, log, now } = this.#context
    const credential = credentials.get(request.credential)
    if (
      credential === undefined ||
      credential.agent.id !== request.agent ||
      credential.connection !== request.connection
    )
      return refused('SP_LOGIN_REFUSED', 'the credential is not valid here')
    const early = this.#refusal(credential, request)
    if (early !== undefined) return early
    // Counted before anything is awaited: of two sessions that come at once, one is the first.
    const pin = credential.pin
    credential.uses += 1
    credential.pin ??= networkOf(request.source)
    credential.agent.touchedAtMs = now()
    try {
      const spent = await this.#persist(credential)
      if (spent !== undefined) {
        this.#takeBack(credential, pin)
        return spent
      }
    } catch (error) {
      this.#takeBack(credential, pin)
      throw error
    }
    const late = refusalOf(credential.agent, now())
    if (late !== undefined) return { kind: 'refused', ...late }
    sessions.set(request.session, { agent: credential.agent, credential, worker })
    for (const each of credential.agent.path) each.sessions += 1
    credential.sessions += 1
    credential.application ??= request.application
    if (credential.application !== request.application) {
      this.#findings.otherClient(credential, request)
    }
    if (credential.sessions === overlappingMax + 1) this.#findings.overlap(credential, request)
    return { kind: 'admitted', version: log.version }
  }

  closed(session: SessionId): void {
    const live = this.#context.sessions.get(session)
    if (live === undefined) return
    this.#context.sessions.delete(session)
    for (const each of live.agent.path) each.sessions -= 1
    live.credential.sessions -= 1
    live.agent.touchedAtMs = this.#context.now()
  }

  workerLost(worker: number): void {
    const atMs = this.#context.now()
    const lost = [...this.#context.sessions].filter(([, live]) => live.worker === worker)
    this.#context.lost = this.#context.lost.filter((each) => each.atMs > atMs - lostForMs)
    for (const [session, { agent, credential }] of lost) {
      this.#context.lost.push({ session, agent, connection: credential.connection, atMs })
      this.closed(session)
    }
  }

  #refusal(credential: CredentialNode, request: AdmissionRequest): Refused | undefined {
    const nowMs = this.#context.now()
    const refusal = refusalOf(credential.agent, nowMs)
    if (refusal !== undefined) {
      if (credential.agent.state === 'ended') this.#findings.usedAfterEnd(credential, request)
      return { kind: 'refused', ...refusal }
    }
    if (credential.expiresAtMs <= nowMs)
      return refused('SP_CREDENTIAL_EXPIRED', 'the credential has expired')
    const isElsewhere = credential.pin !== undefined && credential.pin !== networkOf(request.source)
    if (isElsewhere && credential.level > 0) {
      this.#findings.elsewhere(credential, request)
      return refused('SP_CREDENTIAL_SHARED', 'this credential is in use elsewhere')
    }
    if (credential.maxUses !== undefined && credential.uses >= credential.maxUses)
      return refused('SP_CREDENTIAL_SHARED', 'this credential was used already')
    return undefined
  }

  /** Writes what has to survive; nothing where neither uses nor sessions are limited. */
  async #persist(credential: CredentialNode): Promise<Refused | undefined> {
    const { agent, id, pin = null } = credential
    const isBudgeted = isCapped(agent, 'sessions')
    if (credential.maxUses === undefined && !isBudgeted) return undefined
    try {
      const taken = await this.#context.store.durable(async (tx) => {
        const counters = isBudgeted ? await takeBudget(tx, agent, [['sessions', 1]]) : []
        if (isBudgeted && amountOf(counters, 'sessions') < 1) throw new SessionsSpent()
        // The table refuses more uses than the credential has.
        await tx
          .updateTable('credential')
          .set((column) => ({ uses: column('uses', '+', 1), pin }))
          .where('id', '=', id)
          .execute()
        return counters
      })
      remember(agent, taken)
      return undefined
    } catch (error) {
      if (!(error instanceof SessionsSpent)) throw error
      const { cap, agent: name } = capOf(agent, 'sessions')
      return refused('SP_BUDGET_SPENT', `sessions ${cap}/${cap} for the subtree of ${name}`)
    }
  }

  #takeBack(credential: CredentialNode, pin: string | undefined): void {
    credential.uses -= 1
    if (credential.uses === 0) credential.pin = pin
  }
}

class SessionsSpent extends Error {}

function refused(code: string, detail: string): Refused {
  return { kind: 'refused', code, detail }
}

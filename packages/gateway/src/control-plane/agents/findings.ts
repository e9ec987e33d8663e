import { randomBytes } from 'node:crypto'
import { makeId } from '@sallyport/core'
import type { AdmissionRequest } from '../../boundary/agents.ts'
import type { AgentContext } from './agent-context.ts'
import { type AgentEvent, gatewayActor } from './agent-events.ts'
import type { AgentNode, CredentialNode } from './agent-node.ts'
import type { Endings } from './endings.ts'
import type { HandleUse } from './handle-doors.ts'
import type { HandleNode } from './handles.ts'

/**
 * Which rule a finding breaks: S1 two addresses, S2 too many sessions at once, S3 another declared client, S4 used after the
 * end, S8 a handle without its key or a proof for the second time, S9 a handle in a new network, S10 a handle that was replaced
 * because its birth was asked for again, without the key of before.
 */
type Rule = 'S1' | 'S2' | 'S3' | 'S4' | 'S8' | 'S9' | 'S10'

/** A credential or a handle, and whose it is. */
interface Held {
  readonly id: string
  readonly agent: AgentNode
}

const freezeReasons: Readonly<Partial<Record<Rule, string>>> = {
  S1: 'one credential was used from two addresses',
  S9: 'its handle was used from a new network',
}

/** Keeps signs that a credential is not with one process alone, and freezes where the sign is clear. */
export class Findings {
  readonly #context: AgentContext
  readonly #endings: Endings
  readonly #onFault: (error: unknown) => void
  #last: Promise<unknown> = Promise.resolve()

  constructor(context: AgentContext, endings: Endings, onFault: (error: unknown) => void) {
    this.#context = context
    this.#endings = endings
    this.#onFault = onFault
  }

  /** Used from a second network: the agent is stopped until a person has looked. */
  elsewhere(credential: CredentialNode, request: AdmissionRequest): void {
    this.#keep('S1', credential, { source: credential.pin }, evidenceOf(request), 'freeze')
  }

  overlap(credential: CredentialNode, request: AdmissionRequest): void {
    const before = { sessions: credential.sessions - 1 }
    this.#keep('S2', credential, before, evidenceOf(request), 'observe')
  }

  /** What a client says of itself is a hint: it is kept, and stops nobody. */
  otherClient(credential: CredentialNode, request: AdmissionRequest): void {
    const before = { application: credential.application }
    this.#keep('S3', credential, before, evidenceOf(request), 'observe')
  }

  usedAfterEnd(credential: CredentialNode, request: AdmissionRequest): void {
    this.#keep('S4', credential, { ended: credential.agent.end }, evidenceOf(request), 'observe')
  }

  /** The answer was a refusal; that nobody may get in this way does not mean that nobody should look. */
  withoutKey(handle: HandleNode, { source, thumbprint }: HandleUse): void {
    this.#keep('S8', handle, { key: handle.boundTo }, { key: thumbprint, source }, 'observe')
  }

  proofReplayed(handle: HandleNode, { source, thumbprint }: HandleUse): void {
    this.#keep('S8', handle, { key: handle.boundTo }, { replayed: thumbprint, source }, 'observe')
  }

  /** A container that starts again does this too, so it stops nobody. */
  handleReplaced(made: HandleNode, former: readonly HandleNode[]): void {
    const before = former.map(({ id, boundTo, networks }) => ({ id, key: boundTo, networks }))
    this.#keep('S10', made, { handles: before }, { handle: made.id, key: made.boundTo }, 'observe')
  }

  newNetwork(
    handle: HandleNode,
    networks: readonly string[],
    { source }: HandleUse,
    action: 'observe' | 'freeze',
  ): void {
    this.#keep('S9', handle, { networks }, { source }, action)
  }

  /** Resolves when all that was found so far is stored. */
  async settled(): Promise<void> {
    await this.#last
  }

  #keep(
    rule: Rule,
    held: Held,
    before: unknown,
    evidence: unknown,
    action: 'observe' | 'freeze',
  ): void {
    // The caller's answer does not wait for it.
    this.#last = Promise.all([
      this.#last,
      this.#store(rule, held, before, evidence, action).catch(this.#onFault),
    ])
  }

  async #store(
    rule: Rule,
    held: Held,
    before: unknown,
    evidence: unknown,
    action: 'observe' | 'freeze',
  ): Promise<void> {
    const { store, events, now } = this.#context
    const { agent, id } = held
    const nowMs = now()
    const detail = { rule, credential: id, action }
    const event: AgentEvent = {
      kind: 'finding',
      agent,
      by: gatewayActor(rule),
      atMs: nowMs,
      detail,
    }
    await store.durable(async (tx) => {
      await tx
        .insertInto('sharing_finding')
        .values({
          id: makeId('f', randomBytes),
          rule,
          credential_id: id,
          agent_id: agent.id,
          evidence_a: JSON.stringify(before ?? {}),
          evidence_b: JSON.stringify(evidence),
          action,
          at: new Date(nowMs),
        })
        .execute()
      await events.write(tx, [event])
    })
    events.tell([event])
    if (action === 'freeze') {
      const reason = freezeReasons[rule] ?? rule
      await this.#endings.freeze(agent, gatewayActor(rule), reason, 'finding')
    }
  }
}

function evidenceOf({ source, application, database, session }: AdmissionRequest): unknown {
  return { source, application, database, session }
}

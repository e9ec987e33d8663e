import { randomBytes } from 'node:crypto'
import {
  makeId,
  parseAllow,
  scramVerifier,
  SallyportError,
  type AgentId,
  type CredentialId,
  type Permission,
} from '@sallyport/core'
import type { AgentCredential, AgentRecord } from '../boundary/agents.ts'
import { credentialDigest, makeCredentialText } from './credential-text.ts'

import type { Store } from './ports/store.ts'

/** The least that clients accept (RFC 7677). The secret has 154 random bits, so more rounds would protect nothing. */
const scramIterations = 4096
const saltBytes = 16
const ttlMsDefault = 8 * 3600 * 1000
const ttlMsMax = 90 * 24 * 3600 * 1000
/** Rows live this long past their expiry, so that the right holder reads `expired` and not `refused`. */
const keptAfterExpiryMs = 10 * 60 * 1000

/** What a caller asks for. */
export interface CredentialRequest {
  readonly connection: string
  /** Texts such as `orders-db:read`; everything on the connection where absent. */
  readonly allow?: readonly string[]
  readonly ttlMs?: number
}

/** The only time that the secret is shown. */
export interface IssuedCredential {
  readonly id: CredentialId
  readonly connection: string
  readonly agent: AgentId
  readonly user: string
  readonly secret: string
  readonly expiresAtMs: number
}

/** Credentials of the local owner. Each belongs to a root agent of its own, so that each can be narrowed and ended alone. */
export class Credentials {
  readonly #store: Store
  readonly #owner: string

  /** `owner` is the operating system's user name. */
  constructor(store: Store, owner: string) {
    this.#store = store
    this.#owner = owner
  }

  async issue(request: CredentialRequest, nowMs: number = Date.now()): Promise<IssuedCredential> {
    const { connection } = request
    const permits = parsePermits(request.allow ?? [`${connection}:*`])
    const expiresAtMs = nowMs + checkedTtl(request.ttlMs ?? ttlMsDefault)
    const { id, text } = makeCredentialText()
    const agent = makeId<AgentId>('a', randomBytes)
    const scram = await scramVerifier(text, randomBytes(saltBytes), scramIterations)
    const times = { created_at: new Date(nowMs), expires_at: new Date(expiresAtMs) }
    await this.#store.durable(async (tx) => {
      const known = await tx
        .selectFrom('connection')
        .select('name')
        .where('name', '=', connection)
        .executeTakeFirst()
      if (known === undefined) {
        throw new SallyportError('SP_NOT_FOUND', `there is no connection "${connection}"`, {
          detail: `connection "${connection}"`,
        })
      }
      const principal = {
        id: `user:${this.#owner}`,
        kind: 'human' as const,
        name: this.#owner,
        groups: '[]',
      }
      await tx
        .insertInto('principal')
        .values(principal)
        .onConflict((conflict) => conflict.doNothing())
        .execute()
      await tx
        .insertInto('agent')
        .values({
          id: agent,
          parent_id: null,
          path: agent,
          depth: 0,
          name: this.#owner,
          principal: principal.id,
          permits: JSON.stringify(permits),
          ...times,
        })
        .execute()
      await tx
        .insertInto('credential')
        .values({
          id,
          connection,
          agent_id: agent,
          scram: JSON.stringify(scram),
          secret_sha256: credentialDigest(text),
          ...times,
        })
        .execute()
    })
    return { id, connection, agent, user: `${connection}.${id}`, secret: text, expiresAtMs }
  }

  /** What workers need of every credential that can still be told apart from an unknown one. */
  async records(
    nowMs: number = Date.now(),
  ): Promise<{ agents: AgentRecord[]; credentials: AgentCredential[] }> {
    const rows = await this.#store.db
      .selectFrom('credential')
      .innerJoin('agent', 'agent.id', 'credential.agent_id')
      .innerJoin('principal', 'principal.id', 'agent.principal')
      .select([
        'credential.id',
        'credential.connection',
        'credential.scram',
        'credential.expires_at',
      ])
      .select(['agent.id as agent_id', 'agent.name', 'agent.permits', 'agent.created_at'])
      .select(['agent.expires_at as agent_expires_at'])
      .select([
        'principal.id as principal_id',
        'principal.kind',
        'principal.name as principal_name',
        'principal.groups',
      ])
      .where('agent.depth', '=', 0)
      .where('credential.expires_at', '>', new Date(nowMs - keptAfterExpiryMs))
      .execute()
    return {
      agents: rows.map((row) => ({
        id: row.agent_id as AgentId,
        path: [row.agent_id as AgentId],
        name: row.name,
        principal: {
          id: row.principal_id,
          kind: row.kind,
          name: row.principal_name,
          groups: row.groups,
        },
        state: 'active',
        layers: [{ permits: row.permits }],
        budget: {},
        createdAtMs: row.created_at.getTime(),
        expiresAtMs: row.agent_expires_at.getTime(),
      })),
      credentials: rows.map((row) => ({
        id: row.id as CredentialId,
        connection: row.connection,
        agent: row.agent_id as AgentId,
        // Whoever reads the secret may use it: shared.
        level: 0,
        scram: row.scram,
        expiresAtMs: row.expires_at.getTime(),
      })),
    }
  }

  /** Removes verifiers that nobody can use any more. */
  async purge(nowMs: number = Date.now()): Promise<void> {
    await this.#store.durable((tx) =>
      tx
        .deleteFrom('credential')
        .where('expires_at', '<', new Date(nowMs - keptAfterExpiryMs))
        .execute(),
    )
  }
}

function parsePermits(allow: readonly string[]): Permission[] {
  return allow.map((text) => {
    const parsed = parseAllow(text)
    if (parsed.kind === 'ok') return parsed.permission
    throw new SallyportError('SP_CONFIG_INVALID', parsed.message, { detail: parsed.message })
  })
}

function checkedTtl(ttlMs: number): number {
  if (Number.isSafeInteger(ttlMs) && ttlMs > 0 && ttlMs <= ttlMsMax) return ttlMs
  const detail = 'a credential lives at least 1 ms and at most 90 days'
  throw new SallyportError('SP_CONFIG_INVALID', detail, { detail })
}

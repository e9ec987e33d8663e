import { randomBytes } from 'node:crypto'
import {
  opensConnection,
  SallyportError,
  SCRAM_ITERATIONS,
  SCRAM_SALT_BYTES,
  scramVerifier,
} from '@sallyport/core'
import { type Insertable, sql, type Transaction } from 'kysely'
import type { ScramVerifier } from '../../boundary/snapshot.ts'
import { credentialDigest, makeCredentialText } from '../credential-text.ts'
import type { Tables } from '../ports/tables/tables.ts'
import type { AgentContext } from './agent-context.ts'
import { type Actor, actorOf, factBy } from './agent-events.ts'
import type { AgentNode, CredentialNode } from './agent-node.ts'
import type { MintedCredential, MintRequest } from './agent-requests.ts'
import { authorize } from './authorize-agent.ts'
import { grantChain } from './grant-asks.ts'
import { CREDENTIAL_USES_MAX, TTL } from './limits.ts'
import { invalid } from './spawn-rules.ts'

/** A proven platform identity makes level 4; no request can claim it. */
const levelMax = 3

/** Mints credentials, and forgets them when nobody can use them any more. */
export class AgentCredentials {
  readonly #context: AgentContext

  constructor(context: AgentContext) {
    this.#context = context
  }

  async mint(
    agent: AgentNode,
    request: MintRequest,
    by: Actor = actorOf(agent),
  ): Promise<MintedCredential> {
    const { maxUses = 1, ttlMs = TTL.credentialMaxMs } = request
    if (!Number.isInteger(maxUses) || maxUses < 1 || maxUses > CREDENTIAL_USES_MAX)
      throw invalid(`maxUses must be a whole number from 1 to ${CREDENTIAL_USES_MAX}`)
    if (!Number.isSafeInteger(ttlMs) || ttlMs <= 0 || ttlMs > TTL.credentialMaxMs)
      throw invalid('a credential opens sessions for 15 minutes at most')
    const level = request.level ?? (maxUses === 1 ? 2 : 1)
    if (!Number.isInteger(level) || level < 0 || level > levelMax || (level > 1 && maxUses > 1))
      throw invalid('level is 0 or 1, or for a single use also 2 or 3')
    const chain = grantChain(authorize(agent, this.#context.now()), level)
    // A connection that does not exist reads the same as one that is not granted.
    if (!opensConnection(chain, request.connection)) throw notGranted(agent, request.connection)
    return this.insert(agent, { connection: request.connection, level, maxUses, ttlMs }, by)
  }

  /** Without the bounds of `mint`: for the local owner. */
  async insert(
    agent: AgentNode,
    ask: { connection: string; level: number; maxUses: number | undefined; ttlMs: number },
    by: Actor,
  ): Promise<MintedCredential> {
    const { store, credentials, log, ledger, now } = this.#context
    const { id, text } = makeCredentialText()
    const scram = await scramVerifier(text, randomBytes(SCRAM_SALT_BYTES), SCRAM_ITERATIONS)
    const nowMs = now()
    const expiresAtMs = Math.min(nowMs + ask.ttlMs, agent.expiresAtMs)
    const row = {
      id,
      agent_id: agent.id,
      protocol: 'postgres' as const,
      level: ask.level,
      secret_sha256: credentialDigest(text),
      max_uses: ask.maxUses ?? null,
      uses: 0,
      pin: null,
      created_at: new Date(nowMs),
      expires_at: new Date(expiresAtMs),
    }
    const detail = {
      credential: id,
      connection: ask.connection,
      level: ask.level,
      uses: ask.maxUses ?? 'any',
      expiresAt: new Date(expiresAtMs).toISOString(),
    }
    const recorded = await store.durable(async (tx) => {
      const isKnown = await insertCredential(tx, ask.connection, row, scram)
      const fact = { what: 'credential.issued', subject: agent.id, detail } as const
      return isKnown ? [ledger.write({ ...fact, actor: factBy(by) })] : undefined
    })
    if (recorded === undefined) throw notGranted(agent, ask.connection)
    await Promise.all(recorded)
    const node: CredentialNode = {
      id,
      connection: ask.connection,
      agent,
      level: ask.level,
      scram,
      expiresAtMs,
      maxUses: ask.maxUses,
      uses: 0,
      pin: undefined,
      sessions: 0,
      version: 0,
    }
    // The agent may have been taken away meanwhile: workers know its state, so the credential opens nothing.
    credentials.set(id, node)
    agent.credentials += 1
    agent.touchedAtMs = nowMs
    log.commit({ credentials: [node] })
    return { id, user: `${ask.connection}.${id}`, secret: text, expiresAtMs }
  }

  /** Removes those that fit from memory; the store has let go of them, or will. */
  forget(fits: (node: CredentialNode) => boolean): void {
    const gone = [...this.#context.credentials.values()].filter(fits)
    if (gone.length === 0) return
    for (const { id, agent } of gone) {
      this.#context.credentials.delete(id)
      agent.credentials -= 1
    }
    this.#context.log.commit({ goneCredentials: gone.map(({ id }) => id) })
  }
}

/** In one statement; says whether there is such a connection. */
async function insertCredential(
  tx: Transaction<Tables>,
  connection: string,
  row: Omit<Insertable<Tables['credential']>, 'connection'>,
  scram: ScramVerifier,
): Promise<boolean> {
  const columns = Object.keys(row) as (keyof typeof row)[]
  const { rows } = await sql`
    with made as (
      insert into credential (connection, ${sql.join(columns.map((name) => sql.ref(name)))})
        select name, ${sql.join(columns.map((name) => sql.val(row[name])))}
        from connection where name = ${connection} returning id)
    insert into credential_verifier (credential_id, kind, data)
      select id, 'scram256', ${JSON.stringify(scram)}::jsonb from made
      returning credential_id`.execute(tx)
  return rows.length === 1
}

function notGranted(agent: AgentNode, connection: string): SallyportError {
  const detail = `${connection.slice(0, 64)} is not in the grant of ${agent.name}`
  return new SallyportError('SP_NOT_GRANTED', detail, { detail })
}

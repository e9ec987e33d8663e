import type { AgentId } from '@sallyport/core'
import type { Store } from '../ports/store.ts'

/** How a token was used. */
export interface StoredTokenUse {
  /** Of the key of the DPoP proof; absent where there was none. */
  readonly thumbprint?: string
  readonly birthKey: string
  readonly agent?: AgentId
  readonly forgetAtMs: number
}

/** Tokens of workloads that made an agent. A token works once, also after a restart. */
export class StoredTokenUses {
  readonly #store: Store
  readonly #now: () => number

  constructor(store: Store, now: () => number = Date.now) {
    this.#store = store
    this.#now = now
  }

  /** Takes a token, or says who has taken it. */
  take(token: string, use: StoredTokenUse): Promise<StoredTokenUse | undefined> {
    return this.#store.durable(async (tx) => {
      await tx.deleteFrom('token_use').where('forget_at', '<', new Date(this.#now())).execute()
      const taken = await tx
        .insertInto('token_use')
        .values({
          token,
          thumbprint: use.thumbprint ?? null,
          birth_key: use.birthKey,
          agent_id: use.agent ?? null,
          forget_at: new Date(use.forgetAtMs),
        })
        .onConflict((conflict) => conflict.doNothing())
        .executeTakeFirst()
      if (taken.numInsertedOrUpdatedRows === 1n) return undefined
      const row = await tx
        .selectFrom('token_use')
        .selectAll()
        .where('token', '=', token)
        .executeTakeFirstOrThrow()
      return {
        ...(row.thumbprint === null ? {} : { thumbprint: row.thumbprint }),
        birthKey: row.birth_key,
        ...(row.agent_id === null ? {} : { agent: row.agent_id as AgentId }),
        forgetAtMs: row.forget_at.getTime(),
      }
    })
  }

  /** Names the agent that the token made. */
  async bind(token: string, agent: AgentId): Promise<void> {
    await this.#store.durable((tx) =>
      tx.updateTable('token_use').set({ agent_id: agent }).where('token', '=', token).execute(),
    )
  }

  /** Whether somebody revoked an agent, however long ago. */
  async wasRevoked(agent: AgentId): Promise<boolean> {
    const row = await this.#store.db
      .selectFrom('agent')
      .select('state')
      .where('id', '=', agent)
      .executeTakeFirst()
    return row?.state === 'revoked'
  }

  /** Gives a token back that made nothing. */
  async release(token: string): Promise<void> {
    await this.#store.durable((tx) =>
      tx.deleteFrom('token_use').where('token', '=', token).execute(),
    )
  }
}

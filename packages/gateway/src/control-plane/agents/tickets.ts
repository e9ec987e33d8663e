import { SallyportError } from '@sallyport/core'
import type { Transaction } from 'kysely'
import { credentialDigest, makeSecretText, secretIdOf } from '../credential-text.ts'
import type { Tables } from '../ports/tables/tables.ts'
import type { AgentContext } from './agent-context.ts'
import { type Actor, actorOf, type AgentEvent } from './agent-events.ts'
import { type AgentNode, chainOf } from './agent-node.ts'
import type { IssuedTicket, Spawned, SpawnRequest, TicketRequest } from './agent-requests.ts'
import { authorize } from './authorize-agent.ts'
import type { Births } from './births.ts'
import { fitLayers } from './grant-asks.ts'
import { TTL } from './limits.ts'
import { childName, invalid } from './spawn-rules.ts'

/** What the one who redeems a ticket adds. */
export interface Redemption {
  readonly name?: string
  readonly declared?: Readonly<Record<string, string>>
  /** Thumbprint of the child's own key. */
  readonly boundTo?: string
  /** Claims that were proven; a ticket that expects some fits no others. */
  readonly proven?: Readonly<Record<string, string>>
}

/** Tickets: one birth each, on another machine. The parent never sees the handle of such a child. */
export class Tickets {
  readonly #context: AgentContext
  readonly #births: Births

  constructor(context: AgentContext, births: Births) {
    this.#context = context
    this.#births = births
  }

  async create(parent: AgentNode, request: TicketRequest, by: Actor): Promise<IssuedTicket> {
    const { store, events, now } = this.#context
    const nowMs = now()
    authorize(parent, nowMs)
    const { ticketTtlMs = TTL.ticketMaxMs, expect = {}, ...child } = request
    if (!Number.isSafeInteger(ticketTtlMs) || ticketTtlMs <= 0 || ticketTtlMs > TTL.ticketMaxMs)
      throw invalid('a ticket is good for 10 minutes at most')
    childName(parent, child, this.#context.owner)
    this.#births.takeRate(parent, child.name, nowMs)
    const { layers } = fitLayers(parent, child.name, child.layers, child.cut === true)
    const { id, text } = makeSecretText('spt')
    const expiresAtMs = Math.min(nowMs + ticketTtlMs, parent.expiresAtMs)
    const detail = { ticket: id, name: child.name, chain: chainOf(parent) }
    const event: AgentEvent = { kind: 'ticket', agent: parent, by, atMs: nowMs, detail }
    await store.durable(async (tx) => {
      await tx
        .insertInto('ticket')
        .values({
          id,
          parent_id: parent.id,
          secret_sha256: credentialDigest(text),
          request: JSON.stringify({ ...child, layers, born: 'ticket', handle: true }),
          expect: JSON.stringify(expect),
          created_at: new Date(nowMs),
          expires_at: new Date(expiresAtMs),
          redeemed_at: null,
          redeemed_by: null,
        })
        .execute()
      await events.write(tx, [event])
    })
    events.tell([event])
    return { id, ticket: text, expiresAtMs }
  }

  async redeem(text: string, redemption: Redemption = {}): Promise<Spawned> {
    const id = secretIdOf('spt', text)
    if (id === undefined) throw spent()
    const { store, tree, now } = this.#context
    const row = await store.db
      .selectFrom('ticket')
      .selectAll()
      .where('id', '=', id)
      .executeTakeFirst()
    // Ids are no secret: only the digest of the whole text tells. A wrong one reads like a spent one.
    if (row === undefined || row.secret_sha256 !== credentialDigest(text)) throw spent()
    const isOpen = row.redeemed_at === null && row.expires_at.getTime() > now()
    const parent = tree.find(row.parent_id)
    if (!isOpen || parent === undefined || !fits(row.expect, redemption.proven)) throw spent()
    const request = row.request as SpawnRequest
    const { name = request.name, declared = {}, boundTo } = redemption
    const bound = boundTo === undefined ? {} : { boundTo }
    return this.#births.spawn(
      parent,
      { ...request, name, declared, ...bound },
      actorOf(parent),
      (tx, child) => markRedeemed(tx, id, child, now()),
    )
  }
}

/** In the transaction of the birth: of two who redeem one ticket at once, one has no child. */
async function markRedeemed(
  tx: Transaction<Tables>,
  id: string,
  child: AgentNode,
  nowMs: number,
): Promise<void> {
  const { numUpdatedRows } = await tx
    .updateTable('ticket')
    .set({ redeemed_at: new Date(nowMs), redeemed_by: child.id })
    .where('id', '=', id)
    .where('redeemed_at', 'is', null)
    .executeTakeFirstOrThrow()
  if (numUpdatedRows !== 1n) throw spent()
}

function fits(
  expect: Readonly<Record<string, string>>,
  proven: Readonly<Record<string, string>> = {},
): boolean {
  return Object.entries(expect).every(([claim, value]) => proven[claim] === value)
}

function spent(): SallyportError {
  return new SallyportError('SP_TICKET_SPENT', 'the ticket was used, has expired or is none')
}

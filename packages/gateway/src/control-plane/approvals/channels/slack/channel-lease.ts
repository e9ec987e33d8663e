import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import type { Store } from '../../../ports/store.ts'
import type { SocketLease } from './slack-socket.ts'

/** Longer than two tries to keep it. Nobody else connects while it lasts. */
const leaseSeconds = 30

/** The right to hold the socket of a channel: a row that one gateway keeps, by the clock of the database. */
export class ChannelLease implements SocketLease {
  readonly #store: Store
  readonly #channel: string
  readonly #holder = randomUUID()

  constructor(store: Store, channel: string) {
    this.#store = store
    this.#channel = channel
  }

  async hold(): Promise<boolean> {
    const { rows } = await this.#store.durable(
      async (tx) =>
        await sql`
          insert into channel_lease (channel, holder, until_at)
          values (${this.#channel}, ${this.#holder}, now() + make_interval(secs => ${leaseSeconds}::integer))
          on conflict (channel) do update set holder = excluded.holder, until_at = excluded.until_at
            where channel_lease.holder = excluded.holder or channel_lease.until_at < now()
          returning channel`.execute(tx),
    )
    return rows.length === 1
  }

  async release(): Promise<void> {
    await this.#store.durable(
      async (tx) =>
        await tx
          .deleteFrom('channel_lease')
          .where('channel', '=', this.#channel)
          .where('holder', '=', this.#holder)
          .execute(),
    )
  }
}

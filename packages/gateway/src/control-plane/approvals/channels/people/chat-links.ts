import { randomInt } from 'node:crypto'
import { LoginRefused } from '../../../births/oidc/identity.ts'
import type { LinkPages } from '../../../births/oidc/link-pages.ts'
import { ShortLived } from '../../../births/oidc/short-lived.ts'
import type { LoginGate } from '../../../births/ports.ts'
import type { Ledger } from '../../../ledger/ledger.ts'
import type { Store } from '../../../ports/store.ts'

/** An account of a chat. */
export interface ChatAccount {
  readonly team: string
  readonly user: string
  /** As the chat shows it; for people to recognise it, and for nothing else. */
  readonly shownName: string
}

/** A link as it is shown. */
export interface ChatLink {
  readonly team: string
  readonly user: string
  readonly principal: string
  readonly name: string
  readonly linkedAt: string
}

export interface ChatLinksOptions {
  readonly store: Store
  readonly ledger: Ledger
  readonly gate: Pick<LoginGate, 'refusal' | 'seen'>
  readonly now: () => number
}

const codeMs = 10 * 60_000
const codesMax = 1000
const codeLetters = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
/** 50 bits, and each guess takes a login. */
const codeLength = 10

/**
 * Which account of a chat is whose. The chat gives an account a code, and a person who has just logged in at the gateway shows it
 * here: an e-mail address of the chat says nothing.
 */
export class ChatLinks implements LinkPages {
  readonly #options: ChatLinksOptions
  readonly #codes: ShortLived<ChatAccount>

  constructor(options: ChatLinksOptions) {
    this.#options = options
    this.#codes = new ShortLived(codeMs, codesMax, options.now)
  }

  /** A code for an account that the chat itself has named. */
  code(account: ChatAccount): string {
    const letters = Array.from({ length: codeLength }, () => codeLetters[randomInt(32)] ?? '0')
    return this.#codes.add(account, letters.join(''))
  }

  /** The id of the principal that an account is linked to. */
  async principalOf({
    team,
    user,
  }: Pick<ChatAccount, 'team' | 'user'>): Promise<string | undefined> {
    const row = await this.#options.store.db
      .selectFrom('chat_link')
      .select('principal')
      .where('team', '=', team)
      .where('chat_user', '=', user)
      .executeTakeFirst()
    return row?.principal
  }

  async list(): Promise<ChatLink[]> {
    const rows = await this.#options.store.db
      .selectFrom('chat_link')
      .selectAll()
      .orderBy('linked_at', 'desc')
      .limit(1000)
      .execute()
    return rows.map(({ team, chat_user: user, principal, name, linked_at: at }) => ({
      team,
      user,
      principal,
      name,
      linkedAt: at.toISOString(),
    }))
  }

  describe(code: string): { readonly name: string; readonly value: string }[] {
    const account = this.#codes.get(code)
    if (account === undefined) throw new LoginRefused('This code is wrong, too old, or was used.')
    return [
      { name: 'Account', value: account.shownName },
      { name: 'Its id', value: `${account.user} of workspace ${account.team}` },
    ]
  }

  async link(person: Parameters<LinkPages['link']>[0], code: string): Promise<string> {
    const { store, ledger, gate, now } = this.#options
    const takenBack = await gate.refusal(person)
    if (takenBack !== undefined) throw new LoginRefused(takenBack)
    const account = this.#codes.take(code)
    if (account === undefined) throw new LoginRefused('This code is wrong, too old, or was used.')
    await gate.seen(person)
    const { id, name } = person.principal
    const { team, user } = account
    await ledger.write({
      what: 'channel.linked',
      actor: { by: 'principal', name },
      subject: `${team}/${user}`,
      detail: { principal: id },
    })
    const values = { principal: id, name, linked_at: new Date(now()) }
    await store.durable(
      async (tx) =>
        await tx
          .insertInto('chat_link')
          .values({ team, chat_user: user, ...values })
          .onConflict((conflict) => conflict.columns(['team', 'chat_user']).doUpdateSet(values))
          .execute(),
    )
    return `${account.shownName} (${user}) speaks for ${name} from now on.`
  }

  async unlinkAll(person: Parameters<LinkPages['unlinkAll']>[0]): Promise<string> {
    const { id, name } = person.principal
    const by = { by: 'principal', name } as const
    const gone = await this.#unlink(by, { principal: id })
    return gone === 0 ? 'Nothing was linked.' : `${gone} linked accounts speak for you no more.`
  }

  /** Ends the link of an account, for the owner. False where there was none. */
  async unlink(by: Parameters<Ledger['write']>[0]['actor'], account: string): Promise<boolean> {
    const [team = '', user = ''] = account.split('/', 2)
    return (await this.#unlink(by, { team, user })) > 0
  }

  async #unlink(
    actor: Parameters<Ledger['write']>[0]['actor'],
    meant: { readonly principal: string } | Pick<ChatAccount, 'team' | 'user'>,
  ): Promise<number> {
    const { store, ledger } = this.#options
    const links = store.db.selectFrom('chat_link').select(['team', 'chat_user', 'principal'])
    const found =
      'principal' in meant
        ? links.where('principal', '=', meant.principal)
        : links.where('team', '=', meant.team).where('chat_user', '=', meant.user)
    const rows = await found.execute()
    for (const { team, chat_user: user, principal } of rows) {
      const subject = `${team}/${user}`
      await ledger.write({ what: 'channel.unlinked', actor, subject, detail: { principal } })
      await store.durable(
        async (tx) =>
          await tx
            .deleteFrom('chat_link')
            .where('team', '=', team)
            .where('chat_user', '=', user)
            .execute(),
      )
    }
    return rows.length
  }
}

import { SallyportError } from '@sallyport/core'
import { gatewayBy, type Ledger } from '../../../ledger/ledger.ts'
import { answerRefused } from '../../approval.ts'
import type { Approvals } from '../../approvals.ts'
import { factBy } from '../../waiting.ts'
import type { SlackChannel as SlackConfig } from '../config/channel-config.ts'
import type { ChatLinks } from '../people/chat-links.ts'
import type { KnownPeople } from '../people/known-people.ts'
import { isForChat } from '../told-approval.ts'
import { pressIn, type Press } from './slack-press.ts'
import { callSlack } from './slack-api.ts'

export interface SlackPressesOptions {
  readonly config: SlackConfig
  readonly approvals: Pick<Approvals, 'get' | 'answer'>
  readonly people: Pick<KnownPeople, 'approver'>
  readonly links: Pick<ChatLinks, 'code' | 'principalOf'>
  readonly ledger: Ledger
  readonly gatewayUrl: () => string
  readonly now: () => number
  readonly onFault: (error: unknown) => void
}

/**
 * Answers that people give in the chat. Slack says which account pressed; whose it is, the gateway knows by a link that the
 * person made after a login, and what they may, it looks up at this moment.
 */
export class SlackPresses {
  readonly #options: SlackPressesOptions

  constructor(options: SlackPressesOptions) {
    this.#options = options
  }

  /** Never rejects. Who pressed in vain reads why, and nobody else does. */
  async take(payload: unknown): Promise<void> {
    const { config, onFault } = this.#options
    const press = pressIn(payload)
    if (press === undefined || press.channel !== config.channel) return
    try {
      await this.#answer(press)
    } catch (error) {
      if (!(error instanceof SallyportError)) onFault(error)
      const fault = 'the gateway hit a fault, and nothing was decided'
      const said = error instanceof SallyportError ? error.message : fault
      await this.#tell(press, `Not decided: ${said}.`).catch(onFault)
    }
  }

  async #answer(press: Press): Promise<void> {
    const { approvals, people, links, ledger, config } = this.#options
    const principal = await links.principalOf(press)
    if (principal === undefined) return await this.#offerLink(press)
    const person = await people.approver(principal, config.loginWithinMs)
    if ('why' in person) throw this.#refused(press, person.why)
    const view = await approvals.get(press.approval)
    if (view.id !== press.approval || view.binding !== press.binding)
      throw this.#refused(press, 'the button is of another request')
    // As of now: a preview may have told more since the button was shown. What has ended is told as such below.
    if (view.state === 'pending' && !isForChat(view))
      throw this.#refused(press, 'this request is not answered in a chat. Open its page')
    await ledger.write({
      what: 'channel.answered',
      actor: factBy(person.approver),
      subject: view.id,
      detail: { channel: config.name, decision: press.decision, account: accountOf(press) },
    })
    await approvals.answer(view.id, person.approver, press.decision, '')
  }

  #refused(press: Press, why: string): SallyportError {
    const { ledger, config } = this.#options
    const detail = { why, approval: press.approval.slice(0, 64), account: accountOf(press) }
    const actor = gatewayBy('channels')
    void ledger.write({ what: 'channel.refused', actor, subject: config.name, detail })
    return answerRefused(why)
  }

  async #offerLink(press: Press): Promise<void> {
    const { links, gatewayUrl } = this.#options
    this.#refused(press, 'the account is not linked')
    const code = links.code(press)
    const place = `${gatewayUrl().replace(/\/+$/u, '')}/link`
    const text = `Nothing was decided: this account is not linked to anybody. Open ${place} , log in, and enter ${code} . The code is for you alone, and good for 10 minutes.`
    await this.#tell(press, text)
  }

  /** To the one who pressed. */
  async #tell({ user }: Press, text: string): Promise<void> {
    const { config, now } = this.#options
    const { api, botToken, channel } = config
    const section = { type: 'section', text: { type: 'plain_text', text, emoji: false } }
    const body = { channel, user, text: 'Sallyport', parse: 'none', blocks: [section] }
    const { signal } = new AbortController()
    await callSlack({ api, now }, 'chat.postEphemeral', botToken, body, signal)
  }
}

function accountOf({ team, user }: Press): string {
  return `${team}/${user}`
}

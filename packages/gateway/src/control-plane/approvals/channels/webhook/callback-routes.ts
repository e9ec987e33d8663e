import { createHash, timingSafeEqual } from 'node:crypto'
import { SallyportError } from '@sallyport/core'
import { type Context, Hono } from 'hono'
import { serve } from '../../../api/serve.ts'
import type { ProofUses } from '../../../dpop.ts'
import { humanId, samlId } from '../../../births/entitlements.ts'
import { callbackEndpoints } from '../../../contract/channels.ts'
import { signatureOf } from '../../../exports/delivery/signed-post.ts'
import { gatewayBy, type Ledger } from '../../../ledger/ledger.ts'
import type { SourceRates } from '../../../source-rates.ts'
import { answerRefused } from '../../approval.ts'
import type { Approvals } from '../../approvals.ts'
import { factBy } from '../../waiting.ts'
import type { Callback, ChannelConfig } from '../config/channel-config.ts'
import type { KnownPeople } from '../people/known-people.ts'

export interface CallbackRouteOptions {
  readonly config: (channel: string) => ChannelConfig | undefined
  /** Whether a provider of this name speaks SAML, and what its people's ids begin with. */
  readonly provider: (
    name: string,
  ) => { readonly issuer: string; readonly isSaml: boolean } | undefined
  readonly approvals: Pick<Approvals, 'get' | 'answer'>
  readonly people: KnownPeople
  /** Answers that were taken, also before a restart. */
  readonly uses: ProofUses
  readonly ledger: Ledger
  readonly sources: SourceRates
  readonly now: () => number
}

/** Standard Webhooks: what is older, or newer, is refused. */
const windowMs = 5 * 60_000
/** A sender that changes its key signs with both. */
const signaturesMax = 4

/** Where systems bring what people answered. What is signed is read only after its signature. */
export function callbackRoutes(options: CallbackRouteOptions): Hono {
  const app = new Hono()
  const { approvals, people, ledger, provider: providerOf } = options
  serve(
    app,
    callbackEndpoints,
    async (context) => {
      options.sources.birth(context)
      return await verified(context, options)
    },
    {
      'POST /v1/approvals/callback/{channel}': async ({ params, body }, { callback }) => {
        const { approval, binding, subject, decision, note = '' } = body
        const refused = (why: string): SallyportError => {
          const actor = gatewayBy('channels')
          const detail = { why, approval: approval.slice(0, 64) }
          void ledger.write({ what: 'channel.refused', actor, subject: params.channel, detail })
          return answerRefused(why)
        }
        const provider = providerOf(callback.provider)
        if (provider === undefined) throw refused('the provider of this channel is not configured')
        const id = (provider.isSaml ? samlId : humanId)(provider.issuer, subject)
        const person = await people.approver(id, callback.loginWithinMs)
        if ('why' in person) throw refused(person.why)
        const view = await approvals.get(approval)
        // An id that begins like this one is another request, and the answer was to what was shown.
        if (view.id !== approval || view.binding !== binding)
          throw refused('the answer is bound to another request')
        await ledger.write({
          what: 'channel.answered',
          actor: factBy(person.approver),
          subject: approval,
          detail: { channel: params.channel, decision },
        })
        const { state } = await approvals.answer(approval, person.approver, decision, note)
        return { id: approval, state }
      },
    },
  )
  return app
}

/** The channel that a request is signed for. Throws SP_CALLBACK_REFUSED; a signature is used up by this. */
async function verified(
  context: Context,
  { config, uses, ledger, now }: CallbackRouteOptions,
): Promise<{ readonly callback: Callback }> {
  const channel = (context.req.param('channel') ?? '').slice(0, 64)
  const refused = (why: string): SallyportError => {
    const actor = gatewayBy('channels')
    void ledger.write({ what: 'channel.refused', actor, subject: channel, detail: { why } })
    return new SallyportError('SP_CALLBACK_REFUSED', why, { detail: why })
  }
  const found = config(channel)
  const callback = found?.type === 'webhook' ? found.callback : undefined
  const id = context.req.header('webhook-id') ?? ''
  const timestamp = context.req.header('webhook-timestamp') ?? ''
  const body = await context.req.text()
  // Whether there is such a channel is told to nobody.
  if (callback === undefined || !isSigned(context, callback, { id, timestamp, body }))
    throw refused('the signature is not right')
  const atMs = /^\d{1,12}$/u.test(timestamp) ? Number(timestamp) * 1000 : Number.NaN
  if (!(Math.abs(now() - atMs) <= windowMs)) throw refused('its time is not now')
  // Until its time is over by any clock that this one could be compared with.
  const isFirst = await uses.take(digest(`callback ${channel} ${id}`), atMs + 2 * windowMs)
  if (!isFirst) throw refused('this answer was brought already')
  return { callback }
}

/** A name may be as long as a header. */
function digest(text: string): string {
  return createHash('sha256').update(text).digest('base64url')
}

function isSigned(
  context: Context,
  { secret }: Callback,
  signed: { readonly id: string; readonly timestamp: string; readonly body: string },
): boolean {
  if (signed.id === '') return false
  const wanted = signatureOf(secret.expose(), signed)
  const given = (context.req.header('webhook-signature') ?? '').split(' ').slice(0, signaturesMax)
  return given.some((each) => {
    const [version, base64 = ''] = each.split(',')
    const bytes = Buffer.from(base64, 'base64')
    return version === 'v1' && bytes.length === wanted.length && timingSafeEqual(bytes, wanted)
  })
}

import { SallyportError } from '@sallyport/core'
import { type Context, Hono } from 'hono'
import { streamSSE } from 'hono/streaming'
import { admitted, type ApiCaller, type CallerOptions } from '../agents/api-caller.ts'
import { serve } from '../api/serve.ts'
import { approvalState } from '../contract/approval-views.ts'
import { approvalEndpoints } from '../contract/approvals.ts'
import { answerRefused, type ApprovalView } from './approval.ts'
import type { GlassEvent } from '../contract/break-glass.ts'
import type { Approvals } from './approvals.ts'
import { noBundle, type BundleView } from './bundles.ts'
import { parseMoment } from '../recordings/index/query/parse-moment.ts'
import { approverOf, isOfTree, reaches, seerOf, sees, shownTo } from './viewers.ts'
import { factBy } from './waiting.ts'

export interface ApprovalRouteOptions extends CallerOptions {
  readonly approvals: Approvals
  readonly glasses: { onEvent(watcher: (event: GlassEvent) => void): () => void }
}

const states = approvalState.options
const pingEveryMs = 15_000
/** Who reads slower than this is cut off, and may ask for the list again. */
const waitingMax = 1000

/** Requests for approval over HTTP: the owner sees all, an agent those of itself and of those below, and those that name it. */
export function approvalRoutes(options: ApprovalRouteOptions): Hono {
  const app = new Hono()
  const { approvals } = options
  const admit = async (
    context: Context,
    call: keyof typeof approvalEndpoints,
  ): Promise<ApiCaller> => await admitted(context, approvalEndpoints[call], options)
  serve(app, approvalEndpoints, admit, {
    'GET /v1/approvals': async ({ query: { state = 'pending' } }, who) => {
      const all = await approvals.list(state === 'all' ? states : [state], seerOf(who, options))
      const seen = all.filter((each) => sees(who, options, each))
      return seen.map((each) => shownTo(who, options, each))
    },
    'GET /v1/approvals/events': ({ context }, who) =>
      events(context, options, who, (view) =>
        sees(who, options, view) ? shownTo(who, options, view) : undefined,
      ),
    'GET /v1/approvals/stats': async ({ query: { since = '30d' } }) => {
      const from = parseMoment(since, Date.now())
      if (from !== undefined) return await approvals.stats(from.fromMs)
      const detail = `since is a time such as 7d, 2026-11-20 or 2026-11-20T14:00`
      throw new SallyportError('SP_CONFIG_INVALID', detail, { detail })
    },
    'GET /v1/approvals/shapes': (_request, who) =>
      approvals.shapes.list().filter(({ agent }) => reaches(who, options, agent)),
    'POST /v1/approvals/shapes/{id}/withdraw': async ({ params }, who) => {
      const { id, agent } = approvals.shapes.get(params.id)
      // Whoever stands above an agent may take from it.
      if (!reaches(who, options, agent)) throw answerRefused('this shape was approved for others')
      return await approvals.shapes.withdraw(id, factBy(approverOf(who, options)))
    },
    'GET /v1/approvals/bundles': (_request, who) => bundlesFor(who, options),
    'POST /v1/approvals/bundles/{id}/answer': async ({ params: { id }, body }, who) => {
      const ids = new Set(body.ids)
      const { requests } = seenBundle(who, options, id)
      const isAll = requests.length === ids.size && requests.every((each) => ids.has(each.id))
      if (!isAll) throw answerRefused(`ids are not those of ${id}: name each that you have seen`)
      const { decision, note = '' } = body
      const came = await approvals.answerBundle(id, approverOf(who, options), decision, note)
      return came.map((each) => shownTo(who, options, each))
    },
    'GET /v1/approvals/{id}': async ({ params }, who) =>
      shownTo(who, options, await found(who, options, params.id)),
    'POST /v1/approvals/{id}/answer': async ({ params, body }, who) => {
      const { id } = await found(who, options, params.id)
      const { decision, note = '', shape } = body
      return await approvals.answer(id, approverOf(who, options), decision, note, shape)
    },
    'POST /v1/approvals/{id}/count': async ({ params }, who) => {
      const view = await found(who, options, params.id)
      if (isOfTree(who, options, view))
        throw answerRefused('nobody looks at a request of the own tree')
      return await approvals.count(view.id, factBy(approverOf(who, options)))
    },
  })
  return app
}

/** What can be seen of only in part is none. */
function bundlesFor(who: ApiCaller, options: ApprovalRouteOptions): BundleView[] {
  return options.approvals
    .bundles()
    .filter(({ requests }) => requests.every((each) => sees(who, options, each)))
    .map((bundle) => ({
      ...bundle,
      requests: bundle.requests.map((each) => shownTo(who, options, each)),
    }))
}

function seenBundle(who: ApiCaller, options: ApprovalRouteOptions, id: string): BundleView {
  const found = bundlesFor(who, options).find((each) => each.id === id)
  if (found !== undefined) return found
  throw noBundle(id)
}

async function found(
  who: ApiCaller,
  options: ApprovalRouteOptions,
  id: string,
): Promise<ApprovalView> {
  const view = await options.approvals.get(id.toLowerCase())
  if (sees(who, options, view)) return view
  throw new SallyportError('SP_NOT_FOUND', `there is no request "${id.slice(0, 64)}"`, {
    detail: 'approval',
  })
}

/** Server-sent events: each request as it begins, is answered and ends; and each use of a broken glass. */
function events(
  context: Context,
  options: ApprovalRouteOptions,
  who: ApiCaller,
  seen: (view: ApprovalView) => ApprovalView | undefined,
): Response {
  return streamSSE(context, async (stream) => {
    const waiting: { readonly event: string; readonly data: object }[] = []
    let wake = Promise.withResolvers<void>()
    let isOpen = true
    const tell = (event: string, data: object | undefined): void => {
      if (data !== undefined && waiting.push({ event, data }) > waitingMax) isOpen = false
      wake.resolve()
    }
    const stop = options.approvals.onChange((each) => tell(each.state, seen(each)))
    const stopGlasses = options.glasses.onEvent((each) =>
      tell(each.kind, reaches(who, options, each.glass.agent) ? each : undefined),
    )
    stream.onAbort(() => {
      isOpen = false
      wake.resolve()
    })
    const ping = setInterval(() => void stream.write(': ping\n\n'), pingEveryMs)
    try {
      await stream.write(': open\n\n')
      while (isOpen) {
        await wake.promise
        wake = Promise.withResolvers<void>()
        if (!who.holds() || who.isOver()) break
        for (const { event, data } of waiting.splice(0))
          await stream.writeSSE({ event, data: JSON.stringify(data) })
      }
    } finally {
      clearInterval(ping)
      stop()
      stopGlasses()
    }
  })
}

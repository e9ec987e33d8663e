import { SallyportError } from '@sallyport/core'
import { type Context, Hono } from 'hono'
import { streamSSE } from 'hono/streaming'
import { type ApiCaller, type CallerOptions, callerOf } from '../agents/api-caller.ts'
import {
  answerRefused,
  type ApprovalDecision,
  type ApprovalState,
  type ApprovalView,
} from './approval.ts'
import type { Approvals } from './approvals.ts'
import { noBundle, type BundleView } from './bundles.ts'
import { approverOf, isOfTree, reaches, sees, shownTo } from './viewers.ts'
import { factBy } from './waiting.ts'

export interface ApprovalRouteOptions extends CallerOptions {
  readonly approvals: Approvals
}

const states: readonly ApprovalState[] = [
  'pending',
  'approved',
  'used',
  'denied',
  'expired',
  'withdrawn',
]
const pingEveryMs = 15_000
/** Who reads slower than this is cut off, and may ask for the list again. */
const waitingMax = 1000

/** Requests for approval over HTTP: the owner sees all, an agent those of itself and of those below, and those that name it. */
export function approvalRoutes(options: ApprovalRouteOptions): Hono {
  const app = new Hono()
  const { approvals } = options
  app.get('/v1/approvals', async (context) => {
    const who = await callerOf(context, options)
    const all = await approvals.list(statesOf(context))
    const seen = all.filter((each) => sees(who, options, each))
    return context.json(seen.map((each) => shownTo(who, options, each)))
  })
  app.get('/v1/approvals/events', async (context) => {
    const who = await callerOf(context, options)
    return events(context, approvals, who, (view) =>
      sees(who, options, view) ? shownTo(who, options, view) : undefined,
    )
  })
  app.get('/v1/approvals/shapes', async (context) => {
    const who = await callerOf(context, options)
    return context.json(approvals.shapes.list().filter(({ agent }) => reaches(who, options, agent)))
  })
  app.post('/v1/approvals/shapes/:id/withdraw', async (context) => {
    const who = await callerOf(context, options)
    who.mustAct()
    const { id, agent } = approvals.shapes.get(context.req.param('id'))
    // Whoever stands above an agent may take from it.
    if (!reaches(who, options, agent)) throw answerRefused('this shape was approved for others')
    return context.json(await approvals.shapes.withdraw(id, factBy(approverOf(who, options))))
  })
  app.get('/v1/approvals/bundles', async (context) => {
    const who = await callerOf(context, options)
    return context.json(bundlesFor(who, options))
  })
  app.post('/v1/approvals/bundles/:id/answer', async (context) => {
    const who = await callerOf(context, options)
    who.mustAct()
    const id = context.req.param('id')
    const { decision, note, ids } = parseBundleAnswer(await bodyOf(context))
    const { requests } = seenBundle(who, options, id)
    const isAll = requests.length === ids.length && requests.every((each) => ids.includes(each.id))
    if (!isAll) throw answerRefused(`ids are not those of ${id}: name each that you have seen`)
    const came = await approvals.answerBundle(id, approverOf(who, options), decision, note)
    return context.json(came.map((each) => shownTo(who, options, each)))
  })
  app.get('/v1/approvals/:id', async (context) => {
    const who = await callerOf(context, options)
    const view = await found(who, options, context.req.param('id'))
    return context.json(shownTo(who, options, view))
  })
  app.post('/v1/approvals/:id/answer', async (context) => {
    const who = await callerOf(context, options)
    who.mustAct()
    const { id } = await found(who, options, context.req.param('id'))
    const { decision, note, shape } = parseAnswer(await bodyOf(context))
    return context.json(await approvals.answer(id, approverOf(who, options), decision, note, shape))
  })
  app.post('/v1/approvals/:id/count', async (context) => {
    const who = await callerOf(context, options)
    who.mustAct()
    const view = await found(who, options, context.req.param('id'))
    if (isOfTree(who, options, view))
      throw answerRefused('nobody looks at a request of the own tree')
    return context.json(await approvals.count(view.id, factBy(approverOf(who, options))))
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

interface Answer {
  readonly decision: ApprovalDecision
  readonly note: string
  readonly shape?: string
}

function parseAnswer(body: unknown): Answer {
  const fields = typeof body === 'object' && body !== null ? body : {}
  const { decision, note = '', shape, ...rest } = fields as Record<string, unknown>
  const isKnown = decision === 'approve' || (decision === 'deny' && shape === undefined)
  const isShape = shape === undefined || typeof shape === 'string'
  if (isKnown && isShape && typeof note === 'string' && Object.keys(rest).length === 0)
    return { decision, note, ...(shape === undefined ? {} : { shape }) }
  const detail =
    'an answer is {"decision": "approve" or "deny", "note": "…", "shape": "30m" with approve}'
  throw new SallyportError('SP_CONFIG_INVALID', detail, { detail })
}

function parseBundleAnswer(body: unknown): Answer & { readonly ids: readonly string[] } {
  const { ids, ...rest } = (body ?? {}) as { ids?: unknown }
  const { shape, ...said } = parseAnswer(rest)
  const isList = Array.isArray(ids) && ids.every((each) => typeof each === 'string')
  if (isList && shape === undefined) return { ...said, ids: [...new Set(ids as string[])] }
  const detail =
    'an answer to a bundle is {"decision": "approve" or "deny", "note": "…", "ids": ["ap_…", …]}'
  throw new SallyportError('SP_CONFIG_INVALID', detail, { detail })
}

async function bodyOf(context: Context): Promise<unknown> {
  return (await context.req.json().catch(() => undefined)) as unknown
}

function statesOf(context: Context): readonly ApprovalState[] {
  const asked = context.req.query('state')
  if (asked === undefined) return ['pending']
  if (asked === 'all') return states
  const found = states.find((each) => each === asked)
  if (found !== undefined) return [found]
  const detail = `"${asked.slice(0, 32)}" is no state. There are all, ${states.join(', ')}.`
  throw new SallyportError('SP_CONFIG_INVALID', detail, { detail })
}

/** Server-sent events: each request as it begins, is answered and ends. */
function events(
  context: Context,
  approvals: Approvals,
  who: ApiCaller,
  seen: (view: ApprovalView) => ApprovalView | undefined,
): Response {
  return streamSSE(context, async (stream) => {
    const waiting: ApprovalView[] = []
    let wake = Promise.withResolvers<void>()
    let isOpen = true
    const stop = approvals.onChange((each) => {
      const view = seen(each)
      if (view !== undefined && waiting.push(view) > waitingMax) isOpen = false
      wake.resolve()
    })
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
        for (const view of waiting.splice(0))
          await stream.writeSSE({ event: view.state, data: JSON.stringify(view) })
      }
    } finally {
      clearInterval(ping)
      stop()
    }
  })
}

import { SallyportError, visibleText } from '@sallyport/core'
import type { ApprovalView, GlassView, ShapeView } from '@sallyport/gateway'
import type { VerbContext } from '../context.ts'
import { age } from '../durations.ts'
import { EXIT } from '../exit-codes.ts'
import { printList, printOne } from '../output.ts'
import { drained } from '../replay/drained.ts'
import { linesOf } from '../replay/step-feed.ts'
import { cardOf, wanted } from './approval-card.ts'

export interface ListFlags {
  readonly state: string
}

export interface AnswerFlags {
  readonly note: string
  /** Also lets others of its shape through for so long. */
  readonly shape?: string
  /** Answers all requests of a bundle in the place of one request. */
  readonly bundle?: string
}

const textShown = 60

export async function listApprovals(context: VerbContext, { state }: ListFlags): Promise<number> {
  const api = await context.api()
  // Which states there are is the gateway's to say.
  const query = { state: state as 'all' }
  const rows = await api.call('GET /v1/approvals', { query })
  const now = Date.now()
  const columns = {
    ID: (row: ApprovalView) => row.id,
    AGE: (row: ApprovalView) => age(now - Date.parse(row.askedAt)),
    STATE: (row: ApprovalView) => row.state,
    CHAIN: (row: ApprovalView) => row.chain.join(' › '),
    ON: (row: ApprovalView) => row.connection,
    WHAT: (row: ApprovalView) => oneLine(row.text),
    EXPIRES: (row: ApprovalView) =>
      row.state === 'pending' ? age(Date.parse(row.until) - now) : '–',
  }
  await printList(context.output, rows, columns, (row) => row.id)
  const often = new Map(
    rows.flatMap((row) => (row.often === undefined ? [] : [[row.chain[0], row.often]])),
  )
  for (const [root = '', count] of often)
    context.output.say(
      `! ${count} requests of the tree of ${root} within 10 min. Together: sallyport approvals bundles\n`,
    )
  return EXIT.done
}

export async function showApproval(context: VerbContext, approval: string): Promise<number> {
  const api = await context.api()
  const view = await api.call('GET /v1/approvals/{id}', of(approval))
  await printOne(context.output, view, cardOf(view), view.id)
  return EXIT.done
}

export async function listShapes(context: VerbContext): Promise<number> {
  const api = await context.api()
  const rows = await api.call('GET /v1/approvals/shapes')
  const now = Date.now()
  const columns = {
    ID: (row: ShapeView) => row.id,
    ENDS: (row: ShapeView) => age(Date.parse(row.until) - now),
    USES: (row: ShapeView) => String(row.uses),
    CHAIN: (row: ShapeView) => row.chain.join(' › '),
    ON: (row: ShapeView) => row.connection,
    BY: (row: ShapeView) => row.by.join(', '),
    LIKE: (row: ShapeView) => oneLine(row.text),
  }
  await printList(context.output, rows, columns, (row) => row.id)
  return EXIT.done
}

export async function withdrawShape(context: VerbContext, approval: string): Promise<number> {
  const api = await context.api()
  const view = await api.call('POST /v1/approvals/shapes/{id}/withdraw', of(approval))
  const text = `✓ withdrawn ${view.id}. Commands of its shape are asked for again.\n`
  await printOne(context.output, view, text, view.id)
  return EXIT.done
}

export async function countApproval(context: VerbContext, approval: string): Promise<number> {
  const api = await context.api()
  const view = await api.call('POST /v1/approvals/{id}/count', of(approval))
  const { count } = view.preview ?? {}
  const rows = count?.known === true ? count.value.toLocaleString('en-US') : 'an unknown number of'
  await printOne(context.output, view, `${view.id} would meet ${rows} rows now\n`, view.id)
  return EXIT.done
}

export async function answerOne(
  context: VerbContext,
  approval: string | undefined,
  decision: 'approve' | 'deny',
  { note, shape }: AnswerFlags,
): Promise<number> {
  if (approval === undefined)
    throw new SallyportError('SP_CONFIG_INVALID', 'name a request, or a bundle with --bundle')
  const api = await context.api()
  const body = { decision, note, ...(shape === undefined ? {} : { shape }) }
  const view = await api.call('POST /v1/approvals/{id}/answer', { ...of(approval), body })
  await printOne(context.output, view, `${answered(view, decision, shape)}\n`, view.id)
  return EXIT.done
}

export async function watchApprovals(context: VerbContext): Promise<number> {
  const api = await context.api()
  const { output } = context
  const isText = output.form === undefined || output.form === 'table'
  const leaving = new AbortController()
  process.once('SIGINT', () => leaving.abort())
  try {
    for await (const line of linesOf(api.live(leaving.signal, 'GET /v1/approvals/events'))) {
      // Lines of server-sent events (WHATWG HTML, section 9.2): only those with data count.
      if (!line.startsWith('data: ')) continue
      const json = line.slice('data: '.length)
      output.data(isText ? `${lineOf(JSON.parse(json) as Watched)}\n` : `${json}\n`)
      await drained()
    }
  } catch (error) {
    if (leaving.signal.aborted) return EXIT.done
    if (error instanceof SallyportError) throw error
  }
  if (leaving.signal.aborted) return EXIT.done
  throw new SallyportError('SP_GATEWAY_UNREACHABLE', 'the gateway went away')
}

function of(id: string): { readonly params: { readonly id: string } } {
  return { params: { id } }
}

/** What is told: a request, or something of a glass that was broken. */
type Watched = ApprovalView | { readonly kind: string; readonly glass: GlassView }

function lineOf(view: Watched): string {
  if ('glass' in view) {
    const { id, by, agent, connections, reason, uses } = view.glass
    const where = connections.join(', ')
    return `${id}  ${view.kind}  ${by} for ${agent}  ${where}  ${uses} uses  ${oneLine(reason)}`
  }
  const { id, state, chain, connection, text } = view
  return `${id}  ${state}  ${chain.join(' › ')}  ${connection}  ${oneLine(text)}`
}

function answered(view: ApprovalView, decision: 'approve' | 'deny', shape?: string): string {
  const { id, state, chain } = view
  const agent = chain.at(-1) ?? ''
  if (decision === 'deny') return `✓ denied ${id}. ${agent} reads SP_APPROVAL_DENIED.`
  if (state === 'pending') return `✓ noted. ${id} waits for more: ${wanted(view)}.`
  const next = view.wait === 'return' ? 'may send it again within 5 minutes' : 'goes on'
  const more = shape === undefined ? 'once' : `and others of its shape for ${shape}`
  return `✓ approved ${id} ${more}. ${agent} ${next}.`
}

function oneLine(text: string): string {
  const line = visibleText(text.replaceAll(/\s+/gu, ' '))
  return line.length > textShown ? `${line.slice(0, textShown - 1)}…` : line
}

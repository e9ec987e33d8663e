import { SallyportError } from '@sallyport/core'
import type { VerbContext } from '../context.ts'
import { EXIT } from '../exit-codes.ts'
import { printable, printOne } from '../output.ts'
import { drained } from '../replay/drained.ts'
import { linesOf } from '../replay/step-feed.ts'
import { of } from './agents.ts'

/** Where an agent comes from, signed: JSON alone, since it is for programs and for keeping. */
export async function lineage(context: VerbContext, agent: string): Promise<number> {
  const api = await context.api()
  const known = await api.call('GET /v1/agents/{id}/lineage', of(agent))
  const text = `${JSON.stringify(known, undefined, 2)}\n`
  await printOne(context.output, known, text, known.jws)
  return EXIT.done
}

/** What became of an end or a freeze at the workers, by its number. */
export async function revocation(context: VerbContext, epoch: string): Promise<number> {
  const api = await context.api()
  const view = await api.call('GET /v1/revocations/{epoch}', { params: { epoch } })
  const { report } = view
  const state = report === undefined ? 'the workers are still asked' : report.state
  const text = [
    `${view.epoch} ${view.mode} ${view.agent} by ${view.by} at ${view.at}: ${view.reason}`,
    `  ${view.agents} agents · ${state}`,
    ...(report?.sessions ?? []).map(
      (each) => `  ${each.connection}  ${each.session}  ${each.outcome}`,
    ),
  ]
  const lines = text.map((line) => `${printable(line)}\n`).join('')
  await printOne(context.output, view, lines, String(view.epoch))
  return EXIT.done
}

/** What becomes of agents, as it happens: one JSON object a line. */
export async function events(context: VerbContext): Promise<number> {
  const api = await context.api()
  const leaving = new AbortController()
  process.once('SIGINT', () => leaving.abort())
  try {
    for await (const line of linesOf(api.live(leaving.signal, 'GET /v1/events'))) {
      // Lines of server-sent events (WHATWG HTML, section 9.2): only those with data count.
      if (line.startsWith('data: ')) context.output.data(`${line.slice('data: '.length)}\n`)
      await drained()
    }
  } catch (error) {
    if (leaving.signal.aborted) return EXIT.done
    if (error instanceof SallyportError) throw error
  }
  if (leaving.signal.aborted) return EXIT.done
  throw new SallyportError('SP_GATEWAY_UNREACHABLE', 'the gateway went away')
}

import { withAgentCalls } from '../agent-calls.ts'
import type { Answered } from '@sallyport/gateway'
import type { VerbContext } from '../context.ts'
import { EXIT } from '../exit-codes.ts'
import { printable, printOne } from '../output.ts'
import { of } from './agents.ts'

/** What became of an agent's sessions. */
type ClosureReport = Answered<'POST /v1/agents/{id}/end'>

const done = { revoke: 'revoked', freeze: 'froze', unfreeze: 'released', end: 'ended' } as const

/** Takes an agent and all below it away, holds it, or lets it go on. */
export async function stopAgent(
  context: VerbContext,
  action: keyof typeof done,
  agent: string,
  reason: string | undefined,
): Promise<number> {
  return await withAgentCalls(context, async (calls) => {
    const body = reason === undefined ? {} : { reason }
    const report = await calls.call(`POST /v1/agents/{id}/${action}`, { ...of(agent), body })
    await printOne(context.output, report, reportText(report, action, agent), agent)
    return report.state === 'unknown' ? EXIT.unexpected : EXIT.done
  })
}

function reportText(report: ClosureReport, action: keyof typeof done, agent: string): string {
  const { agents, sessions, workers, ms, state } = report
  const unsure = {
    closed: '',
    partial: ' · something may go on at a target',
    pending: ' · nobody waited for the workers',
    unknown: ` · only ${workers.acknowledged} of ${workers.all} workers answered`,
  }[state]
  const lines = [
    `${state === 'closed' ? '✓' : '!'} ${done[action]} ${agent}: ${agents} agents · ${sessions.length} sessions closed${unsure} · ${Math.round(ms)} ms`,
    ...sessions.map((each) => `  ${each.connection}  ${each.session.slice(0, 7)}  ${each.outcome}`),
  ]
  return lines.map((line) => `${printable(line)}\n`).join('')
}

import { withAgentCalls } from '../agent-calls.ts'
import type { AgentView } from '../broker/protocol.ts'
import type { VerbContext } from '../context.ts'
import { EXIT } from '../exit-codes.ts'
import { printable, printOne } from '../output.ts'
import { pathOf } from './agents.ts'

/** What became of an agent's sessions. */
interface ClosureReport {
  readonly agent: string | AgentView
  readonly state: 'closed' | 'partial' | 'unknown'
  readonly agents: number
  readonly sessions: readonly {
    readonly session: string
    readonly connection: string
    readonly outcome: string
  }[]
  readonly workers: { readonly all: number; readonly acknowledged: number }
  readonly ms: number
}

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
    const report = await calls.json<ClosureReport>('POST', `${pathOf(agent)}/${action}`, body)
    await printOne(context.output, report, reportText(report, action, agent), agent)
    return report.state === 'unknown' ? EXIT.unexpected : EXIT.done
  })
}

function reportText(report: ClosureReport, action: keyof typeof done, agent: string): string {
  const { agents, sessions, workers, ms, state } = report
  const unsure = {
    closed: '',
    partial: ' · something may go on at a target',
    unknown: ` · only ${workers.acknowledged} of ${workers.all} workers answered`,
  }[state]
  const lines = [
    `${state === 'closed' ? '✓' : '!'} ${done[action]} ${agent}: ${agents} agents · ${sessions.length} sessions closed${unsure} · ${Math.round(ms)} ms`,
    ...sessions.map((each) => `  ${each.connection}  ${each.session.slice(0, 7)}  ${each.outcome}`),
  ]
  return lines.map((line) => `${printable(line)}\n`).join('')
}

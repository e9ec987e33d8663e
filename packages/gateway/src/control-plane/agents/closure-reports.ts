import type { ClosedByAgent, Outcome } from '../../boundary/agents.ts'
import type { RevocationTable } from '../ports/tables/agent-tables.ts'
import type { OrphanSession } from '../target-cancels.ts'
import { lostForMs } from './admissions.ts'
import type { AgentContext } from './agent-context.ts'
import { type AgentNode, isLive } from './agent-node.ts'
import type { Canceller, Closer, EndWait } from './agent-requests.ts'
import { FENCED_AFTER_MS } from './limits.ts'
import { saveReport } from './revocation-rows.ts'
import type { ClosureReport } from '../contract/agent-views.ts'

/** Who reaches the sessions of agents; it is there once the workers are. */
export interface Reach {
  readonly closer: Closer
  readonly canceller: Canceller
}

/** A change that has committed. Nothing was changed where there is no epoch. */
export interface Taken {
  readonly agent: AgentNode
  readonly epoch: number | undefined
  readonly agents: number
  readonly startedMs: number
  readonly mode: RevocationTable['mode']
}

interface Orphan extends OrphanSession {
  readonly node: AgentNode
}

/** Outcomes after which nothing of the session goes on at its target. */
const isOver: Readonly<Record<Outcome, boolean>> = {
  idle: true,
  withdrawn: true,
  terminated: true,
  'completed-before': true,
  'cancel-sent': false,
  unknown: false,
}

/** Has the sessions of agents closed that were taken away, and says what became of them. */
export class ClosureReports {
  readonly #context: AgentContext
  readonly #reach: () => Reach
  readonly #onFault: (error: unknown) => void
  readonly #pending = new Set<Promise<unknown>>()

  constructor(context: AgentContext, reach: () => Reach, onFault: (error: unknown) => void) {
    this.#context = context
    this.#reach = reach
    this.#onFault = onFault
  }

  /** The report is stored with its epoch, also where nobody waits for it. */
  async of(taken: Taken, wait: EndWait): Promise<ClosureReport> {
    const reporting = this.#report(taken, wait)
    if (wait !== 'none') return await reporting
    const pending = reporting.catch(this.#onFault).finally(() => this.#pending.delete(pending))
    this.#pending.add(pending)
    const workers = { all: 0, acknowledged: 0 }
    return { ...headOf(taken), state: 'pending', sessions: [], workers, ms: msSince(taken) }
  }

  /** Resolves when nothing is reported any more that nobody waits for. */
  async settled(): Promise<void> {
    await Promise.all(this.#pending)
  }

  async #report(taken: Taken, wait: EndWait): Promise<ClosureReport> {
    const { log, store } = this.#context
    let closing = await this.#reach().closer(log.version)
    // At once, and not when the waiting is over: it may be long.
    const orphans = await this.#endOrphans(this.#orphansBelow(taken.agent, closing))
    let fenced = 0
    if (wait === 'closed' && closing.silent.length > 0 && closing.later !== undefined) {
      closing = await closing.later(FENCED_AFTER_MS - msSince(taken))
      fenced = closing.silent.length
    }
    const { acknowledged, workers } = closing
    const closed = closing.closed.filter(({ agent }) => this.#isBelow(agent, taken.agent))
    // What a worker says of its own session is worth more than what was done without it.
    const known = new Set(closed.map(({ session }) => session))
    const sessions = [...closed, ...orphans.filter(({ session }) => !known.has(session))]
    const isSure = fenced === 0 && sessions.every(({ outcome }) => isOver[outcome])
    const report: ClosureReport = {
      ...headOf(taken),
      state: acknowledged + fenced < workers ? 'unknown' : isSure ? 'closed' : 'partial',
      sessions,
      workers: { all: workers, acknowledged, ...(fenced === 0 ? {} : { fenced }) },
      ms: msSince(taken),
    }
    if (taken.epoch !== undefined) await saveReport(store, taken.epoch, report)
    this.#context.onClosure(taken.mode, report)
    return report
  }

  /** Several ends may be under way: each tells of what was below it, and its reader may know no more. */
  #isBelow(agent: ClosedByAgent['agent'], top: AgentNode): boolean {
    return this.#context.tree.find(agent)?.path.includes(top) === true
  }

  /** Sessions of workers that were killed, and so have cancelled nothing, or that have not answered. */
  #orphansBelow(
    agent: AgentNode,
    { silent, closed }: Awaited<ReturnType<Closer>>,
  ): readonly Orphan[] {
    const { lost, sessions, now } = this.#context
    const left = lost
      .filter(({ atMs }) => atMs > now() - lostForMs)
      .map(({ session, agent: node, connection }) => ({ session, node, connection }))
    for (const [session, { agent: node, credential, worker }] of sessions)
      if (silent.includes(worker) && !isLive(node))
        left.push({ session, node, connection: credential.connection })
    const known = new Set(closed.map(({ session }) => session))
    return left
      .filter(({ node, session }) => node.path.includes(agent) && !known.has(session))
      .map((each) => ({ ...each, agent: each.node.id }))
  }

  /** What runs for an agent that is only frozen goes on. */
  async #endOrphans(orphans: readonly Orphan[]): Promise<readonly ClosedByAgent[]> {
    const over = orphans.filter(({ node }) => !isLive(node))
    const outcomes = await this.#reach().canceller(over)
    return orphans.map(({ session, agent, connection }) => ({
      session,
      agent,
      connection,
      outcome: outcomes.get(session) ?? 'unknown',
    }))
  }
}

function headOf({
  agent,
  epoch,
  agents,
}: Taken): Pick<ClosureReport, 'agent' | 'epoch' | 'agents'> {
  return { ...(epoch === undefined ? {} : { epoch }), agent: agent.id, agents }
}

function msSince({ startedMs }: Taken): number {
  return Math.round(performance.now() - startedMs)
}

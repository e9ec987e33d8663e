import type { AgentState } from '@sallyport/core'
import type { AgentEnd, ClosedByAgent, Outcome } from '../../boundary/agents.ts'
import type { Freeze, RevocationTable } from '../ports/store.ts'
import { lostForMs } from './admissions.ts'
import type { AgentContext } from './agent-context.ts'
import type { Actor, AgentEvent, AgentEventKind } from './agent-events.ts'
import { type AgentNode, isLive } from './agent-node.ts'
import type { Canceller, Closer, ClosureReport } from './agent-requests.ts'
import { subtree } from './agent-tree.ts'
import type { OrphanSession } from '../target-cancels.ts'
import { authorize } from './authorize-agent.ts'
import { REASON_CHARACTERS_MAX } from './limits.ts'
import { nextEpoch, saveReport, writeEnds, writeFreezes } from './revocation-rows.ts'
import { checkedText } from './spawn-rules.ts'

type Mode = RevocationTable['mode']

interface Ending {
  readonly agent: AgentNode
  readonly mode: Mode
  readonly event: AgentEventKind
  readonly by: Actor
  readonly reason: string
}

/** Who reaches the sessions of agents; it is there once the workers are. */
export interface Reach {
  readonly closer: Closer
  readonly canceller: Canceller
}

const endedStates: Partial<Record<Mode, AgentState>> = {
  revoke: 'revoked',
  expire: 'expired',
  end: 'ended',
}

/**
 * Takes agents away. Each change is one transaction over all agents that it reaches, with the next epoch; then memory,
 * then the workers, and the answer says what they closed.
 */
export class Endings {
  readonly #context: AgentContext
  readonly #reach: () => Reach

  constructor(context: AgentContext, reach: () => Reach) {
    this.#context = context
    this.#reach = reach
  }

  revoke(agent: AgentNode, by: Actor, reason: string): Promise<ClosureReport> {
    return this.#finish({ agent, mode: 'revoke', event: 'revoked', by, reason }, subtree)
  }

  /** Time is over, or nobody has heard of it. */
  expire(agent: AgentNode, by: Actor, reason: string): Promise<ClosureReport> {
    return this.#finish({ agent, mode: 'expire', event: 'expired', by, reason }, subtree)
  }

  /** The agent said that it is done. Its children have a grace. */
  end(agent: AgentNode, by: Actor, reason: string): Promise<ClosureReport> {
    return this.#finish({ agent, mode: 'end', event: 'ended', by, reason }, justItself)
  }

  /** The grace of a child is over: it ends with all below it but those that may outlive a parent. */
  endOrphan(agent: AgentNode, by: Actor): Promise<ClosureReport> {
    const reason = 'its parent ended'
    return this.#finish({ agent, mode: 'end', event: 'ended', by, reason }, attached)
  }

  freeze(
    agent: AgentNode,
    by: Actor,
    reason: string,
    kind: Freeze['kind'],
  ): Promise<ClosureReport> {
    const started = performance.now()
    const ending: Ending = {
      agent,
      mode: 'freeze',
      event: 'frozen',
      by,
      reason: checkedReason(reason),
    }
    return this.#reported(started, ending, async () => {
      // A frozen agent may be frozen for one more reason; one that has ended may not.
      if (!isLive(agent)) authorize(agent, this.#context.now())
      const freeze: Freeze = { at: agent.id, kind, by: by.name, reason, atMs: this.#context.now() }
      const reached = [...subtree(agent)].filter(isLive)
      const after = new Map(
        reached.map((each): [AgentNode, readonly Freeze[]] => [
          each,
          // What somebody said stays, whatever others say after it.
          each.freezes.some((other) => isSame(other, freeze))
            ? each.freezes
            : [...each.freezes, freeze],
        ]),
      )
      return this.#setFreezes(ending, after)
    })
  }

  /** Takes back the freezes of these kinds that were put on this agent; one that was put further up stays. */
  unfreeze(
    agent: AgentNode,
    by: Actor,
    reason: string,
    kinds: readonly Freeze['kind'][],
  ): Promise<ClosureReport> {
    const started = performance.now()
    const ending: Ending = {
      agent,
      mode: 'unfreeze',
      event: 'unfrozen',
      by,
      reason: checkedReason(reason),
    }
    return this.#reported(started, ending, async () => {
      const after = new Map<AgentNode, readonly Freeze[]>()
      for (const each of subtree(agent)) {
        const left = each.freezes.filter(({ at, kind }) => at !== agent.id || !kinds.includes(kind))
        if (isLive(each) && left.length < each.freezes.length) after.set(each, left)
      }
      return this.#setFreezes(ending, after)
    })
  }

  async #finish(
    ending: Ending,
    reach: (agent: AgentNode) => Iterable<AgentNode>,
  ): Promise<ClosureReport> {
    const started = performance.now()
    const reason = checkedReason(ending.reason)
    return this.#reported(started, ending, async () => {
      const { store, tree, log, events, now } = this.#context
      const reached = [...reach(ending.agent)].filter(isLive)
      if (reached.length === 0) return { epoch: undefined, agents: 0 }
      const state = endedStates[ending.mode] ?? 'ended'
      const end: AgentEnd = { by: ending.by.name, reason, atMs: now() }
      const event = eventOf(ending, end.atMs, reached.length)
      const epoch = await store.durable(async (tx) => {
        const next = await nextEpoch(tx, ending, reached.length, end.atMs)
        await writeEnds(tx, reached, state, end)
        await events.write(tx, [event])
        return next
      })
      for (const each of reached) tree.finish(each, state, end)
      log.commit({ agents: reached })
      events.tell([event])
      return { epoch, agents: reached.length }
    })
  }

  async #setFreezes(
    ending: Ending,
    after: ReadonlyMap<AgentNode, readonly Freeze[]>,
  ): Promise<{ epoch: number | undefined; agents: number }> {
    if (after.size === 0) return { epoch: undefined, agents: 0 }
    const { store, log, events, now } = this.#context
    const nowMs = now()
    const event = eventOf(ending, nowMs, after.size)
    const epoch = await store.durable(async (tx) => {
      const next = await nextEpoch(tx, ending, after.size, nowMs)
      await writeFreezes(tx, after)
      await events.write(tx, [event])
      return next
    })
    for (const [each, freezes] of after) {
      each.freezes = freezes
      each.state = freezes.length === 0 ? 'active' : 'frozen'
    }
    log.commit({ agents: after.keys() })
    events.tell([event])
    return { epoch, agents: after.size }
  }

  /** The workers are asked outside of the queue: other changes need not wait for them. */
  async #reported(
    started: number,
    ending: Ending,
    change: () => Promise<{ epoch: number | undefined; agents: number }>,
  ): Promise<ClosureReport> {
    const { serial, log, store } = this.#context
    const { epoch, agents } = await serial.runUrgent(change)
    const { acknowledged, workers, silent, closed } = await this.#reach().closer(log.version)
    const known = new Set(closed.map(({ session }) => session))
    const orphans = this.#orphansBelow(ending.agent, silent).filter(
      (each) => !known.has(each.session),
    )
    const sessions = [...closed, ...(await this.#endOrphans(orphans))]
    const isSure = sessions.every(({ outcome }) => isOver[outcome])
    const report: ClosureReport = {
      agent: ending.agent.id,
      state: acknowledged < workers ? 'unknown' : isSure ? 'closed' : 'partial',
      agents,
      sessions,
      workers: { all: workers, acknowledged },
      ms: Math.round(performance.now() - started),
    }
    if (epoch !== undefined) await saveReport(store, epoch, report)
    return report
  }

  /** Sessions of workers that were killed, and so have cancelled nothing, or that have not answered. */
  #orphansBelow(agent: AgentNode, silent: readonly number[]): Orphan[] {
    const { lost, sessions, now } = this.#context
    const left = lost
      .filter(({ atMs }) => atMs > now() - lostForMs)
      .map(({ session, agent: node, connection }) => ({ session, node, connection }))
    for (const [session, { agent: node, credential, worker }] of sessions)
      if (silent.includes(worker) && !isLive(node))
        left.push({ session, node, connection: credential.connection })
    return left
      .filter(({ node }) => node.path.includes(agent))
      .map((each) => ({ ...each, agent: each.node.id }))
  }

  /** What runs for an agent that is only frozen goes on. */
  async #endOrphans(orphans: readonly Orphan[]): Promise<ClosedByAgent[]> {
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

interface Orphan extends OrphanSession {
  readonly node: AgentNode
}

/** Outcomes after which nothing of the session goes on at its target. */
const isOver: Readonly<Record<Outcome, boolean>> = {
  idle: true,
  terminated: true,
  'completed-before': true,
  'cancel-sent': false,
  unknown: false,
}

function* justItself(agent: AgentNode): Iterable<AgentNode> {
  yield agent
}

function* attached(agent: AgentNode): Iterable<AgentNode> {
  yield agent
  for (const child of agent.children) if (!child.detached) yield* attached(child)
}

function isSame(left: Freeze, right: Freeze): boolean {
  return left.at === right.at && left.kind === right.kind && left.by === right.by
}

function eventOf(ending: Ending, atMs: number, agents: number): AgentEvent {
  const { event: kind, agent, by, reason } = ending
  return { kind, agent, by, atMs, detail: { reason, agents } }
}

function checkedReason(reason: string): string {
  return checkedText('a reason', reason, REASON_CHARACTERS_MAX)
}

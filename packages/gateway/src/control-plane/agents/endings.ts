import type { AgentState } from '@sallyport/core'
import type { AgentEnd } from '../../boundary/agents.ts'
import type { Freeze, RevocationTable } from '../ports/tables/agent-tables.ts'
import type { AgentContext } from './agent-context.ts'
import type { Actor, AgentEvent, AgentEventKind } from './agent-events.ts'
import { type AgentNode, isLive } from './agent-node.ts'
import type { EndWait } from './agent-requests.ts'
import { subtree } from './agent-tree.ts'
import { authorize } from './authorize-agent.ts'
import type { Budgets } from './budgets.ts'
import type { ClosureReports } from './closure-reports.ts'
import { REASON_CHARACTERS_MAX } from './limits.ts'
import { nextEpoch, writeEnds, writeFreezes } from './revocation-rows.ts'
import { checkedText } from './spawn-rules.ts'
import type { ClosureReport } from '../contract/agent-views.ts'

type Mode = RevocationTable['mode']

interface Ending {
  readonly agent: AgentNode
  readonly mode: Mode
  readonly event: AgentEventKind
  readonly by: Actor
  readonly reason: string
  readonly wait?: EndWait | undefined
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
  readonly #reports: ClosureReports
  readonly #budgets: Budgets
  readonly #onFault: (error: unknown) => void

  constructor(
    context: AgentContext,
    reports: ClosureReports,
    budgets: Budgets,
    onFault: (error: unknown) => void,
  ) {
    this.#context = context
    this.#reports = reports
    this.#budgets = budgets
    this.#onFault = onFault
  }

  revoke(agent: AgentNode, by: Actor, reason: string, wait?: EndWait): Promise<ClosureReport> {
    return this.#finish({ agent, mode: 'revoke', event: 'revoked', by, reason, wait }, subtree)
  }

  /** Time is over, or nobody has heard of it. */
  expire(agent: AgentNode, by: Actor, reason: string): Promise<ClosureReport> {
    return this.#finish({ agent, mode: 'expire', event: 'expired', by, reason }, subtree)
  }

  /** The agent said that it is done. Its children have a grace. */
  end(agent: AgentNode, by: Actor, reason: string, wait?: EndWait): Promise<ClosureReport> {
    return this.#finish({ agent, mode: 'end', event: 'ended', by, reason, wait }, justItself)
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
    wait?: EndWait,
  ): Promise<ClosureReport> {
    const started = performance.now()
    const ending: Ending = {
      agent,
      mode: 'freeze',
      event: 'frozen',
      by,
      reason: checkedReason(reason),
      wait,
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
      return { epoch, agents: reached.length, ended: reached }
    })
  }

  async #setFreezes(
    ending: Ending,
    after: ReadonlyMap<AgentNode, readonly Freeze[]>,
  ): Promise<Changed> {
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
    startedMs: number,
    { agent, mode, wait }: Ending,
    change: () => Promise<Changed>,
  ): Promise<ClosureReport> {
    const { epoch, agents, ended = [] } = await this.#context.serial.runUrgent(change)
    const report = this.#reports.of({ agent, epoch, agents, startedMs, mode }, wait)
    await this.#budgets.free(ended).catch(this.#onFault)
    return await report
  }
}

interface Changed {
  readonly epoch: number | undefined
  readonly agents: number
  readonly ended?: readonly AgentNode[]
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

import type { AgentContext } from './agent-context.ts'
import type { AgentCredentials } from './agent-credentials.ts'
import { gatewayActor } from './agent-events.ts'
import { type AgentNode, isLive } from './agent-node.ts'
import type { Endings } from './endings.ts'
import { BEAT, GRACE_MS, IDLE_MS, KEPT_AFTER_END_MS, KEPT_AFTER_EXPIRY_MS } from './limits.ts'

const purgeEveryMs = 60_000

/** What time does to agents: it is called every second. */
export class Sweep {
  readonly #context: AgentContext
  readonly #endings: Endings
  readonly #credentials: AgentCredentials
  #purgedAtMs: number

  constructor(context: AgentContext, endings: Endings, credentials: AgentCredentials) {
    this.#context = context
    this.#endings = endings
    this.#credentials = credentials
    this.#purgedAtMs = context.now()
  }

  async run(): Promise<void> {
    const nowMs = this.#context.now()
    // Parents come before their children, which the end of a parent may take along.
    for (const node of Array.from(this.#context.tree.all())) await this.#judge(node, nowMs)
    this.#forget(nowMs)
    if (nowMs - this.#purgedAtMs < purgeEveryMs) return
    this.#purgedAtMs = nowMs
    await purgeCredentials(this.#context, nowMs)
  }

  async #judge(node: AgentNode, nowMs: number): Promise<void> {
    if (!isLive(node)) return
    if (node.expiresAtMs <= nowMs) {
      await this.#endings.expire(node, gatewayActor('time'), 'its time was over')
      return
    }
    const { parent } = node
    if (parent !== undefined && !isLive(parent) && !node.detached) {
      if ((parent.end?.atMs ?? 0) + GRACE_MS <= nowMs)
        await this.#endings.endOrphan(node, gatewayActor(parent.name))
      return
    }
    if (node.beatAtMs === undefined) await this.#judgeIdle(node, nowMs)
    else await this.#judgeBeat(node, nowMs - node.beatAtMs)
  }

  async #judgeBeat(node: AgentNode, silentMs: number): Promise<void> {
    const isHuman = node.principal.current.kind === 'human'
    const by = gatewayActor('heartbeat')
    if (silentMs >= (isHuman ? BEAT.expiredUnderHumanMs : BEAT.expiredAfterMs))
      await this.#endings.expire(node, by, 'no heartbeat')
    else if (silentMs >= BEAT.frozenAfterMs && !isFrozenByBeat(node))
      await this.#endings.freeze(node, by, 'no heartbeat', 'heartbeat')
  }

  async #judgeIdle(node: AgentNode, nowMs: number): Promise<void> {
    const isUsed = node.parent === undefined || node.sessions > 0 || node.liveBelow > 1
    if (isUsed || nowMs - node.touchedAtMs < IDLE_MS) return
    await this.#endings.expire(node, gatewayActor('time'), 'no command for 30 minutes')
  }

  /** Lets go of what nobody can ask about any more. */
  #forget(nowMs: number): void {
    this.#credentials.forget((each) => each.expiresAtMs + KEPT_AFTER_EXPIRY_MS <= nowMs)
    const { tree, handles, log } = this.#context
    const gone = [...tree.all()].filter(
      (node) =>
        node.liveBelow === 0 &&
        node.credentials === 0 &&
        node.sessions === 0 &&
        (node.end?.atMs ?? nowMs) + KEPT_AFTER_END_MS <= nowMs,
    )
    if (gone.length === 0) return
    const set = new Set(gone)
    for (const node of gone) tree.forget(node)
    for (const [id, { agent }] of handles) if (set.has(agent)) handles.delete(id)
    log.commit({ goneAgents: gone.map(({ id }) => id) })
  }
}

function isFrozenByBeat(node: AgentNode): boolean {
  return node.freezes.some(({ kind, at }) => kind === 'heartbeat' && at === node.id)
}

/** Removes verifiers that open nothing any more, and handles of agents that ended. */
export async function purgeCredentials({ store }: AgentContext, nowMs: number): Promise<void> {
  await store.durable(async (tx) => {
    await tx
      .deleteFrom('credential')
      .where('expires_at', '<', new Date(nowMs - KEPT_AFTER_EXPIRY_MS))
      .execute()
    await tx
      .deleteFrom('agent_handle')
      .where('agent_id', 'in', (query) =>
        query
          .selectFrom('agent')
          .select('id')
          .where('ended_at', '<', new Date(nowMs - KEPT_AFTER_END_MS)),
      )
      .execute()
  })
}

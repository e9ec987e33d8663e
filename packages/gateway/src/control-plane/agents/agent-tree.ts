import { SallyportError, type AgentId, type AgentState, type Principal } from '@sallyport/core'
import type { AgentEnd } from '../../boundary/agents.ts'
import { type AgentNode, isLive } from './agent-node.ts'

/** All agents that live or ended a short while ago. */
export class AgentTree {
  readonly #nodes = new Map<AgentId, AgentNode>()
  readonly #principals = new Map<string, { current: Principal }>()

  get size(): number {
    return this.#nodes.size
  }

  all(): Iterable<AgentNode> {
    return this.#nodes.values()
  }

  knownPrincipal(id: string): Principal | undefined {
    return this.#principals.get(id)?.current
  }

  /** The shared holder of a principal. */
  principal(principal: Principal): { current: Principal } {
    const known = this.#principals.get(principal.id)
    if (known !== undefined) return known
    const holder = { current: principal }
    this.#principals.set(principal.id, holder)
    return holder
  }

  add(node: AgentNode): void {
    this.#nodes.set(node.id, node)
    node.parent?.children.add(node)
    if (!isLive(node)) return
    node.parent?.liveNames.add(node.name)
    for (const each of node.path) each.liveBelow += 1
  }

  /** Moves an agent to a final state. */
  finish(node: AgentNode, state: AgentState, end: AgentEnd): void {
    if (!isLive(node)) return
    node.state = state
    node.end = end
    node.parent?.liveNames.delete(node.name)
    for (const each of node.path) each.liveBelow -= 1
  }

  /** Forgets an agent that ended. */
  forget(node: AgentNode): void {
    this.#nodes.delete(node.id)
    node.parent?.children.delete(node)
  }

  find(id: string): AgentNode | undefined {
    return this.#nodes.get(id as AgentId)
  }

  /** By id or unique prefix, with or without `a_`, of those at or below `top`; undefined where nothing or more than one fits. */
  byPrefix(text: string, top?: string): AgentNode | undefined {
    const isReached = (node: AgentNode): boolean =>
      top === undefined || node.path.some(({ id }) => id === top)
    const exact = this.find(text)
    if (exact !== undefined) return isReached(exact) ? exact : undefined
    const prefix = text.startsWith('a_') ? text : `a_${text}`
    if (prefix.length < prefixCharactersMin) return undefined
    let found: AgentNode | undefined
    for (const node of this.#nodes.values()) {
      if (!node.id.startsWith(prefix) || !isReached(node)) continue
      if (found !== undefined) return undefined
      found = node
    }
    return found
  }

  get(id: string): AgentNode {
    const node = this.byPrefix(id)
    if (node !== undefined) return node
    throw new SallyportError('SP_NOT_FOUND', `there is no agent "${id.slice(0, 64)}"`, {
      detail: 'agent',
    })
  }
}

/** `a_` and two characters: fewer would fit many agents. */
const prefixCharactersMin = 4

/** The agent itself, then all below it that are in memory, parents before children. */
export function* subtree(node: AgentNode): Generator<AgentNode> {
  yield node
  for (const child of node.children) yield* subtree(child)
}

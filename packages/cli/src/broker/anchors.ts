import type { ProcessFacts, ProcessKey } from './processes.ts'

/** What stands above a process, by its ancestry. */
export type Above =
  | { readonly kind: 'agent'; readonly agent: string; readonly born: AnchorKind }
  /** Below an agent that is gone, or that may have been below one. */
  | { readonly kind: 'ended'; readonly name: string }
  | { readonly kind: 'none' }

/** `run`: a wrapper that adopts orphans. `login`: the session leader of a person's terminal. */
export type AnchorKind = 'run' | 'login'

interface Anchor {
  readonly agent: string
  readonly kind: AnchorKind
  /** The program that the wrapper started: its only child that is no orphan. */
  command?: ProcessKey
  /** An agent below ended and may have left processes behind, which this wrapper then adopted. */
  leftover?: { readonly since: number; readonly name: string }
}

/**
 * Which process stands for which agent. The nearest anchor above a process decides who it is.
 *
 * One thing must not happen: a process of an ended child is adopted by the wrapper of the parent, and from then on looks
 * like the parent. So where a child did not leave an empty house, orphans that are younger than it are taken for its own.
 */
export class Anchors {
  readonly #anchors = new Map<string, Anchor>()
  readonly #ended = new Map<string, string>()

  add(process: ProcessKey, agent: string, kind: AnchorKind): void {
    this.#anchors.set(keyOf(process), { agent, kind })
  }

  setCommand(wrapper: ProcessKey, command: ProcessKey): void {
    const anchor = this.#anchors.get(keyOf(wrapper))
    if (anchor !== undefined) anchor.command = command
  }

  /** Takes an anchor away; what lives below it belongs to nobody from now on. */
  end(process: ProcessKey, name: string): void {
    this.#anchors.delete(keyOf(process))
    this.#ended.set(keyOf(process), name)
  }

  /** An agent below `parent` ended with processes left: orphans that are not older than it may be its own. */
  distrustOrphans(parent: string, since: number, name: string): void {
    for (const anchor of this.#anchors.values()) {
      // Only wrappers adopt; the leader of a terminal's session does not.
      if (anchor.agent !== parent || anchor.kind !== 'run') continue
      if (anchor.leftover === undefined || since < anchor.leftover.since) {
        anchor.leftover = { since, name }
      }
    }
  }

  /** The nearest anchor above, or at, the first process of the ancestry. */
  find(ancestry: readonly ProcessFacts[]): Above {
    for (const [at, process] of ancestry.entries()) {
      const key = keyOf(process)
      const name = this.#ended.get(key)
      if (name !== undefined) return { kind: 'ended', name }
      const anchor = this.#anchors.get(key)
      if (anchor === undefined) continue
      const { leftover, command } = anchor
      const below = ancestry[at - 1]
      const isOrphan = below !== undefined && (command === undefined || !same(below, command))
      if (isOrphan && leftover !== undefined && below.startTime >= leftover.since) {
        return { kind: 'ended', name: leftover.name }
      }
      return { kind: 'agent', agent: anchor.agent, born: anchor.kind }
    }
    return { kind: 'none' }
  }

  has(agent: string): boolean {
    return [...this.#anchors.values()].some((anchor) => anchor.agent === agent)
  }

  /** Whether a wrapper waits to be told what became of an agent. */
  hasWrapper(agent: string): boolean {
    return [...this.#anchors.values()].some((each) => each.agent === agent && each.kind === 'run')
  }

  /** Forgets anchors of processes that are gone; their numbers may be used again. */
  forgetGone(isAlive: (key: ProcessKey) => boolean): void {
    for (const map of [this.#anchors, this.#ended]) {
      for (const key of map.keys()) {
        const [pid = 0, startTime = 0] = key.split(' ').map(Number)
        if (!isAlive({ pid, startTime })) map.delete(key)
      }
    }
  }
}

function keyOf({ pid, startTime }: ProcessKey): string {
  return `${pid} ${startTime}`
}

function same(left: ProcessKey, right: ProcessKey): boolean {
  return left.pid === right.pid && left.startTime === right.startTime
}

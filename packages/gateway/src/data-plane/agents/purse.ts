import type { AgentId, Budget, BudgetKind } from '@sallyport/core'
import type { Lease, LeaseRequest } from '../../boundary/agents.ts'
import type { AgentIndex } from './agent-index.ts'

/** How much of a counter is leased at a time: what many statements need, and little enough to be lost with a worker. */
const chunks: Readonly<Record<'commands' | 'writes' | 'rows' | 'bytes', number>> = {
  commands: 64,
  writes: 1,
  rows: 5_000,
  bytes: 1024 * 1024,
}

export type CountedKind = keyof typeof chunks

/** Amounts that one thing takes, by kind. */
export type Needs = readonly (readonly [CountedKind, number])[]

/** A cap that is used up, of the agent or of one above it. */
export interface Spent {
  readonly kind: BudgetKind
  readonly cap: number
  readonly agent: string
}

/** A used-up budget may be replenished by leases that others give back; so it is asked for again, but not in a hot loop. */
const askAgainMs = 1_000

/**
 * What one agent may still spend in this worker. The control plane counts for the whole tree and leases amounts; a purse
 * spends them without asking. Never more than was leased, so the sum over all workers never passes a cap.
 */
export class Purse {
  readonly #index: AgentIndex
  readonly #agent: AgentId
  readonly #lease: (request: LeaseRequest) => Promise<Lease>
  readonly #now: () => number
  readonly #held = new Map<CountedKind, number>()
  readonly #met = new Map<CountedKind, { readonly spent: Spent; readonly atMs: number }>()
  #capped: ReadonlySet<CountedKind> = new Set()
  #cappedVersion = -1
  #filling: Promise<void> | undefined

  constructor(
    index: AgentIndex,
    agent: AgentId,
    lease: (request: LeaseRequest) => Promise<Lease>,
    now: () => number,
  ) {
    this.#index = index
    this.#agent = agent
    this.#lease = lease
    this.#now = now
  }

  /** False where results may be as long as they like: rows need not be counted then. */
  get countsRows(): boolean {
    return this.#isCapped('rows') || this.#isCapped('bytes')
  }

  /** False where commands may be as many as they like: they need not be counted then. */
  get countsCommands(): boolean {
    return this.#isCapped('commands') || this.#isCapped('writes')
  }

  /** True where `take` can answer without asking: each kind is here, or its cap is known to be met. One kind tells nothing of another: a read takes no write. */
  isReady(needs: Needs): boolean {
    return needs.every(
      ([kind, amount]) =>
        !this.#isCapped(kind) || this.#holds(kind, amount) || this.#spentOf(kind) !== undefined,
    )
  }

  /** Takes all of what `isReady` said can be taken, or nothing and names the cap that was met. */
  take(needs: Needs): Spent | undefined {
    for (const [kind, amount] of needs) {
      if (!this.#isCapped(kind) || this.#holds(kind, amount)) continue
      return this.#spentOf(kind) ?? { kind, cap: 0, agent: '' }
    }
    for (const [kind, amount] of needs) {
      if (this.#isCapped(kind)) this.#held.set(kind, (this.#held.get(kind) ?? 0) - amount)
    }
    return undefined
  }

  /** Leases what is missing. Resolves when it is here, or a cap is known to be met. */
  async fill(needs: Needs): Promise<void> {
    while (this.#filling !== undefined) await this.#filling
    if (this.isReady(needs)) return
    this.#filling = this.#fill(needs).finally(() => {
      this.#filling = undefined
    })
    await this.#filling
  }

  /** What is left; afterwards the purse is empty. */
  empty(): Budget {
    const rest = Object.fromEntries([...this.#held].filter(([, amount]) => amount > 0))
    this.#held.clear()
    return rest
  }

  async #fill(needs: Needs): Promise<void> {
    for (const [kind, amount] of needs) {
      while (
        this.#isCapped(kind) &&
        !this.#holds(kind, amount) &&
        this.#spentOf(kind) === undefined
      ) {
        const missing = amount - (this.#held.get(kind) ?? 0)
        const { granted, spent } = await this.#lease({
          agent: this.#agent,
          amounts: { [kind]: Math.max(missing, chunks[kind]) },
        })
        const more = granted[kind] ?? 0
        this.#held.set(kind, (this.#held.get(kind) ?? 0) + more)
        if (more > 0) continue
        this.#met.set(kind, { spent: spent ?? { kind, cap: 0, agent: '' }, atMs: this.#now() })
      }
    }
  }

  #holds(kind: CountedKind, amount: number): boolean {
    return (this.#held.get(kind) ?? 0) >= amount
  }

  #spentOf(kind: CountedKind): Spent | undefined {
    const known = this.#met.get(kind)
    return known !== undefined && this.#now() - known.atMs < askAgainMs ? known.spent : undefined
  }

  #isCapped(kind: CountedKind): boolean {
    if (this.#cappedVersion !== this.#index.version) {
      this.#cappedVersion = this.#index.version
      const path = this.#index.agent(this.#agent)?.path ?? []
      const kinds = path.flatMap((id) => Object.keys(this.#index.agent(id)?.budget ?? {}))
      this.#capped = new Set(
        kinds.filter((each): each is CountedKind => Object.hasOwn(chunks, each)),
      )
    }
    return this.#capped.has(kind)
  }
}

import { type AgentId, SallyportError } from '@sallyport/core'
import type { Transaction } from 'kysely'
import type { Entitlements } from '../births/entitlements.ts'
import { type IdentityConfig, loginProviders } from '../births/config/identity-config.ts'
import type { Store } from '../ports/store.ts'
import type { Tables } from '../ports/tables/tables.ts'
import type { Effect, Signal, SignalAgents, SignalEvent, Whom } from './signal.ts'
import { raiseFloors } from './stored-login-gate.ts'
import { isMeant, keysOfWhom } from './subjects.ts'

/** What waits because something failed is tried again after this. */
const retryMs = 5000
const pendingMax = 1000

export interface InboxOptions {
  readonly store: Store
  readonly config: () => IdentityConfig
  readonly agents: SignalAgents
  readonly entitlements: Pick<Entitlements, 'narrow'>
  readonly onEvent: (event: SignalEvent) => void
  readonly onFault: (error: unknown) => void
  readonly now: () => number
}

/** What the table keeps, so that a signal can be acted upon after a crash too. */
interface Kept {
  readonly digest: string
  readonly whom: readonly Whom[]
  readonly effect: Effect
  readonly why: string
}

/**
 * Takes each signal once: stored with what it forbids, then acted upon. Whoever is answered can rely on it, also when the
 * gateway ends the moment after.
 */
export class SignalInbox {
  readonly #options: InboxOptions
  #retry: NodeJS.Timeout | undefined

  constructor(options: InboxOptions) {
    this.#options = options
  }

  /** Resolves when the trees are gone. Rejects where it was stored and could not be acted upon: it is tried again. */
  async accept(signal: Signal): Promise<void> {
    const { store } = this.#options
    const isNew = await store.durable((tx) => this.record(tx, signal))
    await this.settle(signal, isNew)
  }

  /** Stores a signal in the transaction of a change that causes it. False where it is known already. */
  async record(tx: Transaction<Tables>, signal: Signal): Promise<boolean> {
    const { now } = this.#options
    const kept: Kept = {
      digest: signal.digest,
      whom: signal.whom,
      effect: signal.effect,
      why: signal.why,
    }
    const at = new Date(now())
    const inserted = await tx
      .insertInto('signal_event')
      .values({
        source: signal.source,
        id: signal.id,
        provider: signal.provider,
        kind: signal.kind,
        signal: JSON.stringify(kept),
        received_at: at,
        applied_at: null,
        result: null,
      })
      .onConflict((conflict) => conflict.doNothing())
      .executeTakeFirst()
    if (inserted.numInsertedOrUpdatedRows !== 1n) {
      await refuseOther(tx, signal)
      return false
    }
    if (signal.effect.kind === 'end' || signal.effect.kind === 'narrow')
      await raiseFloors(tx, signal.whom.flatMap(keysOfWhom), at, signal.why)
    return true
  }

  /** Acts upon a stored signal, unless that was done. */
  async settle(signal: Signal, isNew: boolean): Promise<void> {
    const { onEvent, onFault } = this.#options
    if (!isNew) {
      onEvent({ kind: 'signal.repeated', provider: signal.provider, signal: signal.kind })
      if (await this.#isApplied(signal)) return
    }
    try {
      await this.#apply(signal)
    } catch (error) {
      onFault(error)
      this.#tryLater()
      throw error
    }
  }

  /** Acts upon what was stored and not acted upon: after a crash, and after a failure. */
  async resume(): Promise<void> {
    const rows = await this.#options.store.db
      .selectFrom('signal_event')
      .selectAll()
      .where('applied_at', 'is', null)
      .orderBy('received_at')
      .limit(pendingMax)
      .execute()
    const failures: unknown[] = []
    for (const { source, id, provider, kind, signal } of rows) {
      // Only `record` writes the column.
      const kept = signal as Kept
      // One that fails does not keep the others waiting.
      await this.#apply({ source, id, provider, kind, ...kept }).catch((error: unknown) =>
        failures.push(error),
      )
    }
    if (failures.length > 0) throw new AggregateError(failures, 'signals could not be acted upon')
    if (rows.length === pendingMax) await this.resume()
  }

  close(): void {
    clearTimeout(this.#retry)
  }

  #tryLater(): void {
    const { onFault } = this.#options
    clearTimeout(this.#retry)
    this.#retry = setTimeout(() => {
      this.resume().catch((error: unknown) => {
        onFault(error)
        this.#tryLater()
      })
    }, retryMs)
    this.#retry.unref()
  }

  async #isApplied({ source, id }: Signal): Promise<boolean> {
    const row = await this.#options.store.db
      .selectFrom('signal_event')
      .select('applied_at')
      .where('source', '=', source)
      .where('id', '=', id)
      .executeTakeFirst()
    return row?.applied_at !== null
  }

  async #apply(signal: Signal): Promise<void> {
    const { store, now, onEvent } = this.#options
    const roots = await this.#act(signal)
    await store.durable((tx) =>
      tx
        .updateTable('signal_event')
        .set({ applied_at: new Date(now()), result: JSON.stringify({ roots }) })
        .where('source', '=', signal.source)
        .where('id', '=', signal.id)
        .where('applied_at', 'is', null)
        .execute(),
    )
    const { provider, kind, why } = signal
    onEvent({ kind: 'signal.applied', provider, signal: kind, roots: roots.length, why })
  }

  #modeOf(provider: string): 'revoke' | 'freeze' | undefined {
    const providers = loginProviders(this.#options.config())
    return providers.find(({ name }) => name === provider)?.signals?.mode
  }

  /** Returns the roots that it reached. */
  async #act({ whom, effect, provider, why }: Signal): Promise<string[]> {
    if (effect.kind === 'none') return []
    const { store, agents, entitlements } = this.#options
    const sessions = await sessionsOf(store, whom)
    const meant = (root: Parameters<typeof isMeant>[0]): boolean =>
      whom.some((each) => isMeant(root, each, sessions))
    const roots = [...agents.liveRoots()].filter(meant).map(({ id }) => id)
    if (effect.kind !== 'end') {
      const isNamed = (group: string): boolean => effect.groups.includes(group)
      const isKept = effect.kind === 'narrow' ? isNamed : (group: string) => !isNamed(group)
      await entitlements.narrow(meant, isKept)
      return roots
    }
    const isPause = this.#modeOf(provider) === 'freeze'
    const end = (root: AgentId): Promise<unknown> =>
      isPause ? agents.freeze(root, provider, why) : agents.revoke(root, provider, why)
    await Promise.all(roots.map((root) => end(root).catch(unlessGone)))
    return roots
  }
}

/** A tree that somebody else has ended meanwhile is what was wanted. */
function unlessGone(error: unknown): void {
  const gone = ['SP_AGENT_REVOKED', 'SP_AGENT_ENDED', 'SP_NOT_FOUND']
  if (!(error instanceof SallyportError) || !gone.includes(error.code)) throw error
}

/** The same id twice is a signal that was sent again, if the text is the same; if it is not, somebody plays. */
async function refuseOther(tx: Transaction<Tables>, signal: Signal): Promise<void> {
  const known = await tx
    .selectFrom('signal_event')
    .select('signal')
    .where('source', '=', signal.source)
    .where('id', '=', signal.id)
    .executeTakeFirst()
  const kept = known?.signal as Kept | undefined
  if (kept?.digest !== signal.digest)
    throw new SallyportError('SP_SIGNAL_REFUSED', 'its jti was used by another signal')
}

/** The sessions of roots; only where a signal names one. */
async function sessionsOf(
  store: Store,
  whom: readonly Whom[],
): Promise<ReadonlyMap<string, string>> {
  if (whom.every(({ kind }) => kind !== 'session')) return new Map()
  const rows = await store.db
    .selectFrom('login_session')
    .innerJoin('agent', 'agent.id', 'login_session.agent_id')
    .select(['agent_id', 'session'])
    .where('agent.state', 'in', ['active', 'frozen'])
    .execute()
  return new Map(rows.map(({ agent_id: id, session }) => [id, session]))
}

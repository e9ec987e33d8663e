import { randomBytes } from 'node:crypto'
import {
  isNamedIn,
  makeId,
  matchesAny,
  SallyportError,
  type AgentId,
  type ApprovalId,
  type Approver,
} from '@sallyport/core'
import type { HoldAnswer, HoldAsked } from '../../boundary/approvals.ts'
import { answerRefused } from '../approvals/approval.ts'
import { factBy, mustBeNote } from '../approvals/waiting.ts'
import type { GlassEvent, GlassView } from '../contract/break-glass.ts'
import { gatewayBy, type FactBy, type Ledger } from '../ledger/ledger.ts'
import type { Store } from '../ports/store.ts'
import { viewOf, type BreakGlassGrant, type GlassRecord } from './break-glass.ts'
import { endGlass, insertGlass, readGlasses, usedGlass } from './glass-rows.ts'

export interface GlassesOptions {
  readonly store: Store
  readonly ledger: Ledger
  readonly now: () => number
  readonly onFault: (error: unknown) => void
  /** As the identity files say now. */
  readonly grants: () => ReadonlyMap<string, BreakGlassGrant>
  /** Id of the principal at the root of an agent's tree; undefined where the agent is not known. */
  readonly rootOf: (agent: string) => string | undefined
  /** Why an agent may not act. */
  readonly refusal: (agent: AgentId) => string | undefined
  /** Opens the incident of a use, which only one of `review` can close, and not who broke the glass. Gives its id. */
  readonly openIncident: (
    glass: Pick<GlassRecord, 'id' | 'by' | 'agent' | 'reason'>,
    review: readonly string[],
  ) => Promise<string>
}

/** What somebody wants to break the glass for. */
export interface GlassRequest {
  readonly agent: AgentId
  readonly connections: readonly string[]
  readonly reason: string
  readonly forMs: number
}

const sweepEveryMs = 1000
const listedMax = 500

/**
 * Commands that nobody is asked for in an emergency. It stands in the place of approvals alone: what a rule blocks and what a
 * grant does not hold is refused before anybody would have been asked.
 */
export class Glasses {
  readonly #options: GlassesOptions
  readonly #open = new Map<string, GlassRecord>()
  readonly #watchers = new Set<(event: GlassEvent) => void>()
  #timer: NodeJS.Timeout | undefined

  private constructor(options: GlassesOptions) {
    this.#options = options
  }

  /** What was open when the gateway ended is open for the rest of its time. */
  static async open(options: GlassesOptions): Promise<Glasses> {
    const glasses = new Glasses(options)
    for (const each of await readGlasses(options.store, { open: true, limit: listedMax }))
      glasses.#open.set(each.id, each)
    glasses.#timer = setInterval(() => glasses.#endWhatIsOver(), sweepEveryMs)
    glasses.#timer.unref()
    return glasses
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  /** Returns a function that stops the watching. */
  onEvent(watcher: (event: GlassEvent) => void): () => void {
    this.#watchers.add(watcher)
    return () => this.#watchers.delete(watcher)
  }

  /** Newest first, ended or not. */
  async list(): Promise<GlassView[]> {
    const found = await readGlasses(this.#options.store, { limit: listedMax })
    return found.map((each) => viewOf(this.#open.get(each.id) ?? each))
  }

  isOpen(id: string): boolean {
    this.#endWhatIsOver()
    return this.#open.has(id)
  }

  /**
   * The grant by which a person may do this; `agent` is undefined for one that is yet to be made. Throws SP_APPROVAL_REFUSED: for an agent, for an agent of somebody else, beyond what
   * the grants give, and where one is open for that agent already.
   */
  mustBeAllowed(
    by: Approver,
    request: Omit<GlassRequest, 'agent'> & { readonly agent: AgentId | undefined },
  ): BreakGlassGrant {
    const { agent, connections, reason, forMs } = request
    mustBeNote(reason)
    if (reason.trim() === '')
      throw new SallyportError('SP_CONFIG_INVALID', 'give a reason', { detail: 'reason' })
    if (by.kind === 'agent')
      throw this.#refused(by, agent, 'an agent breaks no glass: a person does')
    if (agent !== undefined) this.#mustBeTheirs(by, agent)
    const named = [...this.#options.grants().values()].filter(({ to }) => isNamedIn(by, to))
    const fitting = named.filter(
      (each) => connections.length > 0 && connections.every((name) => covers(each, name)),
    )
    const long = fitting.find(({ maxMs }) => forMs <= maxMs)
    if (long !== undefined) return long
    const where = connections.join(', ')
    throw this.#refused(
      by,
      agent,
      fitting.length > 0
        ? `the break-glass grants for ${where} are shorter than that`
        : `no break-glass grant names ${by.name} for ${where}`,
    )
  }

  #mustBeTheirs(by: Approver, agent: AgentId): void {
    if (this.#options.rootOf(agent) !== by.principal)
      throw this.#refused(by, agent, `${agent} is no agent of yours`)
    const standing = this.#options.refusal(agent)
    if (standing !== undefined) throw this.#refused(by, agent, standing)
    this.#endWhatIsOver()
    const other = [...this.#open.values()].find((each) => each.agent === agent)
    if (other !== undefined) throw this.#refused(by, agent, `${other.id} is open for ${agent}`)
  }

  /** Breaks it. Throws as `mustBeAllowed`, and SP_RECORD_UNAVAILABLE. */
  async break(by: Approver, request: GlassRequest): Promise<GlassView> {
    const { store, ledger, now, openIncident } = this.#options
    const grant = this.mustBeAllowed(by, request)
    const { agent, connections, reason } = request
    const id = makeId<string>('bg', randomBytes)
    const openedAtMs = now()
    const opened = { id, by, agent, connections, reason, openedAtMs, grant: grant.name }
    const placeholder = { uses: 0, skipped: [], why: '', untilMs: openedAtMs, incident: '' }
    // Taken before the first await: of two at once, one is refused. It lets nothing through before it is stored.
    this.#open.set(id, { ...opened, ...placeholder })
    try {
      const incident = await openIncident(opened, grant.review)
      const record = { ...opened, ...placeholder, incident, untilMs: openedAtMs + request.forMs }
      const told = await store.durable(async (tx) => {
        await insertGlass(tx, record)
        const until = new Date(record.untilMs).toISOString()
        const detail = { agent, connections, reason, grant: grant.name, incident, until }
        return [ledger.write({ what: 'breakglass.opened', actor: factBy(by), subject: id, detail })]
      })
      await Promise.all(told)
      this.#open.set(id, record)
      this.#tell({ kind: 'breakglass.opened', glass: viewOf(record) })
      return viewOf(record)
    } catch (error) {
      this.#open.delete(id)
      throw error
    }
  }

  /** The yes that a command has by a glass that is broken for its agent, which is on record before it counts. */
  async use(asked: HoldAsked): Promise<HoldAnswer | undefined> {
    this.#endWhatIsOver()
    const found = this.#of(asked)
    if (found === undefined) return undefined
    const rules = asked.demands.map(({ rule }) => rule)
    const now = [...new Set(asked.demands.flatMap(({ demand }) => demand.from))]
    const skipped = [...new Set([...found.skipped, ...now])].toSorted()
    const stored = await this.#options.store.durable(async (tx) => {
      if (!(await usedGlass(tx, found.id, skipped))) return undefined
      const { session, seq: command, connection, binding } = asked
      const { reason, by } = found
      const detail = { session, command, connection, rules, skipped: now, reason, binding }
      const fact = { actor: factBy(by), subject: found.id, detail }
      return [this.#options.ledger.write({ what: 'breakglass.used', ...fact })]
    })
    if (stored === undefined) return undefined
    await Promise.all(stored)
    // It may have ended while that was stored.
    const current = this.#of(asked)
    if (current?.id !== found.id) return undefined
    const used = { ...current, uses: current.uses + 1, skipped }
    this.#open.set(used.id, used)
    const { session, seq: command } = asked
    const what = { session, command, rules, skipped: now }
    this.#tell({ kind: 'breakglass.used', glass: viewOf(used), used: what })
    const { id, by, reason } = used
    return {
      outcome: 'approved',
      by: [`${by.name} by break-glass`],
      note: reason,
      insteadOf: id as ApprovalId,
    }
  }

  /** By its id or the beginning of it, of those that are open. */
  find(prefix: string): GlassView {
    const found = [...this.#open.values()].filter(({ id }) => id.startsWith(prefix.toLowerCase()))
    const [first] = found
    if (first !== undefined && found.length === 1) return viewOf(first)
    const detail = `no glass is broken of the id "${prefix.slice(0, 64)}"`
    throw new SallyportError('SP_NOT_FOUND', detail, { detail })
  }

  /** Ends one that is open. */
  async end(id: string, by: FactBy): Promise<GlassView> {
    const { id: whole } = this.find(id)
    return viewOf(await this.#end(whole, `ended by ${by.name}`, by))
  }

  /** Agents have changed: what was open for one that may not act any more has ended. */
  agentsChanged(): void {
    for (const { id, agent } of this.#open.values()) {
      const why = this.#options.refusal(agent)
      if (why !== undefined) this.#endSoon(id, why)
    }
  }

  #of({ agent, connection }: HoldAsked): GlassRecord | undefined {
    const nowMs = this.#options.now()
    // This agent alone: one below it was not what the person gave a reason for.
    return [...this.#open.values()].find(
      (each) =>
        each.agent === agent && each.connections.includes(connection) && nowMs < each.untilMs,
    )
  }

  #endWhatIsOver(): void {
    const nowMs = this.#options.now()
    for (const { id, untilMs, grant, by, connections, incident } of this.#open.values()) {
      if (incident === '') continue
      const given = this.#options.grants().get(grant)
      const isGiven =
        given !== undefined &&
        isNamedIn(by, given.to) &&
        connections.every((name) => covers(given, name))
      if (nowMs >= untilMs) this.#endSoon(id, 'its time is over')
      else if (!isGiven) this.#endSoon(id, `the break-glass grant ${grant} gives it no longer`)
    }
  }

  #endSoon(id: string, why: string): void {
    this.#end(id, why, gatewayBy('break-glass')).catch(this.#options.onFault)
  }

  async #end(id: string, why: string, by: FactBy): Promise<GlassRecord> {
    const record = this.#open.get(id)
    if (record === undefined) throw answerRefused(`${id} has ended`)
    // Counted out before the first await: nothing runs by it any more.
    this.#open.delete(id)
    const ended = { ...record, endedAtMs: this.#options.now(), why }
    void this.#options.ledger.write({
      what: 'breakglass.ended',
      actor: by,
      subject: id,
      detail: { why, uses: record.uses, incident: record.incident },
    })
    this.#tell({ kind: 'breakglass.ended', glass: viewOf(ended) })
    await this.#options.store.durable(async (tx) => await endGlass(tx, id, ended.endedAtMs, why))
    return ended
  }

  #refused(by: Approver, agent: string | undefined, why: string): SallyportError {
    const fact = { actor: factBy(by), subject: agent ?? 'a fresh tree', detail: { why } }
    void this.#options.ledger.write({ what: 'breakglass.refused', ...fact })
    return answerRefused(why)
  }

  #tell(event: GlassEvent): void {
    for (const watcher of this.#watchers) watcher(event)
  }
}

function covers({ connections }: BreakGlassGrant, name: string): boolean {
  return matchesAny(connections, name)
}

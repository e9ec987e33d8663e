import {
  areMet,
  refusalOfApprover,
  SallyportError,
  visibleText,
  type AgentId,
  type ApprovalId,
  type Approver,
  type Requester,
} from '@sallyport/core'
import type { HoldAnswer, HoldAsked, TargetQuestions } from '../../boundary/approvals.ts'
import { gatewayBy, type FactBy, type Ledger } from '../ledger/ledger.ts'
import type { Store } from '../ports/store.ts'
import {
  answerRefused,
  viewOf,
  type ApprovalAnswer,
  type ApprovalDecision,
  type ApprovalRecord,
  type ApprovalState,
  type ApprovalView,
} from './approval.ts'
import type { ApprovalShapes } from './shapes.ts'
import type { Previews } from './preview/previews.ts'
import { insertApproval, moveApproval, putAnswer, readApprovals } from './approval-rows.ts'

/** What approvals need of the agents. */
export interface ApprovalAgents {
  /** The principal of the tree; undefined where the agent is not known. */
  rootOf(agent: AgentId): { readonly id: string; readonly isHuman: boolean } | undefined
  /** The root of an agent's tree. */
  treeOf(agent: string): string | undefined
  /** Why it may not act. */
  refusal(agent: AgentId): string | undefined
  /** Takes one approval of the budgets of its path; gives the budget that is used up. */
  spend(agent: AgentId): Promise<string | undefined>
}

export interface ApprovalsOptions {
  readonly store: Store
  readonly ledger: Ledger
  readonly agents: ApprovalAgents
  readonly previews: Previews
  readonly shapes: ApprovalShapes
  readonly now: () => number
  readonly onFault: (error: unknown) => void
  /** Tells a worker how a request ended; set when the workers are there. */
  readonly send: (worker: number, id: ApprovalId, answer: HoldAnswer) => void
}

/** One execution, within this time of the decision. */
const usableMs = 5 * 60_000
/** More of one tree wait for nobody: who asks for so much is not read. */
const waitingOfTreeMax = 1000
const waitingMax = 10_000
const listedMax = 500
const noteCharactersMax = 500
const sweepEveryMs = 1000

/** A request that waits. */
interface Waiting {
  readonly asked: HoldAsked
  /** The worker that holds the command; undefined where its caller was told to come again. */
  readonly worker: number | undefined
  readonly requester: Requester
  readonly answers: Map<string, ApprovalAnswer>
}

/**
 * Requests for approval: who asked, who answered, how it ended. What waits here is in the store as well, and each request ends
 * once, whoever is first: whoever ends it has moved its row.
 */
export class Approvals {
  readonly #options: ApprovalsOptions
  readonly #waiting = new Map<string, Waiting>()
  readonly #watchers = new Set<(view: ApprovalView) => void>()
  /** Changes of one request follow each other. */
  readonly #turns = new Map<string, Promise<unknown>>()
  #timer: NodeJS.Timeout | undefined

  private constructor(options: ApprovalsOptions) {
    this.#options = options
  }

  /** What was held when the gateway ended has lost its caller; what was to come again still waits. */
  static async open(options: ApprovalsOptions): Promise<Approvals> {
    const approvals = new Approvals(options)
    const pending = await readApprovals(options.store, { states: ['pending'], limit: waitingMax })
    for (const { asked, answers } of pending) {
      const said = new Map(answers.map((each) => [each.approver.id, each]))
      const requester = approvals.#requester(asked)
      if (requester === undefined) {
        await approvals.#move(asked.id, 'withdrawn', 'its agent is not known')
        continue
      }
      approvals.#waiting.set(asked.id, { asked, worker: undefined, requester, answers: said })
    }
    for (const { asked } of pending)
      if (asked.wait === 'hold') await approvals.#end(asked.id, 'withdrawn', 'the gateway ended')
    return approvals
  }

  start(): void {
    this.#timer = setInterval(() => this.#sweep(), sweepEveryMs)
    this.#timer.unref()
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await Promise.all(this.#turns.values())
  }

  /** Told of every request that begins, is answered or ends. Returns a function that stops it. */
  onChange(watcher: (view: ApprovalView) => void): () => void {
    this.#watchers.add(watcher)
    return () => this.#watchers.delete(watcher)
  }

  get shapes(): ApprovalShapes {
    return this.#options.shapes
  }

  get waiting(): number {
    return this.#waiting.size
  }

  /** A worker asks. Its answer comes by `send`, at the latest when the request's time is over. Never rejects. */
  async asked(worker: number, asked: HoldAsked, questions: TargetQuestions): Promise<void> {
    // Of one command that comes again in several sessions at once, the first asks, and the others read that.
    await this.#inTurn(asked.wait === 'return' ? asked.binding : asked.id, async () => {
      try {
        await this.#take(worker, asked, questions)
      } catch (error) {
        this.#options.onFault(error)
        const note = 'the request could not be stored'
        this.#options.send(worker, asked.id, { outcome: 'withdrawn', by: [], note })
      }
    })
  }

  /** The worker's caller waits no longer. */
  async withdrawn(id: ApprovalId, why: string): Promise<void> {
    await this.#end(id, 'withdrawn', why).catch(this.#options.onFault)
  }

  /** Its sessions ended with it. */
  async workerLost(worker: number): Promise<void> {
    const lostAtMs = this.#options.now()
    // What it asked last may still be on its way into the store.
    await Promise.all(this.#turns.values())
    const lost = [...this.#waiting.values()].filter(
      (each) => each.worker === worker && each.asked.askedAtMs <= lostAtMs,
    )
    await Promise.all(
      lost.map(({ asked }) => this.withdrawn(asked.id, 'its worker ended, and its caller with it')),
    )
  }

  /** Agents have changed: what waits for one that may not act any more is withdrawn. */
  agentsChanged(): void {
    this.#options.shapes.agentsChanged((agent) => this.#options.agents.refusal(agent))
    for (const { asked } of this.#waiting.values()) {
      const why = this.#options.agents.refusal(asked.agent)
      if (why !== undefined) void this.withdrawn(asked.id, why)
    }
  }

  /** Newest first. */
  async list(states: readonly ApprovalState[]): Promise<ApprovalView[]> {
    const found = await readApprovals(this.#options.store, { states, limit: listedMax })
    return found.map((each) => this.#view(each))
  }

  /** By its id, or the beginning of it where that is the only one. */
  async get(prefix: string): Promise<ApprovalView> {
    return this.#view(await this.#find(prefix))
  }

  /** Has the rows counted that a command which waits would meet. Throws SP_PREVIEW_UNKNOWN, with the reason. */
  async count(prefix: string, by: FactBy): Promise<ApprovalView> {
    const { asked } = await this.#find(prefix)
    await this.#options.previews.count(asked.id, by)
    return await this.get(asked.id)
  }

  #view(record: ApprovalRecord): ApprovalView {
    const preview = this.#options.previews.of(record.asked.id) ?? record.preview
    return viewOf({ ...record, ...(preview === undefined ? {} : { preview }) })
  }

  /** A request, for who may answer it. Throws SP_APPROVAL_REFUSED for anybody else. */
  async forApprover(prefix: string, approver: Approver): Promise<ApprovalView> {
    const record = await this.#find(prefix)
    const waiting = this.#waiting.get(record.asked.id)
    if (waiting === undefined) throw answerRefused(`${record.asked.id} has ended: ${record.state}`)
    this.#mustAnswer(waiting, approver)
    return viewOf(record)
  }

  /**
   * One person's, or one agent's, yes or no. A no ends the request; a yes does where all that is asked for is there then.
   * Throws SP_APPROVAL_REFUSED for who may not answer, and for a request that has ended.
   */
  async answer(
    prefix: string,
    approver: Approver,
    decision: ApprovalDecision,
    note: string,
    shape?: string,
  ): Promise<ApprovalView> {
    mustBeNote(note)
    const { asked } = await this.#find(prefix)
    return await this.#inTurn(asked.id, async () => {
      const waiting = this.#waiting.get(asked.id)
      if (waiting === undefined || this.#options.now() >= asked.untilMs) {
        const { state } = await this.#find(asked.id)
        const how = state === 'pending' ? 'expired' : state
        throw answerRefused(`${asked.id} has ended: ${how}`)
      }
      this.#mustAnswer(waiting, approver)
      if (decision === 'approve') this.#options.shapes.mustOffer(asked, shape)
      const atMs = this.#options.now()
      const said = {
        approver,
        answer: decision,
        note,
        atMs,
        ...(shape === undefined ? {} : { shape }),
      }
      await this.#settle(waiting, said)
      return await this.get(asked.id)
    })
  }

  #mustAnswer({ asked, requester }: Waiting, approver: Approver): void {
    const tree = approver.kind === 'agent' ? this.#options.agents.treeOf(approver.id) : undefined
    const isOfTree = tree !== undefined && tree === asked.path[0]
    const asking = isOfTree ? { ...requester, agents: new Set([approver.id]) } : requester
    const why = refusalOfApprover(approver, asked.demands, asking)
    if (why === undefined) return
    const actor = factBy(approver)
    const detail = { why }
    void this.#options.ledger.write({ what: 'approval.refused', actor, subject: asked.id, detail })
    throw answerRefused(
      why === 'own-request'
        ? 'nobody answers a request of the own tree'
        : `no rule of this request names ${approver.name} or a group of theirs`,
    )
  }

  async #settle(waiting: Waiting, said: ApprovalAnswer): Promise<void> {
    const { asked, requester, answers } = waiting
    const { store, ledger, now } = this.#options
    const all = new Map(answers).set(said.approver.id, said)
    const yes = [...all.values()].filter(({ answer }) => answer === 'approve')
    const isMet = areMet(
      asked.demands,
      yes.map(({ approver }) => approver),
      requester,
    )
    const to = said.answer === 'deny' ? 'denied' : isMet ? 'approved' : undefined
    // A command that waits in its session goes on at once.
    const state = to === 'approved' && asked.wait === 'hold' ? 'used' : to
    const names = (to === 'denied' ? [said] : yes).map(({ approver }) => approver.name)
    // By its shape only where everybody whose yes counts has said so.
    const duration = yes.every(({ shape }) => shape === said.shape) ? said.shape : undefined
    let shapeStored: (() => void) | undefined
    const stored = await store.durable(async (tx) => {
      await putAnswer(tx, asked.id, said)
      const isFirst =
        state === undefined ||
        (await moveApproval(tx, asked.id, 'pending', state, { atMs: now(), note: '' }))
      if (!isFirst) throw answerRefused(`${asked.id} has ended meanwhile`)
      const detail = { answer: said.answer, note: said.note, binding: asked.binding }
      const actor = factBy(said.approver)
      const told = [ledger.write({ what: 'approval.answered', actor, subject: asked.id, detail })]
      if (to !== 'approved' || duration === undefined) return told
      shapeStored = await this.#options.shapes.grant(tx, asked, { duration, by: names })
      const granted = { duration, by: names, agent: asked.agent, connection: asked.connection }
      const fact = { what: 'approval.shape', actor, subject: asked.id, detail: granted } as const
      return [...told, ledger.write(fact)]
    })
    await Promise.all(stored)
    shapeStored?.()
    answers.set(said.approver.id, said)
    if (to === undefined) return this.#changed(asked.id)
    this.#finish(waiting, { outcome: to, by: names, note: said.note })
  }

  async #take(worker: number, asked: HoldAsked, questions: TargetQuestions): Promise<void> {
    const { agents, now } = this.#options
    const refusal = agents.refusal(asked.agent) ?? this.#tooMany(asked)
    const requester = this.#requester(asked)
    if (refusal !== undefined || requester === undefined) {
      const note = refusal ?? 'its agent is not known'
      return this.#options.send(worker, asked.id, { outcome: 'withdrawn', by: [], note })
    }
    if (asked.wait === 'return') {
      const earlier = await this.#earlier(asked)
      if (earlier !== undefined) return this.#options.send(worker, asked.id, earlier)
    }
    const byShape = await this.#options.shapes.use(asked, questions)
    if (byShape !== undefined) return this.#options.send(worker, asked.id, byShape)
    const spent = await agents.spend(asked.agent)
    if (spent !== undefined)
      return this.#options.send(worker, asked.id, { outcome: 'withdrawn', by: [], note: spent })
    const record = {
      asked,
      state: 'pending',
      rootId: requester.rootId,
      answers: [],
      note: '',
    } as const
    await this.#options.store.durable(async (tx) => await insertApproval(tx, record))
    const holder = asked.wait === 'hold' ? worker : undefined
    this.#waiting.set(asked.id, { asked, worker: holder, requester, answers: new Map() })
    void this.#options.ledger.write({
      what: 'approval.asked',
      actor: { by: 'agent', name: asked.chain.at(-1) ?? '', chain: chainOf(asked) },
      subject: asked.id,
      detail: {
        session: asked.session,
        command: asked.seq,
        connection: asked.connection,
        rules: asked.demands.map(({ rule }) => rule),
        from: asked.demands.map(({ demand }) => `${demand.count} of ${demand.from.join(', ')}`),
        binding: asked.binding,
        until: new Date(asked.untilMs).toISOString(),
      },
    })
    this.#changed(asked.id)
    this.#options.previews.begin(asked, questions, () => this.#changed(asked.id))
    if (holder === undefined)
      this.#options.send(worker, asked.id, { outcome: 'pending', by: [], note: '' })
    // The time that storing took may have been all there was.
    if (now() >= asked.untilMs) this.#sweep()
  }

  /** What was answered for the same command before: a yes is used by this, a request that waits is told again. */
  async #earlier(asked: HoldAsked): Promise<HoldAnswer | undefined> {
    const { store, now, ledger } = this.#options
    const states = ['pending', 'approved'] as const
    const [found] = await readApprovals(store, { states, binding: asked.binding, limit: 1 })
    if (found === undefined) return undefined
    const insteadOf = found.asked.id
    if (found.state === 'pending') {
      if (this.#waiting.has(insteadOf)) return { outcome: 'pending', by: [], note: '', insteadOf }
      // It has ended, and that could not be stored then.
      await this.#move(insteadOf, 'expired', '')
      return undefined
    }
    const atMs = now()
    const isUsable = atMs < (found.endedAtMs ?? 0) + usableMs
    const stored = await store.durable(async (tx): Promise<Promise<void>[] | undefined> => {
      const how = { atMs, note: isUsable ? '' : 'it was not used in time' }
      const to = isUsable ? 'used' : 'expired'
      if (!(await moveApproval(tx, insteadOf, 'approved', to, how))) return undefined
      const detail = { outcome: to, session: asked.session, command: asked.seq }
      const actor = gatewayBy('approvals')
      return [ledger.write({ what: 'approval.ended', actor, subject: insteadOf, detail })]
    })
    if (stored === undefined || !isUsable) return undefined
    await Promise.all(stored)
    const by = found.answers.filter(({ answer }) => answer === 'approve')
    return {
      outcome: 'approved',
      by: by.map(({ approver }) => approver.name),
      note: by.at(-1)?.note ?? '',
      insteadOf,
    }
  }

  #tooMany({ path }: HoldAsked): string | undefined {
    if (this.#waiting.size >= waitingMax) return 'too many commands wait for approvals'
    const root = path[0]
    let ofTree = 0
    for (const { asked } of this.#waiting.values()) if (asked.path[0] === root) ofTree += 1
    return ofTree >= waitingOfTreeMax
      ? 'too many commands of its tree wait for approvals'
      : undefined
  }

  #requester(asked: HoldAsked): Requester | undefined {
    const root = this.#options.agents.rootOf(asked.agent)
    if (root === undefined) return undefined
    return { rootId: root.id, rootIsHuman: root.isHuman, agents: new Set(asked.path) }
  }

  async #end(id: string, outcome: 'withdrawn' | 'expired', note: string): Promise<void> {
    await this.#inTurn(id, async () => {
      const waiting = this.#waiting.get(id)
      if (waiting === undefined) return
      // What can't be stored now is ended at the next start: nothing goes on by it in any case.
      await this.#move(id, outcome, note).catch(this.#options.onFault)
      this.#finish(waiting, { outcome, by: [], note })
    })
  }

  async #move(id: string, to: 'withdrawn' | 'expired', note: string): Promise<void> {
    const how = { atMs: this.#options.now(), note }
    await this.#options.store.durable(async (tx) => await moveApproval(tx, id, 'pending', to, how))
  }

  #finish({ asked, worker }: Waiting, answer: HoldAnswer): void {
    this.#waiting.delete(asked.id)
    this.#options.previews.ended(asked.id)
    void this.#options.ledger.write({
      what: 'approval.ended',
      actor: gatewayBy('approvals'),
      subject: asked.id,
      detail: { outcome: answer.outcome, by: answer.by, note: answer.note, session: asked.session },
    })
    if (worker !== undefined) this.#options.send(worker, asked.id, answer)
    this.#changed(asked.id)
  }

  #sweep(): void {
    const nowMs = this.#options.now()
    for (const { asked } of this.#waiting.values())
      if (nowMs >= asked.untilMs)
        void this.#end(asked.id, 'expired', '').catch(this.#options.onFault)
  }

  #changed(id: string): void {
    if (this.#watchers.size === 0) return
    const tell = async (): Promise<void> => {
      const view = await this.get(id)
      for (const watcher of this.#watchers) watcher(view)
    }
    tell().catch(this.#options.onFault)
  }

  async #find(prefix: string): Promise<ApprovalRecord> {
    const found = await readApprovals(this.#options.store, { prefix, limit: 2 })
    const [first] = found
    if (first !== undefined && (found.length === 1 || first.asked.id === prefix)) return first
    const why = found.length > 1 ? 'more than one request begins with' : 'there is no request'
    throw new SallyportError('SP_NOT_FOUND', `${why} "${prefix.slice(0, 64)}"`, {
      detail: 'approval',
    })
  }

  async #inTurn<T>(id: string, work: () => Promise<T>): Promise<T> {
    const before = this.#turns.get(id) ?? Promise.resolve()
    const mine = before.then(work)
    const settled = mine.catch(() => undefined)
    this.#turns.set(id, settled)
    void settled.then(() => {
      if (this.#turns.get(id) === settled) this.#turns.delete(id)
    })
    return await mine
  }
}

/** A note is read on terminals, of callers too, and stands in the ledger: one line that shows all it says. */
function mustBeNote(note: string): void {
  const isPlain = visibleText(note) === note && note.isWellFormed()
  if (note.length <= noteCharactersMax && isPlain) return
  const detail = `a note is one line of at most ${noteCharactersMax} characters, none of which steers a terminal`
  throw new SallyportError('SP_CONFIG_INVALID', detail, { detail })
}

function chainOf({ path, chain }: HoldAsked): { id: string; name: string }[] {
  return path.map((id, n) => ({ id, name: chain[n] ?? '' }))
}

export function factBy({ kind, name }: Approver): FactBy {
  return { by: kind === 'agent' ? 'agent' : kind === 'owner' ? 'owner' : 'principal', name }
}

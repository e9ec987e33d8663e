import { SallyportError, type ApprovalId, type Approver } from '@sallyport/core'
import type { HoldAnswer, HoldAsked, TargetQuestions } from '../../boundary/approvals.ts'
import { gatewayBy, type FactBy } from '../ledger/ledger.ts'
import {
  viewOf,
  type ApprovalAnswer,
  type ApprovalDecision,
  type ApprovalRecord,
  type ApprovalState,
  type ApprovalView,
} from './approval.ts'
import { ApprovalAnswers, type AnswersOptions } from './answers.ts'
import { insertApproval, moveApproval, readApprovals, type Seer } from './approval-rows.ts'
import { approvalStats } from './approval-stats.ts'
import type { ApprovalStats } from '../contract/approval-stats.ts'
import type { Bundle, BundleView } from './bundles.ts'
import type { ApprovalCounts } from '../metrics/approval-counts.ts'
import type { Previews } from './preview/previews.ts'
import type { ApprovalShapes } from './shapes.ts'
import type { Settled } from './store-answer.ts'
import { Turns } from './turns.ts'
import { useEarlier } from './use-earlier.ts'
import { requesterOf, waitingOf, type Waiting } from './waiting.ts'

export interface ApprovalsOptions extends AnswersOptions {
  readonly previews: Previews
  readonly counts: Pick<ApprovalCounts, 'answered' | 'ended'>
  readonly onFault: (error: unknown) => void
  /** Tells a worker how a request ended; set when the workers are there. */
  readonly send: (worker: number, id: ApprovalId, answer: HoldAnswer) => void
  /** Tells the caller of a request that is held something more. */
  readonly tell: (worker: number, id: ApprovalId, text: string) => void
}

/** More of one tree wait for nobody: who asks for so much is not read. */
const waitingOfTreeMax = 1000
const waitingMax = 10_000
const listedMax = 500
const sweepEveryMs = 1000

/**
 * Requests for approval: who asked, who answered, how it ended. What waits here is in the store as well, and each request ends
 * once, whoever is first: whoever ends it has moved its row.
 */
export class Approvals {
  /** Set by whoever knows who may: lets a command run that nobody is asked for. */
  breakGlass: { use(asked: HoldAsked): Promise<HoldAnswer | undefined> } = {
    use: async () => await Promise.resolve(undefined),
  }
  readonly #options: ApprovalsOptions
  readonly #waiting = new Map<string, Waiting>()
  readonly #watchers = new Set<(view: ApprovalView) => void>()
  /** Changes of one request follow each other. */
  readonly #turns = new Turns()
  #timer: NodeJS.Timeout | undefined

  readonly #answers: ApprovalAnswers

  private constructor(options: ApprovalsOptions) {
    this.#options = options
    this.#answers = new ApprovalAnswers(options, {
      waiting: this.#waiting,
      turns: this.#turns,
      find: async (prefix) => await this.#find(prefix),
      settled: (...came) => this.#settled(...came),
    })
  }

  /** What was held when the gateway ended has lost its caller; what was to come again still waits. */
  static async open(options: ApprovalsOptions): Promise<Approvals> {
    const approvals = new Approvals(options)
    const pending = await readApprovals(options.store, { states: ['pending'], limit: waitingMax })
    for (const { asked, answers } of pending) {
      const said = new Map(answers.map((each) => [each.approver.id, each]))
      const requester = requesterOf(asked, options.agents)
      if (requester === undefined) {
        await approvals.#move(asked.id, 'withdrawn', 'its agent is not known')
        continue
      }
      approvals.#waiting.set(asked.id, waitingOf(asked, requester, undefined, said))
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
    await this.#turns.allTaken()
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
    await this.#turns.take(asked.wait === 'return' ? asked.binding : asked.id, async () => {
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
    await this.#turns.allTaken()
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

  /** Newest first, 500 at most; for an agent of what it may see. */
  async list(states: readonly ApprovalState[], seer?: Seer): Promise<ApprovalView[]> {
    const of = { states, limit: listedMax, ...(seer === undefined ? {} : { seer }) }
    const found = await readApprovals(this.#options.store, of)
    return found.map((each) => this.#view(each))
  }

  async stats(sinceMs: number): Promise<ApprovalStats> {
    return await approvalStats(this.#options.store, sinceMs, this.#options.now())
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
    const often = this.#options.rates.often(record.asked.path[0] ?? '')
    const bundle = this.#bundleOf(record.asked.id)
    return viewOf({
      ...record,
      ...(often === undefined || record.state !== 'pending' ? {} : { often }),
      ...bundle,
      ...(preview === undefined ? {} : { preview }),
    })
  }

  #bundleOf(id: string): Pick<ApprovalRecord, 'bundle'> {
    if (this.#waiting.get(id)?.bundleKey === undefined) return {}
    const bundle = this.#answers
      .bundles()
      .find(({ requests }) => requests.some(({ asked }) => asked.id === id))
    return bundle === undefined ? {} : { bundle: { id: bundle.id, title: bundle.title } }
  }

  /** See `ApprovalAnswers`. */
  async forApprover(prefix: string, approver: Approver): Promise<ApprovalView> {
    const record = await this.#answers.forApprover(prefix, approver)
    return viewOf({ ...record, ...this.#bundleOf(record.asked.id) })
  }

  async answer(
    prefix: string,
    approver: Approver,
    answer: ApprovalDecision,
    note: string,
    shape?: string,
  ): Promise<ApprovalView> {
    const said = { answer, note, ...(shape === undefined ? {} : { shape }) }
    return await this.get(await this.#answers.answer(prefix, approver, said))
  }

  /** Requests that may be answered together. */
  bundles(): BundleView[] {
    return this.#answers.bundles().map((each) => this.#bundleView(each))
  }

  bundleFor(id: string, approver: Approver): BundleView {
    return this.#bundleView(this.#answers.bundleFor(id, approver))
  }

  async answerBundle(
    id: string,
    approver: Approver,
    answer: ApprovalDecision,
    note: string,
  ): Promise<ApprovalView[]> {
    const { requests } = await this.#answers.answerBundle(id, approver, { answer, note })
    return await Promise.all(requests.map(async ({ asked }) => await this.get(asked.id)))
  }

  #bundleView({ id, title, requests }: Bundle): BundleView {
    const [first] = requests
    const views = requests.map(({ asked, requester: { rootId }, answers: said }) =>
      this.#view({ asked, state: 'pending', rootId, answers: [...said.values()], note: '' }),
    )
    const untilMs = Math.min(...requests.map(({ asked }) => asked.untilMs))
    const { connection = '', database = '' } = first?.asked ?? {}
    const until = new Date(untilMs).toISOString()
    return { id, title, connection, database, until, requests: views }
  }

  #settled(waiting: Waiting, said: ApprovalAnswer, { to, by }: Settled): void {
    waiting.answers.set(said.approver.id, said)
    this.#options.counts.answered(said.atMs - waiting.asked.askedAtMs)
    if (to === undefined) return this.#changed(waiting.asked.id)
    this.#finish(waiting, { outcome: to, by, note: said.note })
  }

  async #take(worker: number, asked: HoldAsked, questions: TargetQuestions): Promise<void> {
    const { agents, now } = this.#options
    const refusal = agents.refusal(asked.agent) ?? this.#tooMany(asked)
    const requester = requesterOf(asked, agents)
    if (refusal !== undefined || requester === undefined) {
      const note = refusal ?? 'its agent is not known'
      return this.#options.send(worker, asked.id, { outcome: 'withdrawn', by: [], note })
    }
    if (asked.wait === 'return') {
      const earlier = await useEarlier(this.#options, asked, (id) => this.#waiting.has(id))
      if (earlier !== undefined) return this.#options.send(worker, asked.id, earlier)
    }
    const byShape = await this.#options.shapes.use(asked, questions)
    if (byShape !== undefined) return this.#options.send(worker, asked.id, byShape)
    const byGlass = await this.breakGlass.use(asked)
    if (byGlass !== undefined) return this.#options.send(worker, asked.id, byGlass)
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
    this.#waiting.set(asked.id, waitingOf(asked, requester, holder))
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
    const note = this.#askedOften(asked)
    if (holder === undefined)
      this.#options.send(worker, asked.id, { outcome: 'pending', by: [], note })
    else if (note !== '') this.#options.tell(holder, asked.id, note)
    // The time that storing took may have been all there was.
    if (now() >= asked.untilMs) this.#sweep()
  }

  /** What a tree is told that asks so often that nobody reads it any more; empty where it does not, or was told a moment ago. */
  #askedOften({ path }: HoldAsked): string {
    const tree = path[0] ?? ''
    const count = this.#options.rates.asked(tree)
    if (count === undefined) return ''
    const actor = gatewayBy('approvals')
    const fact = { actor, subject: tree, detail: { requests: count } }
    void this.#options.ledger.write({ what: 'approval.often', ...fact })
    return `${count} requests of this tree within 10 min: who is asked so often reads less. Do more in one statement, or ask for less`
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

  async #end(id: string, outcome: 'withdrawn' | 'expired', note: string): Promise<void> {
    await this.#turns.take(id, async () => {
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
    this.#options.counts.ended(answer.outcome)
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
    this.#options.rates.tidy()
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
}

function chainOf({ path, chain }: HoldAsked): { id: string; name: string }[] {
  return path.map((id, n) => ({ id, name: chain[n] ?? '' }))
}

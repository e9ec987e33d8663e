import {
  opensConnection,
  type AgentId,
  type AgentState,
  type GrantLayer,
  type Principal,
  type SessionId,
} from '@sallyport/core'
import type {
  Admission,
  AdmissionRequest,
  AgentChanges,
  Lease,
  LeaseRequest,
} from '../../boundary/agents.ts'
import type { Store } from '../ports/store.ts'
import { Admissions } from './admissions.ts'
import { type AgentContext, type ContextOptions, newContext } from './agent-context.ts'
import { AgentCredentials } from './agent-credentials.ts'
import {
  type Actor,
  actorOf,
  type AgentEvent,
  gatewayActor,
  ownerActor,
  principalActor,
} from './agent-events.ts'
import { type AgentNode, isLive } from './agent-node.ts'
import type {
  Canceller,
  Closer,
  EndWait,
  IssuedTicket,
  MintedCredential,
  MintRequest,
  RootRequest,
  Spawned,
  SpawnRequest,
  TicketRequest,
} from './agent-requests.ts'
import { budgetLines, treeOf, viewOf } from './agent-views.ts'
import { type AgentRefusal, authorize, refusalOf } from './authorize-agent.ts'
import { Births } from './births.ts'
import { Budgets } from './budgets.ts'
import { ChangesOfAgents } from './changes-of-agents.ts'
import { Endings } from './endings.ts'
import { ClosureReports } from './closure-reports.ts'
import { grantChain } from './grant-asks.ts'
import { Findings } from './findings.ts'
import { HandleDoors, type HandleUse } from './handle-doors.ts'
import { lineageOf } from './lineage.ts'
import { loadAgents } from './load-agents.ts'
import { readRevocation, type RevocationView } from './revocation-rows.ts'
import { Sweep } from './sweep.ts'
import { type Redemption, Tickets } from './tickets.ts'
import type {
  ClosureReport,
  AgentTreeView,
  AgentView,
  BudgetLine,
} from '../contract/agent-views.ts'

const sweepEveryMs = 1000

/**
 * The tree of agents: births, credentials, limits, ends. Every change is a transaction of the store first, then memory,
 * then listeners. Agents are named by id or unique prefix; what does not exist throws `SP_NOT_FOUND`.
 */
export class AgentService {
  /** Set by whoever runs the workers: resolves when all have applied a version, or after a while. */
  closer: Closer = async () => ({ acknowledged: 0, workers: 0, silent: [], closed: [] })
  /** Set by whoever hears of the targets of sessions. */
  canceller: Canceller = async () => new Map()
  readonly #context: AgentContext
  readonly #births: Births
  readonly #credentials: AgentCredentials
  readonly #reports: ClosureReports
  readonly #endings: Endings
  readonly #changes: ChangesOfAgents
  readonly #tickets: Tickets
  readonly #budgets: Budgets
  readonly #findings: Findings
  readonly #admissions: Admissions
  readonly #doors: HandleDoors
  readonly #sweep: Sweep
  readonly #onFault: (error: unknown) => void
  #timer: NodeJS.Timeout | undefined

  /** Reads all living agents from the store. */
  static async open(store: Store, options: ContextOptions): Promise<AgentService> {
    const service = new AgentService(store, options)
    await loadAgents(service.#context)
    return service
  }

  private constructor(store: Store, options: ContextOptions) {
    const context = newContext(store, options)
    this.#context = context
    this.#onFault = options.onFault
    this.#births = new Births(context)
    this.#credentials = new AgentCredentials(context)
    this.#budgets = new Budgets(context)
    this.#reports = new ClosureReports(context, () => this, options.onFault)
    this.#endings = new Endings(context, this.#reports, this.#budgets, options.onFault)
    this.#changes = new ChangesOfAgents(context, this.#endings)
    this.#tickets = new Tickets(context, this.#births)
    this.#findings = new Findings(context, this.#endings, options.onFault)
    this.#births.rotated = (...handles) => this.#findings.handleReplaced(...handles)
    this.#admissions = new Admissions(context, this.#findings)
    this.#doors = new HandleDoors(context, this.#findings, options.onFault)
    this.#sweep = new Sweep(context, this.#endings, this.#credentials)
  }

  /** Starts the timers; `stop` ends them. */
  start(): void {
    const sweep = async (): Promise<void> => {
      await this.sweep().catch(this.#onFault)
      if (this.#timer !== undefined) this.#timer = setTimeout(() => void sweep(), sweepEveryMs)
    }
    this.#timer = setTimeout(() => void sweep(), sweepEveryMs)
  }

  async stop(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    await this.#findings.settled()
    await this.#reports.settled()
    await this.#context.serial.run(async () => undefined)
  }

  /** What time does to agents, once. */
  sweep(): Promise<void> {
    return this.#sweep.run()
  }

  createRoot(
    request: RootRequest,
    by: Actor = principalActor(request.principal.name),
  ): Promise<Spawned> {
    return this.#births.createRoot(request, by)
  }

  /** A principal's groups or name have changed: all its trees follow. */
  updatePrincipal(principal: Principal): Promise<void> {
    return this.#births.updatePrincipal(principal)
  }

  /** The groups that a principal is in now: for all its trees, also after a restart. */
  async setGroups(principal: string, groups: readonly string[]): Promise<void> {
    const known = this.#context.tree.knownPrincipal(principal)
    if (known !== undefined) await this.updatePrincipal({ ...known, groups })
  }

  async setEntitlement(root: string, layers: readonly GrantLayer[]): Promise<void> {
    await this.#births.setEntitlement(this.#node(root), layers)
  }

  /** Roots that are active or frozen. */
  liveRoots(): { readonly id: AgentId; readonly principal: Principal }[] {
    return [...this.#context.tree.all()]
      .filter((node) => node.parent === undefined && isLive(node))
      .map(({ id, principal }) => ({ id, principal: principal.current }))
  }

  async spawn(parent: string, request: SpawnRequest, by?: Actor): Promise<Spawned> {
    return this.#births.spawn(this.#node(parent), request, by)
  }

  async createTicket(parent: string, request: TicketRequest, by?: Actor): Promise<IssuedTicket> {
    const node = this.#node(parent)
    return this.#tickets.create(node, request, by ?? actorOf(node))
  }

  redeemTicket(text: string, redemption?: Redemption): Promise<Spawned> {
    return this.#tickets.redeem(text, redemption)
  }

  async mintCredential(agent: string, request: MintRequest, by?: Actor): Promise<MintedCredential> {
    return this.#known(await this.#credentials.mint(this.#node(agent), request, by))
  }

  /** A credential of the local owner: any number of sessions, for as long as its agent lives. */
  async issueOwnerCredential(agent: string, connection: string): Promise<MintedCredential> {
    const node = this.#node(agent)
    const ttlMs = node.expiresAtMs - node.createdAtMs
    return this.#known(
      await this.#credentials.insert(
        node,
        { connection, level: 0, maxUses: undefined, ttlMs },
        ownerActor(this.#context.owner),
      ),
    )
  }

  /**
   * The agent whose handle this is, whatever its state; undefined for a handle that is none, or that is bound to another
   * key than the one that was shown.
   */
  agentOfHandle(text: string, shown: HandleUse = {}): AgentView | undefined {
    const node = this.#doors.nodeOf(text, shown)
    return node && viewOf(node)
  }

  /** The agent whose handle this is. Throws why it may not act; undefined as above. */
  authenticateHandle(text: string, shown: HandleUse = {}): AgentView | undefined {
    const node = this.#doors.nodeOf(text, shown)
    if (node === undefined) return undefined
    node.touchedAtMs = this.#context.now()
    return viewOf(authorize(node, this.#context.now()))
  }

  /** Somebody has sent a proof of an agent's key a second time. */
  proofReplayed(handle: string, shown: HandleUse): void {
    this.#doors.replayed(handle, shown)
  }

  authorizeAgent(
    id: string,
  ): { readonly ok: true; readonly agent: AgentView } | ({ readonly ok: false } & AgentRefusal) {
    const node = this.#node(id)
    const refusal = refusalOf(node, this.#context.now())
    return refusal === undefined ? { ok: true, agent: viewOf(node) } : { ok: false, ...refusal }
  }

  /** Whether the grants of an agent and of all above it name a connection. */
  opens(agent: string, connection: string): boolean {
    return opensConnection(grantChain(this.#node(agent), 0), connection)
  }

  async narrow(agent: string, layer: GrantLayer, by?: Actor): Promise<AgentView> {
    const node = this.#node(agent)
    await this.#changes.narrow(node, layer, by ?? actorOf(node))
    return viewOf(node)
  }

  /** `isAbove`: it was not the agent itself that asked, so the end may also be put off. */
  async renew(agent: string, ttlMs: number, by?: Actor, isAbove = false): Promise<AgentView> {
    const node = this.#node(agent)
    await this.#changes.renew(node, ttlMs, by ?? actorOf(node), isAbove)
    return viewOf(node)
  }

  async beat(agent: string): Promise<AgentView> {
    const node = this.#node(agent)
    if (node.state !== 'frozen') authorize(node, this.#context.now())
    await this.#changes.beat(node)
    return viewOf(node)
  }

  async end(
    agent: string,
    by: Actor | string,
    reason = 'done',
    wait?: EndWait,
  ): Promise<ClosureReport> {
    return this.#endings.end(this.#node(agent), actor(by), reason, wait)
  }

  async revoke(
    agent: string,
    by: Actor | string,
    reason: string,
    wait?: EndWait,
  ): Promise<ClosureReport> {
    return this.#endings.revoke(this.#node(agent), actor(by), reason, wait)
  }

  async freeze(
    agent: string,
    by: Actor | string,
    reason: string,
    wait?: EndWait,
  ): Promise<ClosureReport> {
    return this.#endings.freeze(this.#node(agent), actor(by), reason, 'person', wait)
  }

  /** Where an agent comes from, as `viewer` may know it; the owner where that is undefined. */
  async lineage(
    agent: string,
    viewer: AgentId | undefined,
  ): Promise<Readonly<Record<string, unknown>>> {
    return lineageOf(this.#context, this.#node(agent), viewer)
  }

  /** The report of an end or a freeze, as far as it has come; undefined where there is none of this number. */
  async revocation(epoch: number): Promise<RevocationView | undefined> {
    return readRevocation(this.#context.store, epoch)
  }

  /** Takes back what persons and findings froze; a heartbeat that was lost thaws when it returns. */
  async unfreeze(agent: string, by: Actor | string, reason: string): Promise<ClosureReport> {
    return this.#endings.unfreeze(this.#node(agent), actor(by), reason, ['person', 'finding'])
  }

  /** Whom `top` does not reach does not count: neither as what is found nor as a second one of the prefix. */
  get(idOrPrefix: string, top?: AgentId): AgentView | undefined {
    const node = this.#context.tree.byPrefix(idOrPrefix, top)
    return node && viewOf(node)
  }

  tree(id: string): AgentTreeView {
    return treeOf(this.#node(id))
  }

  list(): AgentView[] {
    return [...this.#context.tree.all()].map(viewOf)
  }

  /** How many there are in each state, of those that live or ended a short while ago. */
  countStates(): Map<AgentState, number> {
    const counts = new Map<AgentState, number>()
    for (const { state } of this.#context.tree.all())
      counts.set(state, (counts.get(state) ?? 0) + 1)
    return counts
  }

  /** All caps that bind an agent, root first. */
  budgetOf(id: string): BudgetLine[] {
    return budgetLines(this.#node(id))
  }

  /** Tells of everything that happens to agents, once it has committed. Returns a function that stops it. */
  onEvent(watcher: (event: AgentEvent) => void): () => void {
    return this.#context.events.watch(watcher)
  }

  changesSince(version: number): AgentChanges {
    return this.#context.log.since(version)
  }

  onChange(listener: (changes: AgentChanges) => void): void {
    this.#context.log.onChange(listener)
  }

  admit(request: AdmissionRequest, worker: number): Promise<Admission> {
    return this.#admissions.admit(request, worker)
  }

  sessionClosed(session: SessionId): void {
    this.#admissions.closed(session)
  }

  async lease(request: LeaseRequest, worker: number): Promise<Lease> {
    return this.#budgets.lease(this.#node(request.agent), request, worker)
  }

  async returnLease(request: LeaseRequest, worker: number): Promise<void> {
    const node = this.#context.tree.find(request.agent)
    if (node !== undefined) await this.#budgets.giveBack(node, request, worker)
  }

  /** A command ran, though no lease was asked for it. */
  touched(agent: string): void {
    const node = this.#context.tree.find(agent)
    if (node !== undefined) node.touchedAtMs = this.#context.now()
  }

  /** Its sessions are gone, and what it had leased is spent. */
  workerLost(worker: number): void {
    this.#admissions.workerLost(worker)
    this.#budgets.workerLost(worker)
  }

  /** The store has removed the credentials of a connection with it. */
  connectionRemoved(connection: string): void {
    this.#credentials.forget((each) => each.connection === connection)
  }

  /** The caller connects at once, so the workers must know the credential before it does. */
  async #known(minted: MintedCredential): Promise<MintedCredential> {
    await this.closer(this.#context.log.version)
    return minted
  }

  #node(id: string): AgentNode {
    return this.#context.tree.get(id)
  }
}

function actor(by: Actor | string): Actor {
  return typeof by === 'string' ? gatewayActor(by) : by
}

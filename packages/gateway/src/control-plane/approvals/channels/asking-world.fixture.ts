import { ApprovalRates } from '../approval-rates.ts'
import { ApprovalCounts } from '../../metrics/approval-counts.ts'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { AgentId, ApprovalId, Approver, SessionId } from '@sallyport/core'
import type { HoldAnswer, HoldAsked, TargetQuestions } from '../../../boundary/approvals.ts'
import { openPgliteStore } from '../../adapters/pglite-store.ts'
import { MemoryLedger } from '../../ledger/memory-ledger.fixture.ts'
import type { Store } from '../../ports/store.ts'
import { Approvals } from '../approvals.ts'
import { told, unknown, type Preview } from '../preview/preview.ts'
import { Previews, type PreviewsOptions } from '../preview/previews.ts'
import { ApprovalShapes } from '../shapes.ts'

const why = { why: 'no target here' }
export const noQuestions: TargetQuestions = {
  plan: why,
  count: why,
  sample: why,
  shape: why,
  values: [],
  types: [],
  settings: [],
  changes: why,
}

/** Previews of a target that nobody can ask, but for the estimates that a test has put there. */
class KnownEstimates extends Previews {
  readonly #estimates: ReadonlyMap<string, number>

  constructor(estimates: ReadonlyMap<string, number>, options: PreviewsOptions) {
    super(options)
    this.#estimates = estimates
  }

  override of(id: string): Preview | undefined {
    const rows = this.#estimates.get(id)
    if (rows === undefined) return super.of(id)
    const estimate = told(rows, 'planner estimate')
    const not = unknown('no target here')
    const table = { name: 't', rows: not, cascades: [], triggers: [] }
    const tables = told([table], 'catalog')
    const rest = { tables, locks: not, undo: not, sample: not, before: not, sameShape: not }
    return { estimate, ...rest }
  }
}

/** Requests for approval in an embedded store, of agents of dana's, on a clock that a test may put forward. */
export class AskingWorld implements AsyncDisposable {
  readonly store: Store
  readonly dir: string
  readonly ledger = new MemoryLedger()
  readonly sent: { id: ApprovalId; answer: HoldAnswer }[] = []
  readonly faults: unknown[] = []
  approvals!: Approvals
  /** What is added to the time of day, in milliseconds. */
  aheadMs = 0
  /** The principal at the root of the tree. */
  rootId = 'oidc:https://idp|dana'
  /** What the planner expects of requests, in rows. */
  readonly estimates = new Map<string, number>()
  #count = 0

  private constructor(store: Store, dir: string) {
    this.store = store
    this.dir = dir
  }

  static async open(): Promise<AskingWorld> {
    const dir = await mkdtemp(join(tmpdir(), 'sallyport-channels-'))
    const world = new AskingWorld(await openPgliteStore(dir), dir)
    await world.restart()
    return world
  }

  /** What waits in memory is forgotten, as by a restart. */
  async restart(): Promise<void> {
    await this.approvals?.stop()
    const { store, ledger } = this
    const onFault = (error: unknown): void => void this.faults.push(error)
    const away = async (): Promise<never> => await Promise.reject(new Error('no target here'))
    const shapes = await ApprovalShapes.open({
      store,
      ledger,
      onFault,
      now: this.now,
      estimate: away,
      ruleKey: () => 'none',
    })
    this.approvals = await Approvals.open({
      store,
      ledger,
      previews: new KnownEstimates(this.estimates, {
        store,
        ledger,
        onFault,
        now: this.now,
        open: away,
        config: away,
      }),
      shapes,
      agents: {
        rootOf: () => ({ id: this.rootId, isHuman: true }),
        treeOf: () => 'a_root',
        refusal: () => undefined,
        spend: async () => await Promise.resolve(undefined),
      },
      counts: new ApprovalCounts(),
      rates: new ApprovalRates({ approvalsPerMinute: Infinity, askedPerTenMinutes: 10 }, this.now),
      tell: () => undefined,
      changes: async () => await Promise.resolve([]),
      now: this.now,
      onFault,
      send: (_worker, id, answer) => this.sent.push({ id, answer }),
    })
  }

  readonly now = (): number => Date.now() + this.aheadMs

  async ask(over: Partial<HoldAsked> = {}): Promise<HoldAsked> {
    this.#count += 1
    const unique = `${process.pid.toString(36)}${this.#count.toString(36).padStart(9, '0')}`
    const asked: HoldAsked = {
      id: `ap_${unique}` as ApprovalId,
      session: 's_1' as SessionId,
      seq: this.#count,
      connection: 'orders-db',
      database: 'shop',
      agent: 'a_child' as AgentId,
      path: ['a_root', 'a_child'] as AgentId[],
      chain: ['dana', 'fixer'],
      level: 2,
      application: 'test',
      source: '127.0.0.1',
      text: "DELETE FROM orders WHERE status = 'stale'",
      textLength: 41,
      parameters: [],
      class: 'write',
      verb: 'delete',
      objects: [['public', 'orders']],
      unbounded: false,
      opaque: [],
      inTransaction: false,
      demands: demandsOf(),
      outline: 'DELETE FROM orders WHERE status = ?',
      policyVersion: 1,
      binding: `b${unique}`.padEnd(64, '0'),
      wait: 'hold',
      askedAtMs: this.now(),
      untilMs: this.now() + 600_000,
      ...over,
    }
    await this.approvals.asked(1, asked, noQuestions)
    return asked
  }

  sentTo(id: ApprovalId): HoldAnswer[] {
    return this.sent.flatMap((each) => (each.id === id ? [each.answer] : []))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.approvals.stop()
    await this.store.close()
    await rm(this.dir, { recursive: true, force: true })
  }
}

export function demandsOf(
  over: Partial<HoldAsked['demands'][number]['demand']> = {},
  rule = 'prod/agent-writes',
): HoldAsked['demands'] {
  const usual = { withinMs: 600_000, offer: ['once'], shapeRowsMax: 1000 }
  const who = { from: ['group:dba'], count: 1, selfRoot: 'deny', wait: 'hold' } as const
  return [{ rule, message: '', demand: { ...usual, ...who, ...over } }]
}

export function person(name: string, groups: readonly string[] = ['dba']): Approver {
  const id = `oidc:https://idp|${name}`
  return { id, kind: 'person', principal: id, name: `${name}@example.com`, groups }
}

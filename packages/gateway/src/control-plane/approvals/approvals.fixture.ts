import {
  SallyportError,
  type AgentId,
  type ApprovalId,
  type Approver,
  type SessionId,
} from '@sallyport/core'
import type { HoldAnswer, HoldAsked, TargetQuestions } from '../../boundary/approvals.ts'
import type { ConnectionConfig } from '../../boundary/snapshot.ts'
import type { Fact } from '../ledger/ledger.ts'
import type { Store } from '../ports/store.ts'
import { until } from '@sallyport/testkit'
import { ApprovalCounts } from '../metrics/approval-counts.ts'
import { ApprovalRates } from './approval-rates.ts'
import { Approvals } from './approvals.ts'
import { Previews } from './preview/previews.ts'
import type { TargetQuestioner } from './preview/target-questioner.ts'
import { recentChanges } from './recent-changes.ts'
import { ApprovalShapes } from './shapes.ts'

const why = { why: 'no target here' }
const noQuestions: TargetQuestions = {
  plan: why,
  count: why,
  sample: why,
  shape: why,
  values: [],
  types: [],
  settings: [],
  changes: why,
}

export async function away(): Promise<never> {
  return await Promise.reject(new Error('no target here'))
}

/** Requests of one tree, of dana's: `a_root`, `a_child` and `a_sibling`. `a_far` is dana's too, in another tree. */
export class World {
  readonly store: Store
  readonly questions = noQuestions
  readonly sent: { id: ApprovalId; answer: HoldAnswer }[] = []
  readonly facts: Fact[] = []
  readonly faults: unknown[] = []
  readonly counts = new ApprovalCounts()
  readonly told: { id: ApprovalId; text: string }[] = []
  /** Nobody is too fast here, but where a test says so. */
  readonly limits = { approvalsPerMinute: Infinity, askedPerTenMinutes: 10 }
  approvals!: Approvals
  target: () => Promise<TargetQuestioner> = away
  nowMs = Date.now()
  rootId = 'p_dana'
  budget = Infinity
  isStoreAway = false
  isLedgerFull = false
  #count = 0

  private constructor(store: Store) {
    this.store = store
  }

  static async open(store: Store): Promise<World> {
    const world = new World(store)
    const failing = new Proxy(store, {
      get(target, name) {
        if (name === 'durable' && world.isStoreAway)
          return async () => await Promise.reject(new Error('the store is away'))
        const value: unknown = Reflect.get(target, name, target)
        return typeof value === 'function' ? (value.bind(target) as unknown) : value
      },
    })
    const ledger = { write: async () => await Promise.resolve() }
    const onFault = (error: unknown): void => void world.faults.push(error)
    const previews = new Previews({
      store,
      ledger,
      onFault,
      now: () => world.nowMs,
      open: async () => await world.target(),
      config: async () => await Promise.resolve({} as ConnectionConfig),
    })
    const shapes = await ApprovalShapes.open({
      store,
      ledger,
      onFault,
      now: () => world.nowMs,
      estimate: away,
      ruleKey: () => 'none',
    })
    world.approvals = await Approvals.open({
      store: failing,
      ledger: {
        write(fact) {
          if (world.isLedgerFull && fact.what === 'approval.answered')
            throw new SallyportError('SP_RECORD_UNAVAILABLE', 'full')
          world.facts.push(fact)
          return Promise.resolve()
        },
      },
      previews,
      shapes,
      counts: world.counts,
      rates: new ApprovalRates(world.limits, () => world.nowMs),
      tell: (_worker, id, text) => world.told.push({ id, text }),
      agents: {
        rootOf: () => ({ id: world.rootId, isHuman: true }),
        treeOf: (id) => (['a_far', 'a_fit'].includes(id) ? id : 'a_root'),
        refusal: () => undefined,
        async spend() {
          await Promise.resolve()
          world.budget -= 1
          return world.budget < 0 ? 'the budget is used up' : undefined
        },
      },
      changes: async (asked) =>
        await recentChanges(store, asked, { owner: 'olga', nowMs: world.nowMs }),
      now: () => world.nowMs,
      onFault: (error) => world.faults.push(error),
      send: (_worker, id, answer) => world.sent.push({ id, answer }),
    })
    return world
  }

  sentTo(id: ApprovalId): HoldAnswer[] {
    return this.sent.flatMap((each) => (each.id === id ? [each.answer] : []))
  }

  /** Resolves when the time of a request, which is over, has been seen to be. */
  async expired(id: string): Promise<void> {
    this.approvals.start()
    await until('it has expired', async () => (await this.approvals.get(id)).state === 'expired')
  }

  async withdraw(id: string): Promise<void> {
    await this.approvals.withdrawn(id as ApprovalId, '')
  }

  async ask(over: Partial<HoldAsked> = {}): Promise<HoldAsked> {
    const asked = this.made(over)
    await this.approvals.asked(1, asked, noQuestions)
    return asked
  }

  made(over: Partial<HoldAsked> = {}): HoldAsked {
    this.#count += 1
    const unique = `${this.nowMs.toString(36)}${this.#count}${Math.random().toString(36).slice(2, 8)}`
    return {
      id: `ap_${unique}` as ApprovalId,
      session: 's_1' as SessionId,
      seq: this.#count,
      connection: 'shop',
      database: 'shop',
      agent: 'a_child' as AgentId,
      path: ['a_root', 'a_child'] as AgentId[],
      chain: ['root', 'child'],
      level: 2,
      application: 'test',
      source: '127.0.0.1',
      text: 'delete from t',
      textLength: 13,
      parameters: [],
      class: 'write',
      verb: 'delete',
      objects: [['public', 't']],
      unbounded: true,
      opaque: [],
      inTransaction: false,
      demands: demand(),
      policyVersion: 1,
      binding: unique,
      wait: 'hold',
      askedAtMs: this.nowMs,
      untilMs: this.nowMs + 600_000,
      ...over,
    }
  }
}

export function demand(
  over: Partial<HoldAsked['demands'][number]['demand']> = {},
): HoldAsked['demands'] {
  const usual = { withinMs: 600_000, offer: ['once'], shapeRowsMax: 1000 }
  const who = { from: ['group:dba'], count: 1, selfRoot: 'deny', wait: 'hold' } as const
  return [{ rule: 'p/r', message: '', demand: { ...usual, ...who, ...over } }]
}

export function person(name: string): Approver {
  const id = `p_${name}`
  return { id, kind: 'person', principal: id, name, groups: ['dba'] }
}

export function agent(id: string, principal: string): Approver {
  return { id, kind: 'agent', principal, name: id, groups: [] }
}

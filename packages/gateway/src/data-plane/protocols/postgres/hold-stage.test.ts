import assert from 'node:assert/strict'
import test from 'node:test'
import type { ApprovalId, Command, Refusal, RuleDemand, Verdict } from '@sallyport/core'
import type { TargetQuestions } from '../../../boundary/approvals.ts'
import type { Approved, HeldCommand } from '../../approvals/hold-desk.ts'
import type { StoredEntry } from '../../journal/stored-entry.ts'
import { HoldStage, type HoldStageDeps } from './hold-stage.ts'
import type { Unit } from './unit.ts'

type Held = Extract<Verdict, { effect: 'approve' }>

/** What a held command waits for, in this order. Each is a point at which something may happen. */
const points = ['asked', 'looked', 'ready', 'stored'] as const
type Point = (typeof points)[number]

const approval = 'ap_1' as ApprovalId
const demand = (rule: string): RuleDemand => ({
  rule,
  message: '',
  demand: {
    from: ['owner'],
    count: 1,
    withinMs: 60_000,
    offer: ['once'],
    shapeRowsMax: 1,
    selfRoot: 'deny',
    wait: 'hold',
  },
})
const reason: Refusal = { code: 'SP_POLICY_BLOCKED', message: 'no', detail: '', hint: '' }
const held = (rules: readonly string[]): Held => ({
  effect: 'approve',
  id: 'd_1' as Held['id'],
  rules: [...rules],
  policyVersion: 1,
  reason,
  masks: [],
  demands: rules.map(demand),
})

/** A stage whose every wait ends when the test says so. */
class World {
  readonly stage: HoldStage
  readonly record: string[] = []
  readonly left: Unit[] = []
  reached = Promise.withResolvers<Point>()
  verdict: Verdict = held(['p/a'])
  meaning: readonly string[] = ['as it was']
  isConnectionTheSame = true
  standing: Refusal | undefined
  closed = false
  #goOn = Promise.withResolvers<void>()

  constructor() {
    const at = async (point: Point): Promise<void> => {
      const { promise } = (this.#goOn = Promise.withResolvers())
      this.reached.resolve(point)
      await promise
    }
    const desk = {
      untilMs: () => 60_000,
      ask: async (): Promise<Approved> => {
        await at('asked')
        return {
          approval,
          answer: { outcome: 'approved', by: ['maria'], note: '' },
          untilMs: 60_000,
        }
      },
      goOn: async (): Promise<StoredEntry> => {
        await at('stored')
        this.record.push('approved')
        return { seq: 1 } as StoredEntry
      },
      inVain: (_held: HeldCommand, _yes: Approved, why: string) =>
        void this.record.push(`withdrawn: ${why}`),
      withdraw: () => false,
    }
    const catalog = {
      isOutdated: false,
      look: async () => await at('looked'),
      load: async () => await Promise.reject(new Error()),
      markStale: () => 1,
    }
    this.stage = new HoldStage({
      desk: desk as unknown as HoldStageDeps['desk'],
      journal: { closed: false },
      catalog,
      session: {
        settings: () => [],
        meaningOf: () => this.meaning,
        questions: () => ({}) as TargetQuestions,
        classify: () => command,
        judge: () => this.verdict,
        standing: () => this.standing,
        isConnectionTheSame: () => this.isConnectionTheSame,
        leaves: (unit) => void this.left.push(unit),
      },
    })
    this.ready = async () => {
      await at('ready')
      return !this.closed
    }
  }

  readonly ready: () => Promise<boolean>

  /** Lets what stands at its point go on to the next. */
  async next(): Promise<Point> {
    const point = await this.reached.promise
    this.reached = Promise.withResolvers()
    return point
  }

  goOn(): void {
    this.#goOn.resolve()
  }
}

const command = { text: 'delete from t', inTransaction: true, effects: {} } as unknown as Command
const unit = (): Unit =>
  ({
    text: 'delete from t',
    kind: 'query',
    awaits: [],
    parameters: [],
    formats: [],
  }) as unknown as Unit

/** Runs one held command, with `act` at one of the points. */
async function run(
  at: Point | undefined,
  act: (world: World) => void,
): Promise<{ world: World; ran: boolean; read: string }> {
  const world = new World()
  const one = unit()
  const waiting = { unit: one, command, entry: { seq: 1 } as StoredEntry, verdict: held(['p/a']) }
  const done = world.stage.hold(waiting, world.ready).then(
    (result) => ({ ran: !('code' in result), read: 'code' in result ? result.message : 'runs' }),
    (error: unknown) => ({ ran: false, read: String(error) }),
  )
  for (const point of points) {
    const reached = await Promise.race([world.next(), done])
    if (typeof reached !== 'string') break
    assert.equal(reached, point)
    if (point === at) act(world)
    world.goOn()
  }
  return { world, ...(await done) }
}

test('nothing happens: it runs, its yes is on record, and it counts as left', async () => {
  const { ran, world } = await run(undefined, () => undefined)
  assert.ok(ran)
  assert.deepEqual(world.record, ['approved'])
  assert.equal(world.left.length, 1)
})

for (const point of points)
  test(`taken away when it is being ${point}: it does not run, and the recording says why`, async () => {
    const { ran, read, world } = await run(point, ({ stage }) =>
      assert.ok(stage.withdraw('revoked')),
    )
    assert.equal(ran, false)
    assert.match(read, /was withdrawn: revoked/)
    assert.equal(world.left.length, 0)
    // A yes that is being stored stands there too, and is followed by its end.
    const told = point === 'asked' ? [] : ['withdrawn: revoked']
    assert.deepEqual(
      world.record.filter((each) => each !== 'approved'),
      told,
    )
    assert.equal(world.stage.withdraw('again'), false)
  })

for (const [what, change, says] of [
  ['its connection', (world) => (world.isConnectionTheSame = false), /leads elsewhere/],
  ['what it does', (world) => (world.meaning = ['another']), /has changed since/],
  [
    'a rule that blocks it',
    (world) => (world.verdict = { ...held([]), effect: 'block' } as Verdict),
    /^no$/,
  ],
  ['its session', (world) => (world.closed = true), /^no$/],
] satisfies readonly [string, (world: World) => unknown, RegExp][])
  for (const point of ['asked', 'looked', 'ready'] as const) {
    if (what === 'its session' && point === 'asked') continue
    test(`${what} is another one when it is being ${point}: it does not run`, async () => {
      const { ran, read, world } = await run(point, change)
      assert.equal(ran, false)
      assert.match(read, says)
      assert.ok(!world.record.includes('approved'))
    })
  }

test('other approvals are asked for by then: it is asked for again, and the first yes was in vain', async () => {
  const world = new World()
  const one = { unit: unit(), command, entry: { seq: 1 } as StoredEntry, verdict: held(['p/a']) }
  const done = world.stage.hold(one, world.ready)
  world.verdict = held(['p/a', 'p/b'])
  const seen: Point[] = []
  for (let n = 0; n < 7; n += 1) {
    seen.push(await world.next())
    world.goOn()
  }
  assert.deepEqual(seen, ['asked', 'looked', 'ready', 'asked', 'looked', 'ready', 'stored'])
  assert.ok(!('code' in (await done)))
  assert.deepEqual(world.record, ['withdrawn: other approvals are asked for since', 'approved'])
})

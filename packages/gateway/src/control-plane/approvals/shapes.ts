import { SallyportError, type ApprovalId, type RuleDemand } from '@sallyport/core'
import type { HoldAnswer, HoldAsked, TargetQuestions } from '../../boundary/approvals.ts'
import { gatewayBy, type FactBy, type Ledger } from '../ledger/ledger.ts'
import type { Store } from '../ports/store.ts'
import type { ShapeView } from '../contract/approval-views.ts'
import { answerRefused } from './approval.ts'
import type { Tx } from './approval-rows.ts'
import type { Told } from './preview/preview.ts'
import { endShape, insertShape, readShapes, usedShape, type ShapeRecord } from './shapes-rows.ts'

export type { ShapeView }

export interface ShapesOptions {
  readonly store: Store
  readonly ledger: Ledger
  readonly now: () => number
  readonly onFault: (error: unknown) => void
  readonly estimate: (asked: HoldAsked, questions: TargetQuestions) => Promise<Told<number>>
  /** A text for the rules behind these demands, which is another one as soon as one of them changes. */
  readonly ruleKey: (demands: readonly RuleDemand[]) => string
}

const unitMs: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000 }

/** Commands that need nobody's yes for a while, because one of their shape had it. Each use is judged and recorded by itself. */
export class ApprovalShapes {
  readonly #options: ShapesOptions
  readonly #active = new Map<string, ShapeRecord>()

  private constructor(options: ShapesOptions) {
    this.#options = options
  }

  static async open(options: ShapesOptions): Promise<ApprovalShapes> {
    const shapes = new ApprovalShapes(options)
    for (const each of await readShapes(options.store)) shapes.#active.set(each.id, each)
    return shapes
  }

  /**
   * Whether an approval of this kind is offered by every rule that asks: `30m` for a shape, undefined for once. Throws
   * SP_APPROVAL_REFUSED.
   */
  mustOffer({ demands, shape }: HoldAsked, duration: string | undefined): void {
    const word = duration === undefined ? 'once' : `shape-${duration}`
    const other = demands.find(({ demand }) => !demand.offer.includes(word))
    if (other !== undefined)
      throw answerRefused(`${other.rule} offers ${other.demand.offer.join(', ')}, not ${word}`)
    if (duration !== undefined && shape === undefined)
      throw answerRefused('the command has no shape that could be told: approve it once')
  }

  /** Keeps what was approved by its shape. What it gives counts once the transaction is stored. */
  async grant(
    tx: Tx,
    asked: HoldAsked,
    { duration, by }: { readonly duration: string; readonly by: readonly string[] },
  ): Promise<() => void> {
    const { id, agent, connection, database, shape = '' } = asked
    const sinceMs = this.#options.now()
    const untilMs = sinceMs + durationMs(duration)
    const rules = this.#options.ruleKey(asked.demands)
    const record = {
      id,
      agent,
      connection,
      database,
      shape,
      rules,
      by,
      sinceMs,
      untilMs,
      uses: 0,
      asked,
    }
    await insertShape(tx, record)
    return () => void this.#active.set(id, record)
  }

  /** The yes that a command has by its shape. Undefined where it has to be asked for as any other. */
  async use(asked: HoldAsked, questions: TargetQuestions): Promise<HoldAnswer | undefined> {
    const found = this.#of(asked)
    if (found === undefined || this.#options.ruleKey(asked.demands) !== found.rules)
      return undefined
    const estimate = await this.#options.estimate(asked, questions)
    const rowsMax = rowsMaxOf(asked)
    // No estimate, no shape.
    if (!estimate.known || estimate.value > rowsMax) return undefined
    // It may have ended while the target was asked.
    if (this.#of(asked) !== found) return undefined
    const stored = await this.#options.store.durable(async (tx) => {
      if (!(await usedShape(tx, found.id))) return undefined
      return this.#options.ledger
        .write({
          what: 'approval.shape-used',
          actor: { by: 'agent', name: asked.chain.at(-1) ?? '' },
          subject: found.id,
          detail: { session: asked.session, command: asked.seq, estimate: estimate.value, rowsMax },
        })
        .then(() => true)
    })
    if (stored === undefined) return undefined
    found.uses += 1
    return {
      outcome: 'approved',
      by: found.by,
      note: 'by its shape',
      insteadOf: found.id as ApprovalId,
    }
  }

  /** Those that are good now, newest first. */
  list(): ShapeView[] {
    this.#endWhatIsOver()
    return [...this.#active.values()].map(viewOfShape).toReversed()
  }

  get(id: string): ShapeView {
    const found = this.list().filter((each) => each.id.startsWith(id.toLowerCase()))
    const [first] = found
    if (first !== undefined && found.length === 1) return first
    throw new SallyportError('SP_NOT_FOUND', `no approved shape is "${id.slice(0, 64)}"`, {
      detail: 'approved shape',
    })
  }

  async withdraw(id: string, by: FactBy): Promise<ShapeView> {
    const view = this.get(id)
    await this.#end(view.id, `withdrawn by ${by.name}`, by)
    return view
  }

  /** What was approved for an agent that may not act any more has ended. */
  agentsChanged(refusal: (agent: HoldAsked['agent']) => string | undefined): void {
    for (const { id, agent } of this.#active.values()) {
      const why = refusal(agent)
      if (why !== undefined) this.#endSoon(id, why)
    }
  }

  #of({ agent, connection, database, shape }: HoldAsked): ShapeRecord | undefined {
    this.#endWhatIsOver()
    return [...this.#active.values()].find(
      (each) =>
        each.shape === shape &&
        each.agent === agent &&
        each.connection === connection &&
        each.database === database,
    )
  }

  #endWhatIsOver(): void {
    const { now, ruleKey } = this.#options
    for (const { id, untilMs, rules, asked } of this.#active.values()) {
      if (now() >= untilMs) this.#endSoon(id, 'its time is over')
      else if (ruleKey(asked.demands) !== rules) this.#endSoon(id, 'its rule has changed')
    }
  }

  #endSoon(id: string, why: string): void {
    this.#end(id, why, gatewayBy('approvals')).catch(this.#options.onFault)
  }

  async #end(id: string, why: string, by: FactBy): Promise<void> {
    // Counted out before the first await: nothing runs by it any more.
    const ended = this.#active.get(id)
    if (ended === undefined) return
    this.#active.delete(id)
    await this.#options.store.durable(
      async (tx) => await endShape(tx, id, this.#options.now(), why),
    )
    const detail = { why, uses: ended.uses }
    await this.#options.ledger.write({
      what: 'approval.shape-ended',
      actor: by,
      subject: id,
      detail,
    })
  }
}

function rowsMaxOf({ demands }: HoldAsked): number {
  return Math.min(...demands.map(({ demand }) => demand.shapeRowsMax))
}

function viewOfShape({ asked, by, sinceMs, untilMs, uses, ...record }: ShapeRecord): ShapeView {
  const { id, agent, connection, database } = record
  return {
    id,
    agent,
    chain: asked.chain,
    connection,
    database,
    text: asked.text,
    rules: asked.demands.map(({ rule }) => rule),
    rowsMax: rowsMaxOf(asked),
    by,
    since: new Date(sinceMs).toISOString(),
    until: new Date(untilMs).toISOString(),
    uses,
  }
}

/** Of `30m`, as rules offer it. */
function durationMs(text: string): number {
  return Number.parseInt(text, 10) * (unitMs[text.at(-1) ?? ''] ?? 0)
}

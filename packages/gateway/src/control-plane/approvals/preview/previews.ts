import type { HoldAsked, Question, TargetQuestions } from '../../../boundary/approvals.ts'
import type { ConnectionConfig } from '../../../boundary/snapshot.ts'
import { gatewayBy, type FactBy, type Ledger } from '../../ledger/ledger.ts'
import type { Store } from '../../ports/store.ts'
import { CountTurns } from './count-turns.ts'
import { commandsBefore, shapeHistory } from './history.ts'
import { notCounted } from './not-counted.ts'
import { told, unknown, type Preview, type SampleRows, type Told } from './preview.ts'
import { rowsOfPlan } from './read-plan.ts'
import { locksOf, undoOf } from './statement-facts.ts'
import { namesForeign, tableEffects } from './table-effects.ts'
import type { Rows, TargetQuestioner } from './target-questioner.ts'

export interface PreviewsOptions {
  readonly store: Store
  readonly ledger: Ledger
  readonly now: () => number
  readonly onFault: (error: unknown) => void
  /** Opens a connection that can't change anything. */
  readonly open: (config: ConnectionConfig, database: string) => Promise<TargetQuestioner>
  readonly config: (connection: string) => Promise<ConnectionConfig>
}

/** A target has few places for connections, and previews are the least that they are for. */
const atOnce = 2
/** Requests that wait for a look beyond this are decided without one. */
const waitingMax = 200
/** Requests whose questions are kept; each may have values of 64 KiB. */
const keptMax = 2000
const valueCharsShown = 80
const columnsShown = 20

interface Kept {
  readonly asked: HoldAsked
  readonly questions: TargetQuestions
  readonly counts: CountTurns
  preview: Preview | undefined
}

/** Looks at what commands that wait would do. A look never delays its request, and none fails: what can't be told says why. */
export class Previews {
  readonly #options: PreviewsOptions
  readonly #kept = new Map<string, Kept>()
  readonly #queue: (() => Promise<void>)[] = []
  #running = 0

  constructor(options: PreviewsOptions) {
    this.#options = options
  }

  /** Of a request that waits; undefined before the look has ended. */
  of(id: string): Preview | undefined {
    return this.#kept.get(id)?.preview
  }

  /** Begins to look. `done` is called when there is something to show. */
  begin(asked: HoldAsked, questions: TargetQuestions, done: () => void): void {
    if (this.#kept.size >= keptMax) return
    const kept: Kept = { asked, questions, counts: new CountTurns(), preview: undefined }
    this.#kept.set(asked.id, kept)
    const isTooMany = this.#queue.length >= waitingMax
    this.#soon(async () => {
      // Whoever has an answer needs no look any more.
      if (this.#kept.get(asked.id) !== kept) return
      const preview = await this.#look(kept, isTooMany)
      kept.preview ??= preview
      await this.#keep(asked.id, kept.preview)
      if (this.#kept.get(asked.id) === kept) done()
    })
  }

  /** The request has ended: nothing of the target's rows is kept any longer. */
  ended(id: string): void {
    this.#kept.delete(id)
  }

  /** How many rows the planner expects a command to meet now. */
  async estimate(asked: HoldAsked, questions: TargetQuestions): Promise<Told<number>> {
    return await this.#withTarget(asked, async (target) => {
      return await this.#estimate(target, asked, questions)
    }).catch((error: unknown) => unknown(whyOf(error)))
  }

  /**
   * Counts what a command that waits would meet. Throws SP_PREVIEW_UNKNOWN where that can't be done, with the reason, and
   * SP_RATE_LIMIT where it is asked for too often.
   */
  async count(id: string, by: FactBy): Promise<Told<number>> {
    const kept = this.#kept.get(id)
    if (kept === undefined)
      throw notCounted('it does not wait any more, or waited before a restart')
    const { count } = kept.questions
    if ('why' in count) throw notCounted(count.why)
    return await kept.counts.take(this.#options.now, async () => {
      return await this.#count(kept, count.text, by)
    })
  }

  async #count(kept: Kept, text: string, by: FactBy): Promise<Told<number>> {
    const { asked, questions } = kept
    if (this.#queue.length >= waitingMax) throw notCounted('too many requests wait to be looked at')
    await this.#options.ledger.write({
      what: 'approval.counted',
      actor: by,
      subject: asked.id,
      detail: { connection: asked.connection, statement: text },
    })
    const rows = await this.#first(async () => {
      return await this.#withTarget(asked, async (target) => {
        const answer = await target.ask({ ...questions, text })
        return Number(answer.rows[0]?.[0] ?? Number.NaN)
      })
    }).catch((error: unknown) => {
      throw notCounted(whyOf(error))
    })
    if (!Number.isSafeInteger(rows)) throw notCounted('the target gave no number')
    const counted = told(rows, 'counted, read-only')
    // Somebody may count sooner than the look has ended.
    const preview = kept.preview ?? (await this.#look(kept, false))
    kept.preview = { ...preview, count: counted }
    await this.#keep(asked.id, kept.preview)
    return counted
  }

  async #look({ asked, questions }: Kept, isTooMany: boolean): Promise<Preview> {
    const { store } = this.#options
    const why = 'why' in questions.shape ? questions.shape.why : ''
    const ofTarget = isTooMany
      ? notAsked('too many requests wait to be looked at')
      : await this.#withTarget(asked, async (target) => ({
          estimate: await this.#estimate(target, asked, questions),
          tables: await tableEffects(target, asked, questions.changes).catch(asUnknown),
          sample: await sampleOf(target, questions),
        })).catch((error: unknown) => notAsked(whyOf(error)))
    return {
      ...ofTarget,
      locks: locksOf(asked),
      undo: undoOf(asked),
      before: await commandsBefore(store, asked).catch(asUnknown),
      sameShape: await shapeHistory(store, asked, why).catch(asUnknown),
    }
  }

  async #estimate(
    target: TargetQuestioner,
    { objects }: HoldAsked,
    questions: TargetQuestions,
  ): Promise<Told<number>> {
    const { plan } = questions
    if ('why' in plan) return unknown(plan.why)
    try {
      if (await namesForeign(target, objects))
        return unknown('planning would ask another server, of a foreign table')
      const { rows } = await target.ask({ ...questions, text: plan.text })
      const estimate = rowsOfPlan(rows[0]?.[0])
      return estimate === undefined
        ? unknown('the plan could not be read')
        : told(estimate, 'planner estimate')
    } catch (error) {
      return unknown(whyOf(error))
    }
  }

  async #withTarget<T>(
    asked: HoldAsked,
    work: (target: TargetQuestioner) => Promise<T>,
  ): Promise<T> {
    const { open, config, ledger } = this.#options
    await using target = await open(await config(asked.connection), asked.database)
    void ledger.write({
      what: 'approval.previewed',
      actor: gatewayBy('approvals'),
      subject: asked.id,
      detail: { connection: asked.connection, database: asked.database },
    })
    return await work(target)
  }

  /** What the target's rows hold is not stored. */
  async #keep(id: string, { sample: _sample, ...preview }: Preview): Promise<void> {
    await this.#options.store.db
      .updateTable('approval')
      .set({ preview: JSON.stringify(preview) })
      .where('id', '=', id)
      .execute()
  }

  #soon(work: () => Promise<void>): void {
    this.#queue.push(work)
    this.#next()
  }

  /** Before all looks, since somebody waits for it, and as many targets are asked at once for both together. */
  async #first<T>(work: () => Promise<T>): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>()
    this.#queue.unshift(async () => await work().then(resolve, reject))
    this.#next()
    return await promise
  }

  #next(): void {
    if (this.#running >= atOnce) return
    const work = this.#queue.shift()
    if (work === undefined) return
    this.#running += 1
    void work()
      .catch(this.#options.onFault)
      .then(() => {
        this.#running -= 1
        this.#next()
      })
  }
}

async function sampleOf(
  target: TargetQuestioner,
  questions: TargetQuestions,
): Promise<Told<SampleRows>> {
  const { sample }: { sample: Question } = questions
  if ('why' in sample) return unknown(sample.why)
  try {
    const found = await target.ask({ ...questions, text: sample.text })
    return told(shortened(found), 'read with the login of the connection')
  } catch (error) {
    return unknown(whyOf(error))
  }
}

function shortened({ columns, rows }: Rows): SampleRows {
  const cut = (value: string | null): string | null =>
    value === null || value.length <= valueCharsShown
      ? value
      : `${value.slice(0, valueCharsShown).toWellFormed()}…`
  const more = columns.length > columnsShown ? ['…'] : []
  return {
    columns: [...columns.slice(0, columnsShown), ...more],
    rows: rows.map((row) => [...row.slice(0, columnsShown).map(cut), ...more]),
  }
}

function notAsked(why: string): Pick<Preview, 'estimate' | 'tables' | 'sample'> {
  return { estimate: unknown(why), tables: unknown(why), sample: unknown(why) }
}

function asUnknown(error: unknown): { readonly known: false; readonly why: string } {
  return unknown(whyOf(error))
}

function whyOf(error: unknown): string {
  return `the target said: ${error instanceof Error ? error.message : String(error)}`
}

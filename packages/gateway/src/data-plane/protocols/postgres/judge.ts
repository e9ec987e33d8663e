import {
  sameDemands,
  type Command,
  type CommandId,
  type Chain,
  type InferenceMode,
  type Refusal,
  type Verdict,
} from '@sallyport/core'
import type { HoldDesk } from '../../approvals/hold-desk.ts'
import type { Needs, Purse } from '../../agents/purse.ts'
import type { StoredEntry } from '../../journal/stored-entry.ts'
import type { SessionJournal } from '../../journal/session-journal.ts'
import type { Decider } from '../../pipeline/decide.ts'
import { FactRecorder } from '../../pipeline/fact-recorder.ts'
import { pooledId } from '../../random-pool.ts'
import { budgetRefusal } from './budget-refusal.ts'
import type { HeldCatalog } from './catalogs.ts'
import type { CatalogView, Classified } from './classify/classified.ts'
import type { SqlClassifier } from './classify/classify-sql.ts'
import { needsWorker } from './classify/text-limits.ts'
import type { SessionGuard } from './guard/session-guard.ts'
import { HoldStage, wasApproved } from './hold-stage.ts'
import { LineageJudge } from './lineage/lineage-judge.ts'
import type { LookupMeter } from './lineage/lookup-meter.ts'
import type { MaskedDatabases } from './lineage/masked-database.ts'
import { nothingSettled, UnsettledNames } from './lineage/unsettled-names.ts'
import type { Names } from './names.ts'
import { SessionQuestions } from './preview/session-questions.ts'
import { meaningOf, SessionMeaning } from './session-meaning.ts'
import { SessionView } from './session-view.ts'
import { UnitClassifier } from './unit-classifier.ts'
import { isExecution, portalOf, type Unit } from './unit.ts'

export interface JudgeDeps {
  readonly classifier: SqlClassifier
  readonly catalog: HeldCatalog
  readonly decider: Decider
  readonly journal: SessionJournal
  readonly names: Names
  readonly purse: Purse
  readonly desk: HoldDesk
  readonly trustedFunctions: ReadonlySet<string>
  readonly databases: MaskedDatabases
  readonly lookups: LookupMeter
  readonly connection: string
  /** Settings of the session's start, `name=value`, that change what a text means. */
  readonly startup: readonly string[]
  /** Set where the target enforces masks. */
  readonly guard: SessionGuard | undefined
  transactionStatus(): 'I' | 'T' | 'E'
}

/** What the statements of a text take of budgets, each for itself: else one text would be as many commands as it likes. */
function needsOf({ statements }: Classified, isRead: boolean): Needs {
  const writes = isRead ? 0 : statements.filter(({ effects }) => effects.class !== 'read').length
  return [
    ['commands', Math.max(1, statements.length)],
    ['writes', isRead ? 0 : Math.max(1, writes)],
  ]
}

function blocked(verdict: Verdict, reason: Refusal): Verdict {
  const { id, rules, policyVersion, askedAtMs } = verdict
  const asked = askedAtMs === undefined ? {} : { askedAtMs }
  return { effect: 'block', id, rules, policyVersion, reason, ...asked }
}

/** The stages of the pipeline that a PostgreSQL session fills in: what is asked, may it run, and is it on record. */
export class Judge {
  /** In which a command waits for an approval. */
  readonly holding: HoldStage
  readonly #deps: JudgeDeps
  readonly #view: SessionView
  readonly #units: UnitClassifier
  readonly #lineage: LineageJudge
  readonly #facts: FactRecorder
  readonly #unsettled = new UnsettledNames()
  readonly #meaning: SessionMeaning
  /** What has left: a text may mean here by now what it means nowhere else. */
  readonly #left: SessionMeaning
  #newestText: { readonly text: string; readonly bytes: Buffer } | undefined

  constructor(deps: JudgeDeps, isPathKnown: boolean) {
    const { classifier, catalog, decider, journal, names, trustedFunctions, guard } = deps
    this.#deps = deps
    this.#facts = new FactRecorder(journal, decider.about)
    this.#meaning = new SessionMeaning(journal.id, deps.startup)
    this.#left = new SessionMeaning(journal.id, [])
    const view = new SessionView(catalog, trustedFunctions, isPathKnown)
    this.#view = view
    this.#units = new UnitClassifier({ classifier, catalog, names, view })
    this.#lineage = new LineageJudge({
      databases: deps.databases,
      names,
      connection: deps.connection,
      lookups: deps.lookups,
      inference: () => inferenceOf(decider.chain),
      catalog: () => catalog.current,
      callText: (oid) => this.#units.callText(oid),
      session: () => ({
        isPathKnown: view.isPathKnown,
        trustedFunctions,
        unsettled: catalog.isOutdated
          ? nothingSettled
          : this.#unsettled.current((change) => catalog.shows(change)),
      }),
    })
    const questions = new SessionQuestions({
      classifier,
      decider,
      view,
      lineage: this.#lineage,
      isGuarded: guard !== undefined,
      catalog,
      startup: deps.startup,
      left: this.#left,
    })
    this.holding = new HoldStage({
      desk: deps.desk,
      journal,
      catalog,
      session: {
        settings: () => this.#meaning.settings,
        meaningOf: (unit, effects) => meaningOf(unit, effects, view.now(), catalog.current),
        questions: (unit, command) => questions.about(unit, command),
        classify: (unit) => this.classify(unit),
        judge: (unit, command) => this.#judge(unit, command),
        standing: () => decider.standing(),
        isConnectionTheSame: () => decider.isConnectionTheSame(),
        leaves: (unit) => this.#noteLeft(unit),
      },
    })
  }

  /** What a command of this text may take of budgets at most: what an EXECUTE in it does is known later. */
  needs(text: string): Needs {
    const classified = this.#units.read(text)
    return needsOf(classified, classified.effects.class === 'read')
  }

  /** Whether a text may meet columns that some rule masks: what they are must be known as of now. */
  meetsMasks(text: string): boolean {
    const { decider, guard } = this.#deps
    // What a name stands for is asked by another text than its own.
    if (guard !== undefined) return false
    const masks = decider.columnMasks()
    return masks.length > 0 && (text === '' || this.#lineage.meets(this.#units.read(text), masks))
  }

  /**
   * Whether a text is judged otherwise once it is known how definitions before it ended. What begins a transaction is one of
   * them: inside of it the catalog is not read again.
   */
  waitsForDefinitions(text: string): boolean {
    if (!this.#unsettled.isPending) return false
    if (needsWorker(text)) return true
    const { statements } = this.#units.read(text)
    return statements.some(({ kind }) => kind === 'begin') || this.meetsMasks(text)
  }

  /** Executions of a prepared statement share their text. */
  #bytesOf(text: string): Buffer {
    if (this.#newestText?.text !== text) this.#newestText = { text, bytes: Buffer.from(text) }
    return this.#newestText.bytes
  }

  /** The catalog as this session sees it now. */
  view(): CatalogView {
    return this.#view.now()
  }

  classify(unit: Unit): Command {
    const classified = this.#units.classify(unit)
    const { guard } = this.#deps
    unit.classified = classified
    unit.renamed = guard?.rename(unit)
    unit.generation = this.view().generation
    for (const { makesFunctions } of classified.statements) this.#view.noteMade(makesFunctions)
    this.#meaning.note(classified)
    return {
      id: pooledId<CommandId>('c'),
      effects: guard?.withLookups(classified.effects) ?? classified.effects,
      text: unit.text,
      bytes: unit.frames.end - unit.frames.start,
      inTransaction: this.#deps.transactionStatus() !== 'I',
    }
  }

  decide(unit: Unit, command: Command): Verdict {
    const verdict = this.#judge(unit, command)
    if (verdict.effect === 'block' || unit.kind === 'parse') return verdict
    if (verdict.effect === 'allow') this.#noteLeft(unit)
    if (unit.classified !== undefined) this.#unsettled.note(unit.classified, unit.slot.batch)
    const { purse } = this.#deps
    if (!purse.countsCommands || unit.classified === undefined) return verdict
    const spent = purse.take(needsOf(unit.classified, command.effects.class === 'read'))
    if (spent === undefined) return verdict
    return blocked(verdict, budgetRefusal(spent))
  }

  /** No transaction is open after this batch. */
  settled(batch: number): void {
    this.#unsettled.settle(batch, () => this.#deps.catalog.markStale())
  }

  #judge(unit: Unit, command: Command): Verdict {
    const asked = this.#verdictOf(command)
    unit.decidedFor = this.#deps.decider.chain
    if (asked.effect === 'block') return asked
    // What is prepared or bound does nothing yet, and what goes on was asked for: whoever has to be asked is asked when it runs.
    const asksNobody = !isExecution(unit) || wasApproved(unit, asked)
    const verdict: typeof asked = asksNobody ? { ...asked, effect: 'allow' } : asked
    const refusal = this.#lineage.judge(unit, verdict)
    return refusal === undefined ? verdict : blocked(verdict, refusal)
  }

  #verdictOf(command: Command): Verdict {
    const verdict = this.#deps.decider.decide(command)
    return this.#deps.guard?.settle(verdict) ?? verdict
  }

  recheck(unit: Unit, command: Command): Refusal | undefined {
    const { decider } = this.#deps
    const standing = decider.standing()
    if (standing !== undefined || decider.chain === unit.decidedFor) return standing
    const verdict = this.#verdictOf(command)
    if (verdict.effect === 'allow') return undefined
    if (verdict.effect === 'block') return verdict.reason
    const approvedFor = unit.approvedFor ?? portalOf(unit)?.approvedFor ?? []
    const asksNobody = !isExecution(unit) || sameDemands(verdict.demands, approvedFor)
    return asksNobody ? undefined : verdict.reason
  }

  recordVerdict(unit: Unit, command: Command, verdict: Verdict): Promise<StoredEntry> {
    const { effects } = command
    // A Parse never executes, and a refused command never leaves: neither has to wait for the disk.
    const isRead = effects.class === 'read' || unit.kind === 'parse' || verdict.effect === 'block'
    const { journal, decider } = this.#deps
    const stored = journal.command(
      {
        id: command.id,
        decision: verdict.id,
        effect: verdict.effect,
        rules: verdict.rules,
        class: effects.class,
        verb: effects.verb,
        objects: effects.objects,
        text: this.#bytesOf(command.text),
        parameters: unit.parameters,
        formats: unit.formats,
        policyVersion: verdict.policyVersion,
        unit: unit.kind,
        facts: this.#facts.factsOf(command, decider.chain, verdict.askedAtMs),
      },
      isRead ? 'read' : 'write',
    )
    const text = unit.followed?.explained ?? ''
    if (text !== '' && !journal.closed)
      journal.note({ kind: 'lineage', seq: journal.counts().commands, text })
    return stored
  }

  #noteLeft({ classified }: Unit): void {
    if (classified !== undefined) this.#left.note(classified)
  }
}

/** A person who looks for a row is noted; what acts by itself could guess value by value. */
function inferenceOf({ root, agents }: Chain): InferenceMode {
  return root.kind === 'human' && agents.length === 1 ? 'observe' : 'block'
}

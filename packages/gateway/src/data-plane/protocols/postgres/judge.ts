import { isDeepStrictEqual } from 'node:util'
import {
  makeId,
  sameDemands,
  SallyportError,
  type ApprovalId,
  type Command,
  type CommandId,
  type Chain,
  type Effects,
  type InferenceMode,
  type Refusal,
  type RuleDemand,
  type Verdict,
} from '@sallyport/core'
import type { TargetQuestions } from '../../../boundary/approvals.ts'
import type { HoldDesk } from '../../approvals/hold-desk.ts'
import type { Needs, Purse } from '../../agents/purse.ts'
import type { StoredEntry } from '../../journal/stored-entry.ts'
import type { SessionJournal } from '../../journal/session-journal.ts'
import type { Decider } from '../../pipeline/decide.ts'
import type { Leave } from '../../pipeline/run-command.ts'
import { FactRecorder } from '../../pipeline/fact-recorder.ts'
import { pooledRandom } from '../../random-pool.ts'
import { budgetRefusal } from './budget-refusal.ts'
import { isExecution, portalOf, type Unit } from './unit.ts'
import type { SessionGuard } from './guard/session-guard.ts'
import type { HeldCatalog } from './catalogs.ts'
import type { SqlClassifier } from './classify/classify-sql.ts'
import { LineageJudge } from './lineage/lineage-judge.ts'
import type { LookupMeter } from './lineage/lookup-meter.ts'
import type { MaskedDatabases } from './lineage/masked-database.ts'
import { nothingSettled, UnsettledNames } from './lineage/unsettled-names.ts'
import { mergeEffects } from './classify/merge-effects.ts'
import { opaqueClassified } from './classify/resolve-draft.ts'
import { needsWorker } from './classify/text-limits.ts'
import {
  addMade,
  emptyCatalog,
  withFunctions,
  type CatalogView,
  type Classified,
  type MadeFunctions,
  type StatementInfo,
} from './classify/classified.ts'
import type { MadeFunction } from './classify/stored-code.ts'
import type { Names, Statement } from './names.ts'
import { questionsOf } from './preview/held-questions.ts'
import { meaningOf, SessionMeaning, textOf } from './session-meaning.ts'

/** A command that waits for an approval. */
export interface HeldUnit {
  readonly unit: Unit
  readonly command: Command
  readonly entry: StoredEntry
  readonly verdict: Extract<Verdict, { effect: 'approve' }>
}

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

/** Far above what a restore makes; each name takes some hundred bytes. */
const functionsMadeMax = 100_000

/** Definitions beyond this are not kept, and a call of what they define is unknown: a session must not hoard memory. */
const madeCharactersMax = 4 * 1024 * 1024

/** Views with a session's own functions are numbered downwards, so that they share no number with a catalog's. */
let viewsMade = 0

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
  readonly #deps: JudgeDeps
  readonly #lineage: LineageJudge
  readonly #facts: FactRecorder
  readonly #unsettled = new UnsettledNames()
  /** Once a session has touched its search path, an unqualified name stands for all that bear it. */
  #isPathKnown = true
  readonly #meaning: SessionMeaning
  /** A command waits for an approval, or runs by one and has not left; and why it is not to run any more. */
  #isHolding = false
  #withdrawnFor: string | undefined
  /** What has left: a text may mean here by now what it means nowhere else. */
  readonly #left: SessionMeaning
  readonly #made: MadeFunctions = new Map()
  #madeCount = 0
  #madeCharacters = 0
  #madeView: { readonly over: number; readonly generation: number } | undefined

  constructor(deps: JudgeDeps, isPathKnown: boolean) {
    this.#deps = deps
    this.#facts = new FactRecorder(deps.journal, deps.decider.about)
    this.#isPathKnown = isPathKnown
    this.#meaning = new SessionMeaning(deps.journal.id, deps.startup)
    this.#left = new SessionMeaning(deps.journal.id, [])
    this.#lineage = new LineageJudge({
      databases: deps.databases,
      names: deps.names,
      connection: deps.connection,
      lookups: deps.lookups,
      inference: () => inferenceOf(deps.decider.chain),
      catalog: () => deps.catalog.current,
      callText: (oid) => this.#callText(oid),
      session: () => ({
        isPathKnown: this.#isPathKnown,
        trustedFunctions: deps.trustedFunctions,
        unsettled: deps.catalog.isOutdated
          ? nothingSettled
          : this.#unsettled.current((change) => deps.catalog.shows(change)),
      }),
    })
  }

  /** What a command of this text may take of budgets at most: what an EXECUTE in it does is known later. */
  needs(text: string): Needs {
    const classified = this.#deps.classifier.classify(text, this.view())
    return needsOf(classified, classified.effects.class === 'read')
  }

  /** Whether a text may meet columns that some rule masks: what they are must be known as of now. */
  meetsMasks(text: string): boolean {
    const { decider, classifier, guard } = this.#deps
    // What a name stands for is asked by another text than its own.
    if (guard !== undefined) return false
    const masks = decider.columnMasks()
    return (
      masks.length > 0 &&
      (text === '' || this.#lineage.meets(classifier.classify(text, this.view()), masks))
    )
  }

  /**
   * Whether a text is judged otherwise once it is known how definitions before it ended. What begins a transaction is one of
   * them: inside of it the catalog is not read again.
   */
  waitsForDefinitions(text: string): boolean {
    if (!this.#unsettled.isPending) return false
    if (needsWorker(text)) return true
    const { statements } = this.#deps.classifier.classify(text, this.view())
    return statements.some(({ kind }) => kind === 'begin') || this.meetsMasks(text)
  }

  /** The catalog as this session sees it now. */
  view(): CatalogView {
    const view =
      this.#deps.catalog.current?.view(this.#isPathKnown, this.#deps.trustedFunctions) ??
      emptyCatalog
    if (this.#made.size === 0) return view
    if (this.#madeView?.over !== view.generation) {
      viewsMade += 1
      this.#madeView = { over: view.generation, generation: -viewsMade }
    }
    return withFunctions(view, this.#made, this.#madeView.generation)
  }

  classify(unit: Unit): Command {
    const classified = this.#classified(unit)
    const { guard } = this.#deps
    unit.classified = classified
    unit.renamed = guard?.rename(unit)
    unit.generation = this.view().generation
    for (const { makesFunctions } of classified.statements) this.#noteFunctions(makesFunctions)
    this.#meaning.note(classified)
    return {
      id: makeId<CommandId>('c', pooledRandom),
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
        text: Buffer.from(command.text),
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

  /**
   * Waits for a yes. All may have changed by then, so the command is judged again: what was approved is what runs, under the
   * rules of now. `ready` resolves once it can be classified anew; false where its session has ended.
   */
  async hold(held: HeldUnit, ready: () => Promise<boolean>): Promise<Leave | Refusal> {
    if (this.#deps.journal.closed) return held.verdict.reason
    this.#isHolding = true
    this.#withdrawnFor = undefined
    try {
      return await this.#askUntilSettled(held, ready)
    } finally {
      this.#isHolding = false
    }
  }

  async #askUntilSettled(
    { unit, entry, ...held }: HeldUnit,
    ready: () => Promise<boolean>,
  ): Promise<Leave | Refusal> {
    const { desk, decider } = this.#deps
    // Of a statement that was prepared in SQL a Bind has no text of its own.
    const [text = held.command.text] = unit.text === '' ? unit.standsFor : []
    const command = { ...held.command, text }
    let { verdict } = held
    const untilMs = desk.untilMs({ command, verdict })
    for (;;) {
      const standing = decider.standing()
      if (standing !== undefined) return standing
      const { parameters, formats } = unit
      const { settings } = this.#meaning
      const meaning = this.#meaningOf(unit, command.effects)
      const questions = this.#questions(unit, command)
      const bound = { settings, meaning, questions, untilMs }
      const asked = { command, entry, verdict, parameters, formats, ...bound }
      const answer = await desk.ask(asked)
      if ('code' in answer) return answer
      const isReady = await this.#looksAgain(command, ready).catch((error: unknown) => {
        desk.inVain(asked, answer, 'what it does could not be looked up again')
        throw error
      })
      if (!isReady) return verdict.reason
      const again = this.classify(unit)
      const isSame = isDeepStrictEqual(this.#meaningOf(unit, again.effects), meaning)
      const judged = isSame ? this.#judge(unit, { ...again, id: command.id }) : undefined
      if (judged === undefined || judged.effect === 'block') {
        const reason = judged?.reason ?? otherEffect(verdict)
        desk.inVain(asked, answer, reason.message)
        return reason
      }
      const { approval } = answer
      if (this.#withdrawnFor !== undefined) {
        desk.inVain(asked, answer, this.#withdrawnFor)
        return withdrawnLate(approval, this.#withdrawnFor)
      }
      if (judged.effect === 'allow' || sameDemands(judged.demands, verdict.demands)) {
        const stored = await desk.goOn(asked, answer)
        if (this.#withdrawnFor !== undefined) return withdrawnLate(approval, this.#withdrawnFor)
        this.#noteLeft(unit)
        noteApproved(unit, verdict.demands)
        return { entry: stored, verdict: { ...judged, effect: 'allow' } }
      }
      desk.inVain(asked, answer, 'other approvals are asked for since')
      verdict = judged
    }
  }

  /** A command that waits for an approval, or has one and has not left, is not to run any more. False where there is none. */
  withdraw(why: string): boolean {
    if (!this.#isHolding) return false
    this.#withdrawnFor ??= why
    this.#deps.desk.withdraw(why)
    return true
  }

  /** Somebody has said yes, and the command is not to run in spite of it. */
  get isGivenUp(): boolean {
    return this.#withdrawnFor !== undefined
  }

  /** Whatever was known of the target is minutes old. */
  async #looksAgain({ inTransaction }: Command, ready: () => Promise<boolean>): Promise<boolean> {
    const { catalog } = this.#deps
    if (inTransaction) {
      // A transaction's own locks may stand in the way of reading all, so that this is done only where somebody has changed something.
      await catalog.look()
      if (catalog.isOutdated) await catalog.load()
    } else catalog.markStale()
    return await ready()
  }

  #meaningOf(unit: Unit, effects: Effects): readonly string[] {
    return meaningOf(unit, effects, this.view(), this.#deps.catalog.current)
  }

  #noteLeft({ classified }: Unit): void {
    if (classified !== undefined) this.#left.note(classified)
  }

  #questions(unit: Unit, { text, effects }: Command): TargetQuestions {
    const { classifier, guard } = this.#deps
    const catalog = this.view()
    return questionsOf({
      text,
      effects,
      parameters: unit.parameters,
      formats: unit.formats,
      parameterTypes: unit.statement?.parameterTypes ?? [],
      catalog,
      strange: this.#strangeness(guard !== undefined),
      parse: (each) => classifier.parse(each),
      classify: (each) => classifier.classify(each, catalog),
      readRefusal: (each, classified) => this.#readRefusal(each, classified),
    })
  }

  /** Why another session of the same login may understand a text of this one differently. */
  #strangeness(isGuarded: boolean): string | undefined {
    if (isGuarded) return 'the target masks for this session by a role of its own'
    if (!this.#isPathKnown) return 'the search path of the session is not known'
    const isChanged = this.#left.settings.length > 0
    return isChanged ? 'the session may have changed its settings, or made objects' : undefined
  }

  /** Nobody shows of the agent's rows what it could not read itself. */
  #readRefusal(text: string, classified: Classified): string | undefined {
    const { effects } = classified
    const id = makeId<CommandId>('c', pooledRandom)
    const read = { id, effects, text, bytes: text.length, inTransaction: false }
    const verdict = this.#deps.decider.decide(read)
    if (verdict.effect !== 'allow') return 'the agent itself may not read these rows'
    const { masks } = verdict
    const isMasked =
      masks.some(({ detect }) => detect.length > 0) ||
      !this.#lineage.isClear(text, classified, masks)
    return isMasked ? 'the agent reads these rows masked, and a preview does not mask' : undefined
  }

  /** Inside its transaction the target calls a function that no catalog of ours can show. */
  #noteFunctions(functions: readonly MadeFunction[]): void {
    if (functions.length === 0) return
    for (const { name, definition = '' } of functions) {
      this.#madeCharacters += definition.length
      const isKept = definition !== '' && this.#madeCharacters <= madeCharactersMax
      addMade(this.#made, isKept ? { name, definition } : { name })
    }
    this.#madeCount += functions.length
    this.#madeView = undefined
    if (this.#madeCount <= functionsMadeMax) return
    throw new SallyportError('SP_LIMIT', 'too many functions made in one session', {
      detail: `The limit is ${functionsMadeMax} functions made in one session.`,
    })
  }

  #classified(unit: Unit): Classified {
    unit.standsFor = []
    if (unit.kind === 'function') return this.#functionCall(unit.oid ?? 0)
    if (unit.statement?.prepared !== undefined) {
      unit.standsFor = [textOf(unit.statement)]
      return this.#prepared(unit.statement) ?? opaqueClassified(['unknown-statement'], false)
    }
    const { classifier } = this.#deps
    const classified = classifier.classify(unit.text, this.view())
    if (!classified.statements.some((statement) => statement.changesSearchPath)) {
      return this.#withNames(classified, unit)
    }
    // What was prepared under the older path is read anew where it is executed, by the target and so here.
    this.#isPathKnown = false
    return this.#withNames(classifier.classify(unit.text, this.view()), unit)
  }

  /** A function call names a function by its oid: it is judged as a SELECT that calls it. */
  #functionCall(oid: number): Classified {
    const text = this.#callText(oid)
    if (text === undefined) return opaqueClassified(['unknown-function'], false)
    return this.#deps.classifier.classify(text, this.view())
  }

  #callText(oid: number): string | undefined {
    const name = this.#deps.catalog.current?.functionName(oid)
    const quoted = name?.map((part) => `"${part.replaceAll('"', '""')}"`).join('.')
    return quoted === undefined ? undefined : `SELECT ${quoted}()`
  }

  /** EXECUTE does what was prepared, FETCH reads what was declared. A name that was not seen may stand for anything. */
  #withNames(classified: Classified, unit: Unit): Classified {
    if (!classified.statements.some((info) => info.kind === 'execute' || info.kind === 'fetch')) {
      return classified
    }
    const inText = new Map<string, Classified>()
    const effects: Effects[] = []
    for (const info of classified.statements) {
      if (info.prepared !== undefined && info.name !== undefined) {
        inText.set(`${info.kind} ${info.name}`, info.prepared)
      }
      effects.push(this.#effectsOf(info, inText, unit))
    }
    return { ...classified, effects: mergeEffects(effects) }
  }

  #effectsOf(info: StatementInfo, inText: Map<string, Classified>, unit: Unit): Effects {
    if (info.kind !== 'execute' && info.kind !== 'fetch') return info.effects
    const isExecute = info.kind === 'execute'
    const name = info.name ?? ''
    const own = inText.get(`${isExecute ? 'prepare' : 'declare'} ${name}`)
    const meaning = own ?? this.#namedStatement(isExecute, name, unit)
    if (meaning === undefined) {
      return opaqueClassified([isExecute ? 'unknown-statement' : 'unknown-cursor'], false).effects
    }
    const more = info.argumentEffects
    return more === undefined ? meaning.effects : mergeEffects([meaning.effects, more])
  }

  #namedStatement(isExecute: boolean, name: string, unit: Unit): Classified | undefined {
    const { statements, portals } = this.#deps.names
    const { batch } = unit.slot
    const found = isExecute ? statements.lookUp(batch, name) : portals.lookUp(batch, name)
    if (found === undefined || found === 'wait') return undefined
    const statement = 'statement' in found ? found.statement : found
    unit.standsFor = [...unit.standsFor, textOf(statement)]
    return this.#prepared(statement)
  }

  /** What a prepared statement does now: a target reads its names anew when they may mean something else. */
  #prepared({ text, prepared, source }: Statement): Classified | undefined {
    const { classifier } = this.#deps
    const view = this.view()
    if (prepared === undefined) return classifier.classify(text, view)
    if (source === undefined || source.generation === view.generation) return prepared
    return classifier.classify(source.text, view).statements[source.statementIndex]?.prepared
  }
}

/** Whether the unit continues a portal whose execution was approved: for the same demands. */
function wasApproved(unit: Unit, verdict: Verdict): boolean {
  const approved = portalOf(unit)?.approvedFor
  if (approved === undefined || verdict.effect !== 'approve') return false
  return sameDemands(verdict.demands, approved)
}

function noteApproved(unit: Unit, demands: readonly RuleDemand[]): void {
  unit.approvedFor = demands
  const portal = portalOf(unit)
  if (portal !== undefined) portal.approvedFor = demands
}

function withdrawnLate(approval: ApprovalId, why: string): Refusal {
  return {
    code: 'SP_APPROVAL_WITHDRAWN',
    message: `the request for approval ${approval} was withdrawn: ${why}`,
    detail: 'Not executed.',
    hint: `Approval ${approval}. (SP_APPROVAL_WITHDRAWN)`,
  }
}

function otherEffect(verdict: Verdict): Refusal {
  return {
    code: 'SP_APPROVAL_WITHDRAWN',
    message: 'what the command does has changed since its approval was asked for',
    detail: 'Not executed.',
    hint: `Run it again. Decision ${verdict.id}. (SP_APPROVAL_WITHDRAWN)`,
  }
}

/** A person who looks for a row is noted; what acts by itself could guess value by value. */
function inferenceOf({ root, agents }: Chain): InferenceMode {
  return root.kind === 'human' && agents.length === 1 ? 'observe' : 'block'
}

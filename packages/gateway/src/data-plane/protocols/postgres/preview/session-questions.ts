import { type Command, type CommandId } from '@sallyport/core'
import type { TargetQuestions } from '../../../../boundary/approvals.ts'
import type { Decider } from '../../../pipeline/decide.ts'
import { pooledId } from '../../../random-pool.ts'
import type { Classified } from '../classify/classified.ts'
import type { SqlClassifier } from '../classify/classify-sql.ts'
import type { LineageJudge } from '../lineage/lineage-judge.ts'
import type { HeldCatalog } from '../catalogs.ts'
import { behindOf, type SessionMeaning } from '../session-meaning.ts'
import type { SessionView } from '../session-view.ts'
import type { Unit } from '../unit.ts'
import { questionsOf } from './held-questions.ts'

export interface SessionQuestionsDeps {
  readonly classifier: SqlClassifier
  readonly decider: Pick<Decider, 'decide'>
  readonly lineage: Pick<LineageJudge, 'isClear'>
  readonly view: SessionView
  readonly isGuarded: boolean
  readonly catalog: Pick<HeldCatalog, 'current'>
  /** Settings of the session's start, `name=value`. */
  readonly startup: readonly string[]
  /** What of the session has left for its target. */
  readonly left: SessionMeaning
}

/** What another session of the target's login may be asked about a command of this one. */
export class SessionQuestions {
  readonly #deps: SessionQuestionsDeps

  constructor(deps: SessionQuestionsDeps) {
    this.#deps = deps
  }

  about(unit: Unit, { text, effects }: Command): TargetQuestions {
    const { classifier } = this.#deps
    const catalog = this.#deps.view.now()
    return questionsOf({
      text,
      effects,
      parameters: unit.parameters,
      formats: unit.formats,
      parameterTypes: unit.statement?.parameterTypes ?? [],
      catalog,
      behind: behindOf(effects, catalog, this.#deps.catalog.current),
      settings: this.#deps.startup,
      strange: this.#strangeness(),
      parse: (each) => classifier.parse(each),
      words: (each) => classifier.words(each),
      classify: (each) => classifier.classify(each, catalog),
      readRefusal: (each, classified) => this.#readRefusal(each, classified),
    })
  }

  /** Why another session of the same login may understand a text of this one differently. */
  #strangeness(): string | undefined {
    const { isGuarded, view, left } = this.#deps
    if (isGuarded) return 'the target masks for this session by a role of its own'
    if (!view.isPathKnown) return 'the search path of the session is not known'
    const isChanged = left.settings.length > 0
    return isChanged ? 'the session may have changed its settings, or made objects' : undefined
  }

  /** Nobody shows of the agent's rows what it could not read itself. */
  #readRefusal(text: string, classified: Classified): string | undefined {
    const { effects } = classified
    const id = pooledId<CommandId>('c')
    const read = { id, effects, text, bytes: text.length, inTransaction: false }
    const verdict = this.#deps.decider.decide(read)
    if (verdict.effect !== 'allow') return 'the agent itself may not read these rows'
    const { masks } = verdict
    const isMasked =
      masks.some(({ detect }) => detect.length > 0) ||
      !this.#deps.lineage.isClear(text, classified, masks)
    return isMasked ? 'the agent reads these rows masked, and a preview does not mask' : undefined
  }
}

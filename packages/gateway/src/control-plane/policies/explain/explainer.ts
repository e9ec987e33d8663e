import {
  FactsReader,
  SallyportError,
  type AgentId,
  type CommandEntry,
  type CommandId,
  type CompiledPolicies,
  type DecisionId,
  type ErrorCode,
  type RecordedSource,
} from '@sallyport/core'
import type { TrialRequest, TrialResult } from '../../../boundary/trial.ts'
import type { Store } from '../../ports/store.ts'
import type { RecordingSources } from '../../recordings/recordings.ts'
import type { PolicyVersions } from '../policy-versions.ts'
import { recordedCommands } from '../recorded-commands.ts'
import { compiledAgain, explainRules } from './explained-rules.ts'
import { placeOfDecision, readDecision, type RecordedDecision } from './recorded-decision.ts'
import type { Explanation, RecordedCommand, ExplainedRules } from '../../contract/policies.ts'

export interface ExplainerOptions {
  readonly store: Store
  readonly versions: PolicyVersions
  readonly recorded: RecordingSources
  /** Brings what was just recorded into the index. */
  readonly settle: () => Promise<void>
  readonly wholeSession: (prefix: string) => Promise<string>
  readonly tryCommand: (request: TrialRequest) => Promise<TrialResult>
  readonly findAgent: (prefix: string) => AgentId | undefined
}

/** A few versions are asked about at a time. */
const compiledMax = 8

/** Explains decisions by the facts and the policies of then. What was not recorded is said so, and never guessed. */
export class Explainer {
  readonly #options: ExplainerOptions
  readonly #compiled = new Map<number, CompiledPolicies>()

  constructor(options: ExplainerOptions) {
    this.#options = options
  }

  /** By the id of a decision, the beginning of it, or `session#number`. */
  async decision(what: string): Promise<Explanation> {
    const [name = '', number] = what.toLowerCase().split('#')
    const found =
      number === undefined ? await this.#byId(name) : await this.#byNumber(name, Number(number))
    if (found === undefined) {
      const hint = 'there is no recorded decision of that name; by session: SESSION#NUMBER'
      throw new SallyportError('SP_NOT_FOUND', `${what}: ${hint}`)
    }
    return await this.#explain(found)
  }

  /** The recorded commands of a session or of one decision, with what the rules of then say. */
  async *commands(what: string): AsyncGenerator<RecordedCommand> {
    const { recorded, wholeSession } = this.#options
    const name = what.toLowerCase()
    const place = name.startsWith('d_') ? await this.#place(name) : undefined
    if (name.startsWith('d_') && place === undefined)
      throw new SallyportError('SP_NOT_FOUND', `there is no recorded decision ${what}`)
    const session = place?.session ?? (await wholeSession(name))
    yield* recordedCommands(recorded, session, place?.decision, async (version, source) => {
      const result = await this.#rules(version, source)
      return 'explained' in result ? result.explained : undefined
    })
  }

  /** A command that nobody sends, as an agent would send it now. */
  async trial(request: {
    readonly connection: string
    readonly agent: string
    readonly level: number
    readonly text: string
  }): Promise<Explanation> {
    const agent = this.#options.findAgent(request.agent)
    if (agent === undefined)
      throw new SallyportError('SP_NOT_FOUND', `there is no agent ${request.agent}`)
    const tried = await this.#options.tryCommand({ ...request, agent })
    if (tried.kind === 'failed') throw new SallyportError(tried.code as ErrorCode, tried.message)
    const source = sourceOf(tried, request.text)
    const { policyVersion, grants, refusal, maskRefusal, lineage } = tried
    const explained = await this.#rules(policyVersion, source)
    const asked = 'explained' in explained ? explained.explained : undefined
    const message = refusal ?? (asked?.effect === 'allow' ? maskRefusal : undefined)
    return {
      effect: message === undefined ? (asked?.effect ?? 'block') : 'block',
      rules: asked?.rules ?? [],
      policyVersion,
      connection: request.connection,
      chain: source.chain.agents.map(({ name }) => name),
      level: request.level,
      class: tried.class,
      text: request.text,
      grants,
      ...(message === undefined ? {} : { refused: { code: 'not sent', message } }),
      ...explained,
      lineage,
      masked: [],
    }
  }

  async #byId(prefix: string): Promise<RecordedDecision | undefined> {
    const place = await this.#place(prefix)
    if (place === undefined) return undefined
    const { session, decision } = place
    const { recorded } = this.#options
    return await readDecision(recorded, session, (command) => command.decision === decision)
  }

  async #place(prefix: string): Promise<{ session: string; decision: string } | undefined> {
    const { store, settle } = this.#options
    let place = await placeOfDecision(store, prefix)
    if (place === undefined) {
      await settle()
      place = await placeOfDecision(store, prefix)
    }
    if (place !== 'many') return place
    const detail = `"${prefix}" is the start of several decisions. Give more of it.`
    throw new SallyportError('SP_CONFIG_INVALID', detail, { detail })
  }

  async #byNumber(prefix: string, number: number): Promise<RecordedDecision | undefined> {
    const session = await this.#options.wholeSession(prefix)
    return await readDecision(this.#options.recorded, session, ({ seq }) => seq === number)
  }

  async #explain(recorded: RecordedDecision): Promise<Explanation> {
    const { command, opened, source, refused, lineage, masked } = recorded
    const explained = await this.#ofRecorded(command, source)
    return {
      decision: command.decision,
      session: recorded.session,
      seq: command.seq,
      at: new Date(recorded.atMs).toISOString(),
      effect: command.effect,
      rules: command.rules,
      policyVersion: command.policyVersion,
      connection: opened.connection,
      chain: opened.chain.map(({ name }) => name),
      level: opened.level,
      class: command.class,
      text: Buffer.from(command.text).toString('utf8'),
      ...(refused === undefined ? {} : { refused }),
      ...explained,
      lineage,
      masked,
    }
  }

  async #ofRecorded(
    command: CommandEntry,
    source: RecordedSource | undefined,
  ): Promise<Pick<Explanation, 'explained' | 'unexplained' | 'differs'>> {
    if (command.facts === undefined)
      return { unexplained: 'facts: not recorded; a gateway of before they were kept decided' }
    if (command.facts.askedAtMs === undefined)
      return { unexplained: 'the rules were not asked: the grant, or the agent itself, refused' }
    if (source === undefined)
      return { unexplained: 'facts: not recorded; the entries that hold them are missing' }
    const result = await this.#rules(command.policyVersion, source)
    if (!('explained' in result)) return result
    const differs = !agree(command, result.explained)
    return differs ? { ...result, differs } : result
  }

  async #rules(
    version: number,
    source: RecordedSource,
  ): Promise<{ readonly explained: ExplainedRules } | { readonly unexplained: string }> {
    const compiled = await this.#version(version)
    if (compiled === undefined)
      return { unexplained: `policy v${version} is not kept, so that its rules are not known` }
    return { explained: explainRules(compiled, source) }
  }

  async #version(version: number): Promise<CompiledPolicies | undefined> {
    const known = this.#compiled.get(version)
    if (known !== undefined) return known
    const kept = await this.#options.versions.find(version)
    if (kept === undefined) return undefined
    const compiled = compiledAgain(kept.policies)
    for (const oldest of this.#compiled.keys()) {
      if (this.#compiled.size < compiledMax) break
      this.#compiled.delete(oldest)
    }
    this.#compiled.set(version, compiled)
    return compiled
  }
}

/** A command that the rules allowed may still have been refused: by its masks, a budget, the guard. Its rules stand with it. */
function agree(command: CommandEntry, { effect, rules }: ExplainedRules): boolean {
  if (command.rules.join() !== rules.join()) return false
  return command.effect === effect || (command.effect === 'block' && effect !== 'block')
}

/** Facts come from a worker as they would stand in a recording. */
function sourceOf(tried: Extract<TrialResult, { kind: 'judged' }>, text: string): RecordedSource {
  const reader = new FactsReader()
  reader.take({ kind: 'facts', number: 1, about: 'session', json: tried.sessionFacts })
  reader.take({ kind: 'facts', number: 2, about: 'effects', json: tried.effectsFacts })
  const { verb, objects, bytes, askedAtMs, policyVersion } = tried
  const source = reader.source({
    kind: 'command',
    id: 'c_trial' as CommandId,
    seq: 1,
    decision: 'd_trial' as DecisionId,
    effect: 'allow',
    rules: [],
    class: tried.class,
    verb,
    objects,
    text: Buffer.from(text),
    parameters: [],
    formats: [],
    policyVersion,
    unit: 'query',
    facts: { session: 1, effects: 2, inTransaction: false, bytes, askedAtMs },
  })
  if (source === undefined) throw new SallyportError('SP_INTERNAL', 'a worker sent no facts')
  return source
}

import {
  clausesIn,
  compilePolicies,
  decideSelected,
  explainClauses,
  factSchema,
  selectRules,
  type Chain,
  type CompiledPolicies,
  type CompiledRule,
  type Facts,
  type PolicyOutcome,
} from '@sallyport/core'
import { celConditions } from '../conditions/cel-conditions.ts'
import type { ConfigProblem } from '../control-plane/policies/config-problem.ts'
import { type PolicyFile, readPolicyFiles } from '../control-plane/policies/load-policy-folder.ts'
import { SqlClassifier } from '../data-plane/protocols/postgres/classify/classify-sql.ts'
import type { PolicyTest } from './policy-test.ts'
import { readPolicyTests } from './read-tests.ts'
import { StandInDatabase } from './stand-in-database.ts'
import { chainOf, factsOf, inferenceOf } from './test-facts.ts'

/** How one test came out. */
export interface TestResult {
  readonly name: string
  readonly file: string
  readonly line: number
  readonly want: string
  readonly got: string
  /** The rules that decided, each with where it stands. */
  readonly rules: readonly { readonly id: string; readonly at: string }[]
  /** What is not as wanted; empty where the test passed. */
  readonly failures: readonly string[]
}

/** What no test has shown of a rule: that it matches and that it does not, and the same for each clause of its condition. */
export interface RuleCoverage {
  readonly id: string
  readonly at: string
  readonly neverMatched: boolean
  readonly alwaysMatched: boolean
  readonly neverTrue: readonly string[]
  readonly neverFalse: readonly string[]
}

export interface TestReport {
  readonly results: readonly TestResult[]
  /** Rules that are wholly covered are left out. */
  readonly uncovered: readonly RuleCoverage[]
  readonly rules: number
  readonly clauses: { readonly covered: number; readonly all: number }
}

export type TestRun =
  | { readonly kind: 'ok'; readonly report: TestReport }
  | { readonly kind: 'refused'; readonly problems: readonly ConfigProblem[] }

/** Runs the PolicyTest documents of files against the policies in them, with the classifier of the gateway. */
export async function runPolicyTests(files: readonly PolicyFile[]): Promise<TestRun> {
  const loaded = readPolicyFiles(files)
  const { tests, problems } = readPolicyTests(files)
  const refused = [...(loaded.kind === 'refused' ? loaded.problems : []), ...problems]
  if (loaded.kind === 'refused' || refused.length > 0) return { kind: 'refused', problems: refused }
  const result = compilePolicies(loaded.policies, celConditions, factSchema)
  if (result.kind === 'refused') throw new Error('conditions that were read do not compile')
  const classifier = await SqlClassifier.create()
  try {
    const run = new Run(result.compiled, classifier)
    const results = tests.map((test) => run.result(test))
    return { kind: 'ok', report: { results, ...run.coverage() } }
  } finally {
    await classifier.close()
  }
}

interface Seen {
  readonly states: Set<string>
  readonly clauses: Map<string, Set<string>>
}

class Run {
  readonly #compiled: CompiledPolicies
  readonly #classifier: SqlClassifier
  readonly #seen = new Map<string, Seen>()

  constructor(compiled: CompiledPolicies, classifier: SqlClassifier) {
    this.#compiled = compiled
    this.#classifier = classifier
  }

  result(test: PolicyTest): TestResult {
    const { given } = test
    const chain = chainOf(given)
    const database = new StandInDatabase(this.#classifier, given.tables, given.trustedFunctions)
    const facts = factsOf(test, chain, database)
    const selected = selectRules(this.#compiled, test.subject, given.connection, chain)
    for (const rule of selected.rules) this.#note(rule, facts)
    const outcome = decideSelected(selected, facts, isUnknown(facts))
    const { effect, masks } = this.#asRun(test, chain, outcome, database)
    const { name, file, line, want } = test
    const rules = outcome.rules.map((id) => ({ id, at: this.#rule(id)?.rule.at ?? '' }))
    const failures = [
      ...(effect === want ? [] : [`want ${want}, got ${effect}`]),
      ...this.#wrongRules(test, outcome),
      ...wrongMasks(test, masks),
    ]
    return { name, file, line, want, got: effect, rules, failures }
  }

  coverage(): Omit<TestReport, 'results'> {
    const rules = this.#compiled.policies.flatMap((policy) => policy.rules)
    const all = rules.map((rule) => coverageOf(rule, this.#seen.get(rule.id)))
    const sides = rules.flatMap((rule) => [...clauseTexts(rule)]).length * 2
    const missing = all.reduce(
      (sum, { neverTrue, neverFalse }) => sum + neverTrue.length + neverFalse.length,
      0,
    )
    return {
      rules: rules.length,
      clauses: { covered: sides - missing, all: sides },
      uncovered: all.filter(
        (one) =>
          one.neverMatched || one.alwaysMatched || one.neverTrue.length + one.neverFalse.length > 0,
      ),
    }
  }

  /** A statement that rules allow may be refused for what its masks can't follow. */
  #asRun(
    { run, given }: PolicyTest,
    chain: Chain,
    outcome: PolicyOutcome,
    database: StandInDatabase,
  ): { readonly effect: PolicyOutcome['effect']; readonly masks: readonly string[] } {
    if (outcome.effect !== 'allow' || run === undefined || given.tables === undefined)
      return { effect: outcome.effect, masks: [] }
    const { refusal, columns } = database.masked(run, outcome.masks, inferenceOf(chain))
    return { effect: refusal === undefined ? 'allow' : 'block', masks: columns }
  }

  #wrongRules({ rules, want }: PolicyTest, outcome: PolicyOutcome): string[] {
    if (rules === undefined) return []
    const decided = outcome.rules.filter((id) => this.#rule(id)?.rule.effect === want)
    const wanted = rules.map((name) => this.#idOf(name))
    if (decided.toSorted().join() === wanted.toSorted().join()) return []
    return [`want the rules ${wanted.join(', ')}, got ${decided.join(', ') || 'none'}`]
  }

  #rule(id: string): CompiledRule | undefined {
    return this.#compiled.policies.flatMap((policy) => policy.rules).find((rule) => rule.id === id)
  }

  #idOf(name: string): string {
    const found = this.#compiled.policies
      .flatMap((policy) => policy.rules)
      .find((rule) => rule.name === name || rule.id === name)
    return found?.id ?? name
  }

  #note(rule: CompiledRule, facts: Facts): void {
    const seen = this.#seen.get(rule.id) ?? { states: new Set(), clauses: new Map() }
    this.#seen.set(rule.id, seen)
    const tree = explainClauses(rule.condition.clauses(), facts)
    seen.states.add(tree.state)
    for (const { text, state } of clausesIn(tree)) {
      seen.clauses.set(text, (seen.clauses.get(text) ?? new Set()).add(state))
    }
  }
}

function isUnknown(facts: Facts): boolean {
  const { op } = facts
  return typeof op === 'object' && op !== null && 'class' in op && op.class === 'unknown'
}

function wrongMasks({ masks, want }: PolicyTest, got: readonly string[]): string[] {
  if (masks === undefined || want !== 'allow') return []
  if (masks.toSorted().join() === got.join()) return []
  return [
    `want the masks ${masks.toSorted().join(', ') || 'none'}, got ${got.join(', ') || 'none'}`,
  ]
}

/** A rule that always matches by what it says has nothing to be shown about its clauses. */
function clauseTexts(rule: CompiledRule): ReadonlySet<string> {
  const clauses = clausesIn(explainClauses(rule.condition.clauses(), {}))
  return new Set(clauses.filter(({ facts }) => facts.length > 0).map(({ text }) => text))
}

function coverageOf(rule: CompiledRule, seen: Seen | undefined): RuleCoverage {
  const texts = [...clauseTexts(rule)]
  const never = (state: string): string[] =>
    texts.filter((text) => seen?.clauses.get(text)?.has(state) !== true)
  return {
    id: rule.id,
    at: rule.rule.at,
    neverMatched: seen?.states.has('true') !== true,
    alwaysMatched: texts.length > 0 && seen?.states.has('false') !== true,
    neverTrue: never('true'),
    neverFalse: never('false'),
  }
}

import {
  compilePolicies,
  decideSelected,
  factSchema,
  selectRules,
  type Policy,
  type PolicyOutcome,
  type RuleConnection,
} from '@sallyport/core'
import { celConditions } from '../conditions/cel-conditions.ts'
import { SqlClassifier } from '../data-plane/protocols/postgres/classify/classify-sql.ts'
import { dangerousCommands, dangerousTables } from './dangerous-commands.ts'
import type { Given, PolicyTest } from './policy-test.ts'
import { StandInDatabase } from './stand-in-database.ts'
import { chainOf, factsOf } from './test-facts.ts'

/** What becomes of one dangerous command on one connection. */
export interface DangerCell {
  readonly connection: string
  /** `person`: at the root. `agent`: below a person. */
  readonly caller: 'person' | 'agent'
  readonly command: string
  readonly run: string
  readonly effect: PolicyOutcome['effect']
  readonly rules: readonly string[]
  /** True where a rule decided because it could not be evaluated: another caller may fare otherwise. */
  readonly unsure: boolean
}

const callers = { person: 0, agent: 1 } as const

/** Asks the policies about every canonical dangerous command, on each connection, for a person and for an agent. Grants are not asked: they only take away. */
export async function dangerMatrix(
  policies: readonly Policy[],
  connections: readonly RuleConnection[],
): Promise<readonly DangerCell[]> {
  const result = compilePolicies(policies, celConditions, factSchema)
  if (result.kind === 'refused') throw new Error('conditions that were read do not compile')
  const classifier = await SqlClassifier.create()
  try {
    const database = new StandInDatabase(classifier, dangerousTables)
    return connections.flatMap((connection) =>
      (['person', 'agent'] as const).flatMap((caller) =>
        dangerousCommands.map(({ name, run }) => {
          const test = testOf(connection, callers[caller], run)
          const chain = chainOf(test.given)
          const selected = selectRules(result.compiled, 'sql', connection, chain)
          const facts = factsOf(test, chain, database)
          const isUnknown = database.command(run, false).effects.class === 'unknown'
          const { effect, rules, errors } = decideSelected(selected, facts, isUnknown)
          const unsure = errors.some(({ rule }) => rules.includes(rule))
          const place = { connection: connection.name, caller, command: name, run }
          return { ...place, effect, rules, unsure }
        }),
      ),
    )
  } finally {
    await classifier.close()
  }
}

function testOf(connection: RuleConnection, depth: number, run: string): PolicyTest {
  const given: Given = {
    connection,
    root: { id: 'somebody', kind: 'human', name: 'somebody', groups: [] },
    agent: { name: 'somebody', depth, level: 3 },
    inTransaction: false,
    tables: dangerousTables,
    trustedFunctions: [],
  }
  const place = { name: '', file: '', line: 0 }
  return { ...place, subject: 'sql', given, run, facts: {}, want: 'allow' }
}

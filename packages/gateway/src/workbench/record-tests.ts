import {
  buildSqlFacts,
  factAt,
  FactsReader,
  type CommandId,
  type DecisionId,
  type RecordedSource,
} from '@sallyport/core'
import { stringify } from 'yaml'
import { policyTestKind } from '../control-plane/policies/load-policy-folder.ts'
import { SqlClassifier } from '../data-plane/protocols/postgres/classify/classify-sql.ts'
import { templateOf } from '../data-plane/protocols/postgres/classify/text-template.ts'
import type { Given, PolicyTest } from './policy-test.ts'
import { StandInDatabase } from './stand-in-database.ts'
import { chainOf, factsOf } from './test-facts.ts'
import type { RecordedCommand } from '../control-plane/contract/policies.ts'

/** Facts of a text itself, which are of another text once its literals are replaced. */
const ofText = new Set(['op.text', 'op.bytes'])
const literals = { string: "'x'", number: '1' } as const

/**
 * Writes tests that say of recorded commands what the rules said then, as YAML. Literals are replaced; a text whose literals can't be told
 * from the rest is left out, and its facts stand alone. Facts that a text alone does not give (the target's catalog is not here) are stated,
 * where a rule read them.
 */
export async function testsOfRecorded(
  name: string,
  commands: readonly RecordedCommand[],
): Promise<string> {
  const classifier = await SqlClassifier.create()
  try {
    const database = new StandInDatabase(classifier, undefined)
    const all = commands.map((command) => testOf(command, database))
    const tests = [...new Map(all.map((test) => [JSON.stringify(keyOf(test)), test])).values()]
    const [first] = tests
    const isShared = tests.every(
      ({ given }) => JSON.stringify(given) === JSON.stringify(first?.given),
    )
    const spec = isShared
      ? { given: first?.given ?? {}, tests: tests.map(({ given: _given, ...rest }) => rest) }
      : { tests }
    const head = { apiVersion: 'sallyport.dev/v1', kind: policyTestKind, metadata: { name } }
    return stringify({ ...head, spec }, { lineWidth: 0 })
  } finally {
    await classifier.close()
  }
}

interface WrittenTest {
  readonly name: string
  readonly given: Readonly<Record<string, unknown>>
  readonly run?: string
  readonly facts?: Readonly<Record<string, unknown>>
  readonly want: string
  readonly rules: readonly string[]
}

function keyOf({ given, run, facts, want, rules }: WrittenTest): unknown {
  return [given, run, facts, want, rules]
}

function testOf(command: RecordedCommand, database: StandInDatabase): WrittenTest {
  const source = sourceOf(command)
  const { chain, client, connection, now } = source
  const agent = chain.agents.at(-1)
  const readsNow = command.reads.includes('now')
  const readsClient = command.reads.some((path) => path.startsWith('client.'))
  const given = {
    connection: connection.name,
    ...(Object.keys(connection.labels).length === 0 ? {} : { labels: connection.labels }),
    root: chain.root,
    agent: { name: agent?.name ?? '', depth: chain.agents.length - 1, level: chain.level },
    ...(readsClient ? { client } : {}),
    ...(readsNow ? { now: now.toISOString() } : {}),
    ...(command.inTransaction ? { inTransaction: true } : {}),
  }
  const run = templateOf(command.text, literals)
  const facts = statedFacts(command, source, run, database)
  const what = `${command.verb} ${command.objects.map((parts) => parts.join('.')).join(' ')}`.trim()
  return {
    name: `${what === '' ? 'nothing' : what} (${command.decision})`,
    given,
    ...(run === undefined ? {} : { run }),
    ...(run === undefined || Object.keys(facts).length > 0 ? { facts } : {}),
    want: command.effect,
    rules: command.rules,
  }
}

/** What the rules read, and the test would not have by itself. */
function statedFacts(
  command: RecordedCommand,
  source: RecordedSource,
  run: string | undefined,
  database: StandInDatabase,
): Record<string, unknown> {
  const recorded = buildSqlFacts(source)
  const given: Given = {
    connection: source.connection,
    root: source.chain.root,
    agent: {
      name: source.chain.agents.at(-1)?.name ?? '',
      depth: source.chain.agents.length - 1,
      level: source.chain.level,
    },
    inTransaction: command.inTransaction,
    trustedFunctions: [],
    now: source.now,
    client: { ip: source.client.ip ?? '', app: source.client.app ?? '' },
  }
  const place = { name: '', file: '', line: 0, facts: {}, want: command.effect } as const
  const test: PolicyTest = {
    ...place,
    subject: 'sql',
    given,
    ...(run === undefined ? {} : { run }),
  }
  const made = factsOf(test, chainOf(given), database)
  const paths = new Set([...command.reads, 'op.class'])
  const stated: Record<string, unknown> = {}
  for (const path of paths) {
    if (ofText.has(path)) continue
    const [was, is] = [factAt(recorded, path), factAt(made, path)]
    if (printed(was) === printed(is)) continue
    stated[path] = was === undefined ? null : plain(was)
  }
  // A text that is left out leaves rules that read it without it: unknown, as it will be.
  return stated
}

function printed(value: unknown): string {
  return JSON.stringify(plain(value)) ?? ''
}

/** As YAML has it. */
function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return Number(value)
  return value instanceof Date ? value.toISOString() : value
}

function sourceOf(recorded: RecordedCommand): RecordedSource {
  const reader = new FactsReader()
  reader.take({ kind: 'facts', number: 1, about: 'session', json: recorded.sessionFacts })
  reader.take({ kind: 'facts', number: 2, about: 'effects', json: recorded.effectsFacts })
  const { verb, objects, inTransaction, askedAtMs, text } = recorded
  const source = reader.source({
    kind: 'command',
    id: 'c_recorded' as CommandId,
    seq: recorded.seq,
    decision: recorded.decision as DecisionId,
    effect: recorded.effect,
    rules: recorded.rules,
    class: recorded.class,
    verb,
    objects,
    text: Buffer.from(text),
    parameters: [],
    formats: [],
    policyVersion: 0,
    unit: 'query',
    facts: { session: 1, effects: 2, inTransaction, bytes: Buffer.byteLength(text), askedAtMs },
  })
  if (source === undefined) throw new Error('a recorded command came without its facts')
  return source
}

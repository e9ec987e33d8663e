import { factSchema, type FactSchema, type Principal } from '@sallyport/core'
import { isMap, isNode, isScalar, type Document } from 'yaml'
import type { ConfigProblem } from '../control-plane/policies/config-problem.ts'
import { FieldReader } from '../control-plane/policies/field-reader.ts'
import { policyTestKind, type PolicyFile } from '../control-plane/policies/load-policy-folder.ts'
import { YamlSource } from '../control-plane/policies/yaml-source.ts'
import type { Given, PolicyTest } from './policy-test.ts'
import { readFactValue } from './read-fact-value.ts'
import type { StandInTable } from './stand-in-database.ts'

const effects = ['allow', 'approve', 'block'] as const

/** Reads the PolicyTest documents of files. Unknown fields are problems, as in policies. */
export function readPolicyTests(files: readonly PolicyFile[]): {
  readonly tests: readonly PolicyTest[]
  readonly problems: readonly ConfigProblem[]
} {
  const tests: PolicyTest[] = []
  const problems: ConfigProblem[] = []
  for (const { file, text } of files) {
    const source = new YamlSource(file, text)
    // What is wrong with the YAML itself is told where policies are read.
    source.problems.length = 0
    for (const document of source.documents) tests.push(...readDocument(source, document))
    problems.push(...source.problems)
  }
  return { tests, problems }
}

function readDocument(source: YamlSource, document: Document): PolicyTest[] {
  if (document.errors.length > 0 || !isNode(document.contents)) return []
  if (document.get('kind') !== policyTestKind) return []
  const fields = ['apiVersion', 'kind', 'metadata', 'spec']
  const top = new FieldReader(source, document.contents, '', fields)
  for (const name of fields) top.require(name)
  top.oneOf('apiVersion', ['sallyport.dev/v1'])
  if (!top.has('metadata') || !top.has('spec')) return []
  new FieldReader(source, top.get('metadata'), 'metadata', ['name']).require('name')
  const spec = new FieldReader(source, top.get('spec'), 'spec', ['given', 'tests'])
  spec.require('tests')
  const given = spec.has('given')
    ? readGiven(new FieldReader(source, spec.get('given'), 'spec.given', givenFields), plain)
    : plain
  return spec.items('tests').flatMap(({ node, path }) => readTest(source, node, path, given))
}

const testFields = ['name', 'given', 'on', 'run', 'facts', 'want', 'rules', 'masks']

function readTest(source: YamlSource, node: unknown, path: string, above: Given): PolicyTest[] {
  const before = source.problems.length
  const fields = new FieldReader(source, node, path, testFields)
  for (const name of ['name', 'want']) fields.require(name)
  const subject = fields.oneOf('on', ['sql', 'session']) ?? 'sql'
  const given = fields.has('given')
    ? readGiven(
        new FieldReader(source, fields.get('given'), fields.at('given'), givenFields),
        above,
      )
    : above
  const run = fields.text('run')
  const facts = fields.has('facts') ? readFacts(fields, subject) : {}
  const asksNothing = run === undefined && !fields.has('facts') && subject === 'sql'
  if (asksNothing && source.problems.length === before) {
    source.report('a test needs run or facts', '', path, fields.node)
  }
  if (run !== undefined && subject === 'session') {
    fields.report('run', 'a session runs nothing when it opens', 'leave out run:')
  }
  const want = fields.oneOf('want', effects)
  const masks = fields.has('masks') ? fields.texts('masks') : undefined
  if (masks !== undefined && (given.tables === undefined || run === undefined)) {
    fields.report('masks', 'masks are followed through tables', 'add given.tables, and run')
  }
  const rules = fields.has('rules') ? fields.texts('rules') : undefined
  if (source.problems.length > before || want === undefined) return []
  const at = source.at(fields.node)
  const line = Number(at.slice(at.lastIndexOf(':') + 1))
  return [
    {
      name: fields.text('name') ?? '',
      file: source.file,
      line,
      subject,
      given,
      facts,
      want,
      ...(run === undefined ? {} : { run }),
      ...(rules === undefined ? {} : { rules }),
      ...(masks === undefined ? {} : { masks }),
    },
  ]
}

/** What holds where a file says nothing. */
const plain: Given = {
  connection: { name: 'target', labels: {}, type: 'postgres' },
  root: { id: 'tester', kind: 'human', name: 'tester', groups: [] },
  agent: { name: 'tester', depth: 0, level: 3 },
  inTransaction: false,
  trustedFunctions: [],
}

const givenFields = [
  'connection',
  'labels',
  'root',
  'agent',
  'client',
  'now',
  'inTransaction',
  'tables',
  'trustedFunctions',
]
const depthMax = 16

/** What a test states stands in the place of what its file states, field by field. */
function readGiven(fields: FieldReader, above: Given): Given {
  const connection = fields.text('connection') ?? above.connection.name
  const labels = fields.has('labels') ? readLabels(fields) : above.connection.labels
  const now = readNow(fields) ?? above.now
  const client = readClient(fields) ?? above.client
  const tables = fields.has('tables') ? readTables(fields) : above.tables
  return {
    connection: { name: connection, labels, type: 'postgres' },
    root: readRoot(fields, above.root),
    agent: readAgent(fields, above.agent),
    inTransaction: fields.flag('inTransaction') ?? above.inTransaction,
    trustedFunctions: fields.has('trustedFunctions')
      ? fields.texts('trustedFunctions')
      : above.trustedFunctions,
    ...(now === undefined ? {} : { now }),
    ...(client === undefined ? {} : { client }),
    ...(tables === undefined ? {} : { tables }),
  }
}

function readLabels(fields: FieldReader): Record<string, string> {
  const labels = fields.inner('labels', [])
  return Object.fromEntries(labels.names().map((name) => [name, labels.text(name) ?? '']))
}

function readRoot(fields: FieldReader, above: Principal): Principal {
  if (!fields.has('root')) return above
  const root = fields.inner('root', ['id', 'kind', 'name', 'groups'])
  return {
    id: root.text('id') ?? above.id,
    kind: root.oneOf('kind', ['human', 'workload', 'service']) ?? above.kind,
    name: root.text('name') ?? above.name,
    groups: root.has('groups') ? root.texts('groups') : above.groups,
  }
}

function readAgent(fields: FieldReader, above: Given['agent']): Given['agent'] {
  if (!fields.has('agent')) return above
  const agent = fields.inner('agent', ['name', 'depth', 'level'])
  return {
    name: agent.text('name') ?? above.name,
    depth: agent.int('depth', 0, depthMax) ?? above.depth,
    level: agent.int('level', 0, 4) ?? above.level,
  }
}

function readClient(fields: FieldReader): Given['client'] | undefined {
  if (!fields.has('client')) return undefined
  const client = fields.inner('client', ['ip', 'app'])
  return { ip: client.text('ip') ?? '', app: client.text('app') ?? '' }
}

function readNow(fields: FieldReader): Date | undefined {
  const text = fields.text('now')
  if (text === undefined) return undefined
  const now = new Date(text)
  if (!Number.isNaN(now.getTime())) return now
  fields.report('now', `"${text}" is not a time`, 'for example "2026-11-20T09:30:00Z"')
  return undefined
}

/** `{customers: [id, email], sales.orders: [id]}`; a name alone is in the schema `public`. */
function readTables(fields: FieldReader): StandInTable[] {
  const tables = fields.inner('tables', [])
  return tables.names().flatMap((name) => {
    const [schema, table] = name.includes('.') ? name.split('.') : ['public', name]
    const columns = tables.texts(name)
    if (schema === undefined || table === undefined) return []
    return [{ schema, name: table, columns }]
  })
}

function readFacts(fields: FieldReader, subject: 'sql' | 'session'): Record<string, unknown> {
  const schema = schemaOf(subject)
  const facts = fields.inner('facts', Object.keys(schema.facts))
  if (!isMap(facts.node)) return {}
  const read: Record<string, unknown> = {}
  for (const name of facts.names()) {
    const node = facts.get(name)
    const type = schema.facts[name]
    if (type === undefined) continue
    const value = isScalar(node) && node.value === null ? null : readFactValue(facts, name, type)
    if (value !== undefined) read[name] = value
  }
  return read
}

function schemaOf(subject: 'sql' | 'session'): FactSchema {
  const schema = factSchema([subject])
  return 'refused' in schema ? { facts: {} } : schema
}

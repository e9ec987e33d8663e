import { COARSE_CLASSES, EFFECT_CLASSES } from '../command.ts'
import type { FactSchema } from './condition-engine.ts'
import type { RuleSubject } from './policy.ts'

type FactTypes = FactSchema['facts']

const text = { type: 'string' } as const
const flag = { type: 'bool' } as const
const int = { type: 'int' } as const
const list = { type: 'list<string>' } as const

const op: FactTypes = {
  'op.class': { type: 'string', values: COARSE_CLASSES },
  'op.classes': { type: 'list<string>', values: EFFECT_CLASSES },
  'op.verb': text,
  'op.objects': list,
  'op.text': text,
  'op.unbounded': flag,
  'op.opaque': list,
  'op.persists': flag,
  'op.inTransaction': flag,
  'op.bytes': int,
}

const births = ['login', 'jwt', 'service', 'mint', 'ticket', 'attach', 'offline', 'inferred']

/** Facts of every rule, those on sessions included. */
const common: FactTypes = {
  'conn.name': text,
  'conn.type': text,
  'conn.env': text,
  'conn.labels': { type: 'map<string, string>' },
  'agent.id': text,
  'agent.name': text,
  'agent.profile': text,
  'agent.depth': int,
  'agent.level': int,
  'agent.born': { type: 'string', values: births },
  'agent.chain': list,
  'agent.purpose': text,
  'agent.ageSeconds': int,
  'agent.ttlSeconds': int,
  ...recent('agent'),
  'tree.agents': int,
  'tree.held': int,
  ...recent('tree'),
  'root.id': text,
  'root.name': text,
  'root.idp': text,
  'root.trustRule': text,
  'root.kind': { type: 'string', values: ['human', 'workload', 'service'] },
  'root.groups': list,
  'root.authAgeSeconds': int,
  'root.amr': list,
  'client.ip': text,
  'client.app': text,
  now: { type: 'google.protobuf.Timestamp' },
}

const sql: FactTypes = {
  'sql.dialect': { type: 'string', values: ['postgres', 'mysql', 'mssql'] },
  'sql.objectKind': text,
  'sql.actions': list,
  'sql.reads': list,
  'sql.writes': list,
  'sql.columns': list,
  'sql.predicateColumns': list,
  'sql.functions': list,
  'sql.statements': int,
  'sql.limit': int,
  'sql.hasWhere': flag,
  'sql.tempOnly': flag,
  'sql.fileAccess': flag,
}

const session: FactTypes = {
  'session.protocol': text,
  'session.login': text,
  'session.database': text,
}

const bySubject: Partial<Record<RuleSubject, FactTypes>> = {
  any: { ...op, ...common },
  sql: { ...op, ...common, ...sql },
  session: { ...common, ...session },
}

function recent(owner: 'agent' | 'tree'): FactTypes {
  const names = ['commands1m', 'commands10m', 'writes10m', 'deletes10m', 'rows10m', 'blocked10m']
  return Object.fromEntries(names.map((name) => [`${owner}.recent.${name}`, int]))
}

const schemas = new Map<string, FactSchema | { readonly refused: string }>()

/** The facts that a rule on these subjects may read: those that every one of the subjects has. */
export function factSchema(
  subjects: readonly RuleSubject[],
): FactSchema | { readonly refused: string } {
  const key = [...new Set(subjects)].sort().join(' ')
  const known = schemas.get(key)
  if (known !== undefined) return known
  const made = makeSchema(subjects)
  schemas.set(key, made)
  return made
}

function makeSchema(subjects: readonly RuleSubject[]): FactSchema | { readonly refused: string } {
  let shared: [string, FactTypes[string]][] | undefined
  for (const subject of subjects) {
    const facts = bySubject[subject]
    if (facts === undefined) return { refused: `rules on ${subject} are not available yet` }
    shared = (shared ?? Object.entries(facts)).filter(([path]) => Object.hasOwn(facts, path))
  }
  return { facts: Object.fromEntries(shared ?? []) }
}

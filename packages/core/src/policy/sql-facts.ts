import { Buffer } from 'node:buffer'
import type { Chain } from '../chain.ts'
import type { Command, Effects, ObjectName } from '../command.ts'
import type { Facts } from './condition-engine.ts'
import type { RuleConnection } from './select-rules.ts'

/** Longer lists are unknown facts, so a condition over one stays cheap. */
export const LIST_ENTRIES_MAX = 256
/** Longer strings are unknown facts. */
const STRING_BYTES_MAX = 65_536

/** What the facts of a command or of a session's opening are made of. */
export interface FactSource {
  readonly chain: Chain
  readonly connection: RuleConnection
  /** What is not known is left out. */
  readonly client: { readonly ip?: string; readonly app?: string }
  readonly now: Date
  /** Facts that others keep (`agent.profile`, `tree.recent`, …), by group; what is not given is unknown. */
  readonly more?: Readonly<Record<'agent' | 'root' | 'tree', Readonly<Record<string, unknown>>>>
}

/** Makes the facts of a SQL command. What depends on the effects alone is made once per `Effects`. */
export function buildSqlFacts(source: FactSource & { readonly command: Command }): Facts {
  const { command } = source
  const ofEffects = effectFacts(command.effects)
  const op = {
    ...ofEffects.op,
    inTransaction: command.inTransaction,
    bytes: BigInt(command.bytes),
    ...known({ text: command.text }),
  }
  const facts = { ...commonFacts(source), op }
  return ofEffects.sql === undefined ? facts : { ...facts, sql: ofEffects.sql }
}

/** Makes the facts that rules on `session` read when a session is opened. */
export function buildSessionFacts(
  source: FactSource & {
    readonly session: {
      readonly protocol: string
      readonly login: string
      readonly database: string
    }
  },
): Facts {
  return { ...commonFacts(source), session: known(source.session) }
}

/** Prints a name: `public."odd.name"`. A part with a separator, a quote or a glob character is quoted. */
export function printObjectName(name: ObjectName): string {
  return name.map(printPart).join('.')
}

function printPart(part: string): string {
  return part !== '' && !/[./"*?]/u.test(part) ? part : `"${part.replaceAll('"', '""')}"`
}

interface EffectFacts {
  readonly op: Record<string, unknown>
  readonly sql: Record<string, unknown> | undefined
}

const factsOfEffects = new WeakMap<Effects, EffectFacts>()

function effectFacts(effects: Effects): EffectFacts {
  const made = factsOfEffects.get(effects)
  if (made !== undefined) return made
  const facts = { op: opFacts(effects), sql: sqlFacts(effects) }
  factsOfEffects.set(effects, facts)
  return facts
}

function opFacts(effects: Effects): Record<string, unknown> {
  return known({
    class: effects.class,
    classes: effects.classes,
    verb: effects.verb,
    objects: effects.objects.map(printObjectName),
    unbounded: effects.unbounded,
    opaque: effects.opaque,
    persists: effects.persists,
  })
}

function sqlFacts(effects: Effects): Record<string, unknown> | undefined {
  const { sql } = effects
  if (sql === undefined) return undefined
  return known({
    dialect: sql.dialect,
    objectKind: sql.objectKind,
    actions: sql.actions,
    reads: sql.reads.map(printObjectName),
    writes: sql.writes.map(printObjectName),
    columns: sql.columns.map(printObjectName),
    predicateColumns: sql.predicateColumns.map(printObjectName),
    functions: sql.functions,
    statements: BigInt(sql.statements),
    limit: integer(sql.limit),
    hasWhere: sql.hasWhere,
    tempOnly: sql.tempOnly,
    fileAccess: sql.fileAccess,
  })
}

/** A limit beyond what a number holds exactly is still a limit: it is rounded, never thrown over. */
function integer(value: number): bigint | undefined {
  return Number.isFinite(value) ? BigInt(Math.trunc(value)) : undefined
}

function commonFacts(source: FactSource): Facts {
  const { chain, now, more } = source
  const agent = chain.agents.at(-1)
  const nowMs = now.getTime()
  const ages =
    agent === undefined
      ? {}
      : {
          ageSeconds: BigInt(Math.trunc((nowMs - agent.createdAtMs) / 1000)),
          ttlSeconds: BigInt(Math.trunc((agent.expiresAtMs - nowMs) / 1000)),
        }
  const ofChain = chainFacts(chain)
  return {
    conn: connectionFacts(source.connection),
    agent: { ...ofChain.agent, ...ages, ...more?.agent },
    root: more === undefined ? ofChain.root : { ...ofChain.root, ...more.root },
    tree: more?.tree ?? {},
    client: known(source.client),
    now,
  }
}

interface ChainFacts {
  readonly agent: Record<string, unknown>
  readonly root: Record<string, unknown>
}

const factsOfChains = new WeakMap<Chain, ChainFacts>()

function chainFacts(chain: Chain): ChainFacts {
  const made = factsOfChains.get(chain)
  if (made !== undefined) return made
  const agent = chain.agents.at(-1)
  const { id, name, kind, groups } = chain.root
  const facts = {
    agent: known({
      id: agent?.id,
      name: agent?.name,
      depth: agent === undefined ? undefined : BigInt(agent.depth),
      level: BigInt(chain.level),
      chain: chain.agents.map((each) => each.name),
    }),
    root: known({ id, name, kind, groups }),
  }
  factsOfChains.set(chain, facts)
  return facts
}

const factsOfConnections = new WeakMap<RuleConnection, Record<string, unknown>>()

function connectionFacts(connection: RuleConnection): Record<string, unknown> {
  const made = factsOfConnections.get(connection)
  if (made !== undefined) return made
  const { name, labels } = connection
  const env = Object.hasOwn(labels, 'env') ? labels['env'] : ''
  const facts = known({ name, type: connection.type ?? '', env, labels: { ...labels } })
  factsOfConnections.set(connection, facts)
  return facts
}

/** Leaves out what is too long or undefined: reading it is then an error, and errors fail closed. */
function known(facts: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const kept: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(facts)) {
    if (value === undefined || isTooLong(value)) continue
    kept[name] = value
  }
  return kept
}

function isTooLong(value: unknown): boolean {
  if (typeof value === 'string') return isLongString(value)
  if (!Array.isArray(value)) return false
  if (value.length > LIST_ENTRIES_MAX) return true
  return value.some((entry) => typeof entry === 'string' && isLongString(entry))
}

function isLongString(value: string): boolean {
  // At most three bytes of UTF-8 stand for one UTF-16 unit, so most strings need no counting.
  if (value.length * 3 <= STRING_BYTES_MAX) return false
  return value.length > STRING_BYTES_MAX || Buffer.byteLength(value) > STRING_BYTES_MAX
}

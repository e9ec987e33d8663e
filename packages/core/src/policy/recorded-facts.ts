import type { Chain, ChainAgent, Principal } from '../chain.ts'
import type { Command, Effects } from '../command.ts'
import type { CommandEntry, FactsEntry } from '../entry/entry.ts'
import type { RuleConnection } from './select-rules.ts'
import { LIST_ENTRIES_MAX, type FactSource } from './sql-facts.ts'

/** What of a session rules read. Grants are not among it: they are asked before rules. */
export interface SessionFacts {
  readonly connection: RuleConnection
  readonly chain: Chain
  readonly client: FactSource['client']
}

/** All that the facts of a recorded command are made of. */
export type RecordedSource = FactSource & { readonly command: Command }

/** The facts of a session as a recording keeps them. */
export function sessionFactsJson({ connection, chain, client }: SessionFacts): string {
  const { name, labels, type } = connection
  const agents = chain.agents.map(({ id, name: agent, depth, createdAtMs, expiresAtMs }) => ({
    id,
    name: agent,
    depth,
    createdAtMs,
    expiresAtMs,
  }))
  const { root, level } = chain
  return JSON.stringify({ connection: { name, labels, type }, root, agents, level, client })
}

/** The facts of effects as a recording keeps them, without those that stand in the command itself. */
export function effectsFactsJson({ classes, unbounded, opaque, persists, sql }: Effects): string {
  const kept = { classes, unbounded, opaque: cut(opaque), persists }
  if (sql === undefined) return JSON.stringify(kept)
  const lists = Object.entries(sql).map(([name, value]) => [
    name,
    Array.isArray(value) ? cut(value) : value,
  ])
  return JSON.stringify({ ...kept, sql: Object.fromEntries(lists) })
}

/** A list that is too long is an unknown fact, and stays one with one entry too many. */
function cut<T>(list: readonly T[]): readonly T[] {
  return list.length > LIST_ENTRIES_MAX ? list.slice(0, LIST_ENTRIES_MAX + 1) : list
}

interface StoredSession {
  readonly connection: RuleConnection
  readonly root: Principal
  readonly agents: readonly Omit<ChainAgent, 'layers'>[]
  readonly level: number
  readonly client: SessionFacts['client']
}

type StoredEffects = Pick<Effects, 'classes' | 'unbounded' | 'opaque' | 'persists' | 'sql'>

/** Puts together what was recorded of one session's commands. Equal numbers give the same objects, which spares work over them. */
export class FactsReader {
  readonly #sessions = new Map<number, SessionFacts>()
  readonly #stored = new Map<number, StoredEffects>()
  readonly #effects = new Map<number, Effects>()

  take({ number, about, json }: FactsEntry): void {
    try {
      // The casts trust the writer: the chain hash, not this, proves who wrote it.
      if (about === 'session') this.#sessions.set(number, sessionOf(JSON.parse(json)))
      else this.#stored.set(number, JSON.parse(json) as StoredEffects)
    } catch {
      // What was damaged is missing: commands that need it have no facts.
    }
  }

  /** Undefined where the recording does not keep the facts of this command, or its part of them is missing. */
  source(entry: CommandEntry): RecordedSource | undefined {
    const { facts } = entry
    if (facts?.askedAtMs === undefined) return undefined
    const session = this.#sessions.get(facts.session)
    const effects = this.#effectsOf(facts.effects, entry)
    if (session === undefined || effects === undefined) return undefined
    const { inTransaction, bytes, askedAtMs } = facts
    const text = decoder.decode(entry.text)
    const command = { id: entry.id, effects, text, bytes, inTransaction }
    return { ...session, command, now: new Date(askedAtMs) }
  }

  #effectsOf(number: number, entry: CommandEntry): Effects | undefined {
    const known = this.#effects.get(number)
    if (known !== undefined) return known
    const stored = this.#stored.get(number)
    if (stored === undefined) return undefined
    const { class: effectClass, verb, objects } = entry
    const made = { ...stored, class: effectClass, verb, objects, accesses: [] }
    this.#effects.set(number, made)
    this.#stored.delete(number)
    return made
  }
}

function sessionOf({ connection, root, agents, level, client }: StoredSession): SessionFacts {
  const chain = { root, level, agents: agents.map((agent) => ({ ...agent, layers: [] })) }
  return { connection, chain, client }
}

const decoder = new TextDecoder()

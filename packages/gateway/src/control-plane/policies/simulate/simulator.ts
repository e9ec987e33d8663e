import { FactsReader, matchesColumn, type CommandEntry, type RecordedSource } from '@sallyport/core'
import type { RecordedEntry } from '../../recordings/journal-reader.ts'
import type { Decided, DecidingPolicies } from './decided.ts'
import { loosening } from './simulation-report.ts'
import type {
  Change,
  ChangedCommand,
  ChangeKind,
  SimulationReport,
} from '../../contract/policies.ts'

export interface SimulatorOptions {
  readonly after: DecidingPolicies
  /** The policies of a version; undefined where they are not kept. */
  readonly before: (version: number) => DecidingPolicies | undefined
  /** Commands before are passed over. */
  readonly sinceMs: number
}

/** What is held of a session while it is read. */
interface OpenSession {
  readonly facts: FactsReader
  agent: string
  connection: string
  /** Commands whose answer is not over: masks and refusals follow them. */
  readonly pending: Map<number, Pending>
}

interface Pending {
  readonly entry: CommandEntry
  readonly source: RecordedSource | undefined
  readonly session: string
  readonly maskedBy: Set<string>
  refusedBy: string
}

const examplesMax = 20
const faultsMax = 20
const textMax = 120
/** Of agents and what they do; what comes later is counted, and not told apart. */
const groupsMax = 1000
/** Of one session; older answers are taken for over. */
const pendingMax = 1000

interface Counted {
  commands: number
  readonly examples: ChangedCommand[]
  readonly groups: Map<string, number>
}

/** Asks another set of policies about recorded commands, entry by entry. Only what was recorded is used; nothing is guessed. */
export class Simulator {
  readonly #options: SimulatorOptions
  readonly #sessions = new Map<string, OpenSession>()
  readonly #changes = new Map<ChangeKind, Counted>()
  readonly #cannot = new Map<string, number>()
  readonly #unknown = new Map<string, number>()
  readonly #hits = new Map<string, { matched: number; decided: number }>()
  readonly #faults: string[] = []
  #faultCount = 0
  #commands = 0
  #unchanged = 0
  #notAsked = 0

  constructor(options: SimulatorOptions) {
    this.#options = options
    for (const id of options.after.ruleIds) this.#hits.set(id, { matched: 0, decided: 0 })
  }

  get commands(): number {
    return this.#commands
  }

  take({ session, entry, timeMs }: Pick<RecordedEntry, 'session' | 'entry' | 'timeMs'>): void {
    switch (entry.kind) {
      case 'session.opened': {
        const agent = entry.chain.at(-1)?.name ?? ''
        const { connection } = entry
        this.#sessions.set(session, {
          facts: new FactsReader(),
          agent,
          connection,
          pending: new Map(),
        })
        return
      }
      case 'facts':
        return this.#sessions.get(session)?.facts.take(entry)
      case 'command':
        return timeMs < this.#options.sinceMs ? undefined : this.#command(session, entry)
      case 'masked':
        this.#pending(session, entry.seq)?.maskedBy.add(entry.rule)
        return
      case 'refused': {
        const pending = this.#pending(session, entry.seq)
        if (pending !== undefined) pending.refusedBy = entry.code
        return this.#over(session, entry.seq)
      }
      case 'response.end':
        return entry.status === 'suspended' ? undefined : this.#over(session, entry.seq)
      case 'session.closed':
        this.#end(session)
        return
      case 'response.data':
      case 'copy.data':
      case 'lineage':
      case 'cancelled':
      case 'notice':
      case 'held':
      case 'answered':
      case 'fact':
    }
  }

  /** Counts what is still open, and tells all. */
  report(): SimulationReport {
    for (const session of this.#sessions.keys()) this.#end(session)
    return {
      commands: this.#commands,
      unchanged: this.#unchanged,
      notAsked: this.#notAsked,
      changes: [...this.#changes]
        .map(([kind, counted]) => changeOf(kind, counted))
        .toSorted(byKind),
      cannotJudge: listOf(this.#cannot).map(([why, commands]) => ({ why, commands })),
      unknownFacts: listOf(this.#unknown).map(([cause, commands]) => ({ cause, commands })),
      faults: this.#faults,
      faultCount: this.#faultCount,
      rules: [...this.#hits].map(([id, hits]) => ({ id, ...hits })),
    }
  }

  #command(session: string, entry: CommandEntry): void {
    const open = this.#sessions.get(session)
    if (open === undefined) return
    const source = open.facts.source(entry)
    const pending = { entry, source, session, maskedBy: new Set<string>(), refusedBy: '' }
    open.pending.set(entry.seq, pending)
    if (open.pending.size <= pendingMax) return
    const [oldest] = open.pending.keys()
    if (oldest !== undefined) this.#over(session, oldest)
  }

  #pending(session: string, seq: number): Pending | undefined {
    return this.#sessions.get(session)?.pending.get(seq)
  }

  #over(session: string, seq: number): void {
    const open = this.#sessions.get(session)
    const pending = open?.pending.get(seq)
    if (open === undefined || pending === undefined) return
    open.pending.delete(seq)
    this.#judge(open, pending)
  }

  #end(session: string): void {
    const open = this.#sessions.get(session)
    for (const seq of open?.pending.keys() ?? []) this.#over(session, seq)
    this.#sessions.delete(session)
  }

  #judge(open: OpenSession, pending: Pending): void {
    const { entry, source } = pending
    const ran = entry.effect !== 'block' && pending.refusedBy === ''
    // What was only prepared runs later, and counts then.
    if (entry.unit === 'parse' && ran) return
    this.#commands += 1
    if (entry.facts !== undefined && entry.facts.askedAtMs === undefined) {
      this.#notAsked += 1
      return
    }
    if (source === undefined) return count(this.#cannot, 'facts: not recorded with the command')
    const before = this.#options.before(entry.policyVersion)
    if (before === undefined)
      return count(this.#cannot, `the policies of then, v${entry.policyVersion}, are not kept`)
    const was = before.decide(source)
    const is = this.#options.after.decide(source)
    this.#check(entry, was, pending)
    this.#countRules(is)
    const kind = changeKind(was, is) ?? this.#maskChange(pending, source, before, was, is)
    if (kind === undefined) this.#unchanged += 1
    else this.#change(kind, open, pending, was, is)
  }

  /** The policies of then have to say what was recorded; else nothing that is told here can be believed. */
  #check(entry: CommandEntry, { outcome }: Decided, { session }: Pending): void {
    const rules = [...outcome.rules, ...outcome.observed].join()
    const isSame =
      entry.rules.join() === rules &&
      (entry.effect === outcome.effect || (entry.effect === 'block' && outcome.effect !== 'block'))
    if (isSame) return
    this.#faultCount += 1
    if (this.#faults.length < faultsMax) this.#faults.push(`${session}#${entry.seq}`)
  }

  #countRules({ outcome, matched }: Decided): void {
    for (const id of matched) {
      const hits = this.#hits.get(id)
      if (hits !== undefined) hits.matched += 1
    }
    for (const id of outcome.rules) {
      const hits = this.#hits.get(id)
      if (hits !== undefined) hits.decided += 1
    }
    for (const { cause } of outcome.errors) count(this.#unknown, cause)
  }

  /** An answer that came masked and would not; or one of columns that a new mask names, which may come masked. */
  #maskChange(
    { maskedBy }: Pending,
    { command }: RecordedSource,
    before: DecidingPolicies,
    was: Decided,
    is: Decided,
  ): ChangeKind | undefined {
    if (is.outcome.effect === 'block') return undefined
    const lost = [...maskedBy]
      .flatMap((rule) => before.masksOf(rule))
      .some((mask) => was.masks.has(mask) && !is.masks.has(mask))
    if (lost) return 'masked → clear'
    const columns = command.effects.sql?.columns ?? []
    const isNew = is.outcome.masks.some(
      (mask) =>
        !was.masks.has(keyOf(mask)) &&
        mask.columns.some((pattern) => columns.some((column) => mayBe(pattern, column))),
    )
    return isNew ? 'clear → masked' : undefined
  }

  #change(kind: ChangeKind, open: OpenSession, pending: Pending, was: Decided, is: Decided): void {
    const counted: Counted = this.#changes.get(kind) ?? {
      commands: 0,
      examples: [],
      groups: new Map(),
    }
    this.#changes.set(kind, counted)
    counted.commands += 1
    const { entry, session } = pending
    const group = JSON.stringify([open.agent, whatOf(entry)])
    if (counted.groups.has(group) || counted.groups.size < groupsMax) count(counted.groups, group)
    if (counted.examples.length >= examplesMax) return
    const text = Buffer.from(entry.text.subarray(0, textMax)).toString('utf8')
    counted.examples.push({
      decision: entry.decision,
      session,
      seq: entry.seq,
      agent: open.agent,
      connection: open.connection,
      text,
      rulesBefore: was.outcome.rules,
      rulesAfter: is.outcome.rules,
    })
  }
}

const words = { allow: 'allowed', approve: 'held', block: 'blocked' } as const

function changeKind(was: Decided, is: Decided): ChangeKind | undefined {
  const [before, after] = [was.outcome.effect, is.outcome.effect]
  if (before === after) return undefined
  // All pairs of different effects are kinds.
  return `${words[before]} → ${words[after]}` as ChangeKind
}

function keyOf({ rule: _rule, ...mask }: Decided['outcome']['masks'][number]): string {
  return JSON.stringify(mask)
}

/** A column `*` stands for all of its table. */
function mayBe(pattern: readonly string[], name: readonly string[]): boolean {
  const [column = '', table = '', schema = ''] = name.toReversed()
  const asked = column === '*' ? [...pattern.slice(0, -1), '*'] : pattern
  return matchesColumn(asked, [schema, table, column])
}

function whatOf({ verb, objects }: CommandEntry): string {
  const [first = []] = objects
  return `${verb} ${first.join('.')}`.trim()
}

function count(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1)
}

function listOf(counts: ReadonlyMap<string, number>): [string, number][] {
  return [...counts].toSorted((a, b) => b[1] - a[1])
}

function changeOf(kind: ChangeKind, { commands, examples, groups }: Counted): Change {
  const [group = '["",""]', most = 0] = listOf(groups)[0] ?? []
  const [agent = '', what = ''] = JSON.parse(group) as string[]
  const mostly = { agent, what, commands: most }
  return { kind, loosens: loosening.has(kind), commands, mostly, examples }
}

function byKind(a: Change, b: Change): number {
  return Number(a.loosens) - Number(b.loosens) || (a.kind < b.kind ? -1 : 1)
}

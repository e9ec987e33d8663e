import type { Classified, StatementInfo } from '../classify/classified.ts'

/** Names that have another meaning than the catalog shows. */
export interface Unsettled {
  /** Relations that were made: they hold what the session put there, which is nothing masked. */
  readonly made: ReadonlySet<string>
  /** Relations that were altered or dropped. */
  readonly changed: ReadonlySet<string>
  readonly functions: ReadonlySet<string>
  /** Any name may mean something else. */
  readonly all: boolean
}

/** Definitions that touch the relations which they name, and no other. */
const bounded: ReadonlySet<string> = new Set(
  `AlterTableStmt IndexStmt DropStmt CreateSeqStmt AlterSeqStmt CreateSchemaStmt CreateFunctionStmt RefreshMatViewStmt
   TruncateStmt CommentStmt GrantStmt CreateTrigStmt RuleStmt CreatePolicyStmt AlterPolicyStmt AlterOwnerStmt
   AlterFunctionStmt CreateEnumStmt AlterEnumStmt CreateStatsStmt ReindexStmt VacuumStmt`.split(
    /\s+/,
  ),
)

/** Definitions that make a relation, and change no other. */
const making: ReadonlySet<string> = new Set([
  'CreateStmt',
  'CreateTableAsStmt',
  'SelectStmt',
  'ViewStmt',
])

/** Does not tell which relations it touches, though it is no definition. */
const hidden: ReadonlySet<string> = new Set(['DoStmt', 'CallStmt'])

/** What statements do to the meaning of names; undefined where they do nothing. */
export function unsettledBy(statements: readonly StatementInfo[]): Unsettled | undefined {
  const changing = statements.filter(({ ddl, nodeTag }) => ddl || hidden.has(nodeTag))
  if (changing.length === 0) return undefined
  const made = changing.filter(({ nodeTag }) => making.has(nodeTag))
  const others = changing.filter(({ nodeTag }) => !making.has(nodeTag))
  return {
    made: new Set(made.flatMap(definedNames)),
    changed: new Set(others.flatMap(touchedNames)),
    functions: new Set(
      changing.flatMap(({ makesFunctions }) => makesFunctions.map(({ name }) => name)),
    ),
    all: others.some(({ nodeTag }) => !bounded.has(nodeTag)),
  }
}

function definedNames({ effects }: StatementInfo): readonly string[] {
  return effects.accesses.flatMap(({ effect, object }) =>
    effect === 'ddl' && object !== undefined ? (object.at(-1) ?? []) : [],
  )
}

function touchedNames({ effects, relations }: StatementInfo): readonly string[] {
  return [...effects.objects, ...relations].flatMap((name) => name.at(-1) ?? [])
}

/** All of these together; undefined where there are none. */
export function joinUnsettled(parts: readonly (Unsettled | undefined)[]): Unsettled | undefined {
  const known = parts.filter((part) => part !== undefined)
  if (known.length < 2) return known[0]
  return {
    made: new Set(known.flatMap(({ made }) => [...made])),
    changed: new Set(known.flatMap(({ changed }) => [...changed])),
    functions: new Set(known.flatMap(({ functions }) => [...functions])),
    all: known.some(({ all }) => all),
  }
}

interface Entry {
  readonly batch: number
  readonly names: Unsettled
  /** The change of the catalog that covers it, once it is committed or undone. */
  change: number | undefined
}

/** What a session has done to names, until a look into the catalog shows it. */
export class UnsettledNames {
  #entries: Entry[] = []

  /** A text is on its way that may change what names mean. */
  note({ statements }: Classified, batch: number): void {
    const names = unsettledBy(statements)
    if (names !== undefined) this.#entries.push({ batch, names, change: undefined })
  }

  /** No transaction is open after this batch: a look into the catalog from now on shows what it did. */
  settle(batch: number, announce: () => number): void {
    const done = this.#entries.filter((one) => one.batch <= batch && one.change === undefined)
    if (done.length === 0) return
    const change = announce()
    for (const entry of done) entry.change = change
  }

  /** Definitions are on their way, or in a transaction that has not ended as far as is known. */
  get isPending(): boolean {
    return this.#entries.some(({ change }) => change === undefined)
  }

  /** What is not to be relied on; undefined where the catalog shows all. */
  current(isShown: (change: number) => boolean): Unsettled | undefined {
    if (this.#entries.length === 0) return undefined
    this.#entries = this.#entries.filter(({ change }) => change === undefined || !isShown(change))
    return joinUnsettled(this.#entries.map(({ names }) => names))
  }
}

/** Somebody else has changed something, and an open transaction keeps the catalog from being read. */
export const nothingSettled: Unsettled = {
  made: new Set(),
  changed: new Set(),
  functions: new Set(),
  all: true,
}

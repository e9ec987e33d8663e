import { isTainted, type Flow, type MaskedColumn, type Path } from './flow.ts'
import type { Finding, Influence, InfluenceFinding, MaskedWrite } from './lineage.ts'

/** Collects what a statement does with masked columns beside returning them. */
export class Facts {
  readonly influences: InfluenceFinding[] = []
  readonly launders: Finding[] = []
  readonly partials: Finding[] = []
  readonly maskedWrites: MaskedWrite[] = []
  readonly unresolved = new Set<string>()
  readonly sideDoors = new Set<string>()
  /** Something in what was followed may end in an error, whatever decides whether it is computed. */
  fails = false
  /** Something in it is noticed by others, or by what comes later. */
  acts = false
  readonly #known = new Set<string>()
  readonly #planned = new Map<MaskedColumn, Path>()

  influence(influence: Influence, flow: Flow, what: string, isLookup = false): void {
    if (!isTainted(flow) || this.#isKnown(`${influence} ${String(isLookup)} ${what}`, flow)) return
    this.influences.push({ influence, flow, what, isLookup })
  }

  launder(flow: Flow, what: string): void {
    if (!isTainted(flow) || this.#isKnown(`launder ${what}`, flow)) return
    this.launders.push({ flow, what })
  }

  partial(flow: Flow, what: string): void {
    if (!isTainted(flow) || this.#isKnown(`partial ${what}`, flow)) return
    this.partials.push({ flow, what })
  }

  maskedWrite(column: MaskedColumn, constant?: string, parameter?: number): void {
    this.maskedWrites.push({ column, constant, parameter })
  }

  /** An expression was followed: what it may do is done wherever it is computed. */
  note({ fails, acts }: Pick<Flow, 'fails' | 'acts'>): void {
    this.fails ||= fails
    this.acts ||= acts
  }

  /** A plan computes this, whether it is used or not. */
  plan(flow: Flow): void {
    for (const [column, path] of flow.sources)
      if (!this.#planned.has(column)) this.#planned.set(column, path)
  }

  /** What plans compute that neither returns nor decides anything: they tell how wide it is. */
  get planned(): Flow {
    return { sources: this.#planned, isExact: false, fails: false, acts: false }
  }

  get isEmpty(): boolean {
    const found = [this.influences, this.launders, this.partials, this.maskedWrites]
    return (
      found.every((list) => list.length === 0) && this.unresolved.size + this.sideDoors.size === 0
    )
  }

  /** Takes over what was found in a view or function that the statement uses. */
  include(other: Facts): void {
    this.includeInfluences(other)
    this.includeRest(other)
  }

  includeInfluences(other: Facts): void {
    if (other === this) return
    for (const one of other.influences)
      this.influence(one.influence, one.flow, one.what, one.isLookup)
    this.note(other)
  }

  /** All but what decides about rows. */
  includeRest(other: Facts): void {
    if (other === this) return
    this.plan(other.planned)
    for (const one of other.launders) this.launder(one.flow, one.what)
    for (const one of other.partials) this.partial(one.flow, one.what)
    this.maskedWrites.push(...other.maskedWrites)
    for (const reason of other.unresolved) this.unresolved.add(reason)
    for (const door of other.sideDoors) this.sideDoors.add(door)
  }

  /** A recursive query is followed until nothing changes: what was found before is not found again. */
  #isKnown(what: string, flow: Flow): boolean {
    const columns = [...flow.sources.keys()].map(({ name }) => name.join('.'))
    const key = `${what} ${columns.join(' ')}`
    if (this.#known.has(key)) return true
    this.#known.add(key)
    return false
  }
}

/** Whose approval a rule asks for, how many of them, how soon, and what they may answer. */
export interface ApprovalDemand {
  /**
   * `group:NAME`, `user:NAME`, `agent:ID`, `agent:NAME@PRINCIPAL`, or `owner`, who runs the gateway. Any of these may approve.
   * Anybody may give an agent a name, so that it counts only below a principal.
   */
  readonly from: readonly string[]
  /** How many different ones have to. */
  readonly count: number
  /** Milliseconds until no answer is a denial. */
  readonly withinMs: number
  /**
   * What an approver may be offered: `once`; `shape-30m`, which is for the same shape of command for so long; `bundle`, one answer
   * to many of one shape that wait.
   */
  readonly offer: readonly string[]
  /** Rows that a command may touch, by the planner's estimate, to be let through by its shape. */
  readonly shapeRowsMax: number
  /** Rows, by the planner's estimate, up to which a linked person may answer in a chat; absent where nobody may. */
  readonly chatRowsMax?: number
  /** Whether the person at the root of the tree that asks may approve. */
  readonly selfRoot: 'deny' | 'allow'
  /** `hold` keeps the command waiting; `return` refuses it at once, and lets the same command through when it is approved. */
  readonly wait: 'hold' | 'return'
}

/** A demand, and the rule that makes it; a default has none. */
export interface RuleDemand {
  readonly rule: string
  readonly message: string
  readonly demand: ApprovalDemand
}

/** Who answers a request, as known at that moment. */
export interface Approver {
  /** Of the principal, or of the agent. */
  readonly id: string
  readonly kind: 'owner' | 'person' | 'agent'
  /** Id of who stands behind: of a person that is their own, of an agent that of the root of its tree. */
  readonly principal: string
  readonly name: string
  /** Groups that the identity provider reports now. */
  readonly groups: readonly string[]
}

/** Who asks: everybody of the tree, who may not answer. */
export interface Requester {
  /** The principal at the root. */
  readonly rootId: string
  readonly rootIsHuman: boolean
  /** Of all agents of the tree; the chain at least. */
  readonly agents: ReadonlySet<string>
}

/** Whether somebody counts for what a rule asks, as far as that is not said by the rule itself. */
export type CountsFor = (approver: Approver, rule: string) => boolean

/** How soon a request ends where several rules ask: all have to be met, so the shortest time counts. Milliseconds. */
export function withinOf(demands: readonly RuleDemand[]): number {
  return Math.min(...demands.map(({ demand }) => demand.withinMs))
}

/** The demands that somebody's yes counts for. */
export function demandsOf(
  approver: Approver,
  demands: readonly RuleDemand[],
  requester: Requester,
): RuleDemand[] {
  return demands.filter(({ demand }) => mayAnswer(approver, demand, requester))
}

/** Why somebody may not answer a request for these demands; undefined where they may. */
export function refusalOfApprover(
  approver: Approver,
  demands: readonly RuleDemand[],
  requester: Requester,
): 'own-request' | 'not-named' | undefined {
  if (approver.kind === 'agent' && requester.agents.has(approver.id)) return 'own-request'
  const named = demands.filter(({ demand }) => isNamedIn(approver, demand.from))
  if (named.length === 0) return 'not-named'
  return demandsOf(approver, demands, requester).length > 0 ? undefined : 'own-request'
}

/**
 * Whether these approvers meet all demands: each as many as its count, and nobody counts for two demands. `approvers` are
 * looked at by who stands behind them: a person and their agent are one, and who says yes twice is one. Who does not count
 * for a rule by `countsFor` does not, whatever the rule says.
 */
export function areMet(
  demands: readonly RuleDemand[],
  approvers: readonly Approver[],
  requester: Requester,
  countsFor: CountsFor = () => true,
): boolean {
  const people = [...Map.groupBy(approvers, ({ principal }) => principal).values()]
  const places = demands.flatMap((each) => Array.from({ length: each.demand.count }, () => each))
  const fits = (each: Approver, { rule, demand }: RuleDemand): boolean =>
    mayAnswer(each, demand, requester) && countsFor(each, rule)
  // Each place takes one person: a matching of all places, found by augmenting paths.
  const placeOf = new Map<readonly Approver[], number>()
  const seat = (place: number, tried: Set<readonly Approver[]>): boolean => {
    const wanted = places[place]
    if (wanted === undefined) return false
    for (const person of people) {
      if (tried.has(person) || !person.some((each) => fits(each, wanted))) continue
      tried.add(person)
      const taken = placeOf.get(person)
      if (taken !== undefined && !seat(taken, tried)) continue
      placeOf.set(person, place)
      return true
    }
    return false
  }
  // Where nothing is asked for, nobody can have met it.
  return places.length > 0 && places.every((_, place) => seat(place, new Set()))
}

/** Who is named by one of these words, in the form that people read: `2 of group:sre`. */
export function describeDemands(demands: readonly RuleDemand[]): string {
  return demands.map(({ demand }) => `${demand.count} of ${demand.from.join(', ')}`).join(' and ')
}

/** A demand is the same whatever message its rule has. */
export function sameDemands(left: readonly RuleDemand[], right: readonly RuleDemand[]): boolean {
  return keyOfDemands(left) === keyOfDemands(right)
}

/** One text for each set of demands, in whatever order they stand. */
export function keyOfDemands(demands: readonly RuleDemand[]): string {
  const keys = demands.map(({ rule, demand }) =>
    JSON.stringify([
      rule,
      demand.from,
      demand.count,
      demand.selfRoot,
      demand.wait,
      demand.chatRowsMax,
    ]),
  )
  return keys.toSorted().join('\n')
}

/** By which words of a rule's `from` an agent is named. */
export function agentWords({ id, name, principal }: Omit<Approver, 'kind' | 'groups'>): string[] {
  return [`agent:${id}`, `agent:${name}@${principal}`]
}

function mayAnswer(approver: Approver, demand: ApprovalDemand, requester: Requester): boolean {
  if (!isNamedIn(approver, demand.from)) return false
  if (approver.kind === 'agent' && requester.agents.has(approver.id)) return false
  // What the person at the root may not do, an agent of theirs in another tree may not either.
  if (approver.principal !== requester.rootId) return true
  return demand.selfRoot === 'allow' && requester.rootIsHuman
}

/** Whether one of these words of a rule's `from` names somebody. */
export function isNamedIn(approver: Approver, from: readonly string[]): boolean {
  const { kind, id, name, groups } = approver
  if (kind === 'agent') return agentWords(approver).some((word) => from.includes(word))
  if (kind === 'owner' && from.includes('owner')) return true
  if (from.includes(`user:${name}`) || from.includes(`user:${id}`)) return true
  return groups.some((group) => from.includes(`group:${group}`))
}

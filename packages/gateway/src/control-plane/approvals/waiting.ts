import {
  refusalOfApprover,
  SallyportError,
  visibleText,
  type AgentId,
  type Approver,
  type Requester,
} from '@sallyport/core'
import type { HoldAsked } from '../../boundary/approvals.ts'
import type { FactBy, Ledger } from '../ledger/ledger.ts'
import { answerRefused, type ApprovalAnswer } from './approval.ts'
import { bundleKeyOf } from './bundle-key.ts'
import { changedMs, changeInTheWay, type RecentChange } from './recent-changes.ts'

/** What approvals need of the agents. */
export interface ApprovalAgents {
  /** The principal of the tree; undefined where the agent is not known. */
  rootOf(agent: AgentId): { readonly id: string; readonly isHuman: boolean } | undefined
  /** The root of an agent's tree. */
  treeOf(agent: string): string | undefined
  /** Why it may not act. */
  refusal(agent: AgentId): string | undefined
  /** Takes one approval of the budgets of its path; gives the budget that is used up. */
  spend(agent: AgentId): Promise<string | undefined>
}

/** A request that waits. */
export interface Waiting {
  readonly asked: HoldAsked
  /** The worker that holds the command; undefined where its caller was told to come again. */
  readonly worker: number | undefined
  readonly requester: Requester
  readonly answers: Map<string, ApprovalAnswer>
  /** See `bundleKeyOf`. */
  readonly bundleKey: string | undefined
}

const noteCharactersMax = 500

export function waitingOf(
  asked: HoldAsked,
  requester: Requester,
  worker?: number,
  answers = new Map<string, ApprovalAnswer>(),
): Waiting {
  return { asked, worker, requester, answers, bundleKey: bundleKeyOf(asked) }
}

/** Who asks; undefined where the agent is not known. */
export function requesterOf(asked: HoldAsked, agents: ApprovalAgents): Requester | undefined {
  const root = agents.rootOf(asked.agent)
  if (root === undefined) return undefined
  return { rootId: root.id, rootIsHuman: root.isHuman, agents: new Set(asked.path) }
}

/** Throws SP_APPROVAL_REFUSED for who may not answer a request that waits, and has the ledger say who tried to. */
export function mustBeApprover(
  { asked, requester }: Waiting,
  approver: Approver,
  { agents, ledger }: { readonly agents: ApprovalAgents; readonly ledger: Ledger },
): void {
  const tree = approver.kind === 'agent' ? agents.treeOf(approver.id) : undefined
  const isOfTree = tree !== undefined && tree === asked.path[0]
  const asking = isOfTree ? { ...requester, agents: new Set([approver.id]) } : requester
  const why = refusalOfApprover(approver, asked.demands, asking)
  if (why === undefined) return
  const actor = factBy(approver)
  const detail = { why }
  void ledger.write({ what: 'approval.refused', actor, subject: asked.id, detail })
  throw answerRefused(
    why === 'own-request'
      ? 'nobody answers a request of the own tree'
      : `no rule of this request names ${approver.name} or a group of theirs`,
  )
}

/** Throws SP_APPROVAL_REFUSED for who has changed each rule that their yes would count for, or the grant, and tells the ledger. */
export function mustNotHaveChanged(
  { asked, requester }: Waiting,
  approver: Approver,
  changes: readonly RecentChange[],
  ledger: Ledger,
): void {
  const change = changeInTheWay(changes, approver, asked.demands, requester)
  if (change === undefined) return
  const { why, what, atMs } = change
  const actor = factBy(approver)
  void ledger.write({ what: 'approval.refused', actor, subject: asked.id, detail: { why } })
  const until = new Date(atMs + changedMs).toISOString()
  throw answerRefused(`${why}: ${what}, so that somebody else has to approve until ${until}`)
}

/** A note is read on terminals, of callers too, and stands in the ledger: one line that shows all it says. */
export function mustBeNote(note: string): void {
  const isPlain = visibleText(note) === note && note.isWellFormed()
  if (note.length <= noteCharactersMax && isPlain) return
  const detail = `a note is one line of at most ${noteCharactersMax} characters, none of which steers a terminal`
  throw new SallyportError('SP_CONFIG_INVALID', detail, { detail })
}

export function factBy({ kind, name }: Approver): FactBy {
  return { by: kind === 'agent' ? 'agent' : kind === 'owner' ? 'owner' : 'principal', name }
}

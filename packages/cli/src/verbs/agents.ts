import { setTimeout as sleep } from 'node:timers/promises'
import { withAgentCalls } from '../agent-calls.ts'
import type { Answered } from '@sallyport/gateway'
import type { AgentView } from '../broker/protocol.ts'
import type { VerbContext } from '../context.ts'
import { age } from '../durations.ts'
import { EXIT } from '../exit-codes.ts'
import { printable, printList, printOne, table } from '../output.ts'

export type AgentTree = Answered<'GET /v1/agents/{id}/tree'>

type BudgetLine = Answered<'GET /v1/agents/{id}/budget'>[number]

/** Characters of an id that are printed: prefix and five, unique for all that matters to a reader. */
const shortId = 7
const livePauseMs = 1000
const clearScreen = '\u001B[H\u001B[2J'

/** Who this process is, and what it may use. */
export async function status(context: VerbContext, agent: string | undefined): Promise<number> {
  return await withAgentCalls(context, async (calls) => {
    if (agent === undefined && !calls.asAgent) {
      const rows = await calls.call('GET /v1/agents')
      return await printAgents(context, rows.filter(isLive))
    }
    const view = await calls.call('GET /v1/agents/{id}', of(agent ?? 'self'))
    const text = [
      `${view.name} ${view.id.slice(0, shortId)}… (${view.chain.join(' › ')}) ${view.state} until ${view.expiresAt}${view.purpose === undefined ? '' : ` · "${view.purpose}"`}`,
      `  grant    ${view.grant.join(' · ')}`,
      `  budget   ${budgetText(view)}`,
      `  live     ${view.live?.sessions ?? 0} sessions · ${view.live?.children ?? 0} children · ${view.live?.agents ?? 0} agents below`,
    ]
    await printOne(
      context.output,
      view,
      text.map((line) => `${printable(line)}\n`).join(''),
      view.id,
    )
    return EXIT.done
  })
}

/** The agents directly below one. */
export async function children(context: VerbContext, agent: string | undefined): Promise<number> {
  return await withAgentCalls(context, async (calls) => {
    const trees = await treesOf(context, agent)
    const below = trees.flatMap((tree) =>
      calls.asAgent || agent !== undefined ? tree.children : [tree],
    )
    return await printAgents(
      context,
      below.map((tree) => tree.agent),
    )
  })
}

/** Agents and all below them; `live` paints again until Ctrl-C. */
export async function tree(
  context: VerbContext,
  agent: string | undefined,
  flags: { readonly live?: boolean },
): Promise<number> {
  const { output } = context
  const isText = (output.form ?? (output.isTerminal ? 'table' : 'json')) === 'table'
  const trees = await treesOf(context, agent)
  if (!isText) {
    output.data(`${JSON.stringify(agent === undefined ? trees : trees[0])}\n`)
    return EXIT.done
  }
  output.data(treeText(trees))
  while (flags.live === true && output.isTerminal) {
    await sleep(livePauseMs)
    output.data(clearScreen + treeText(await treesOf(context, agent)))
  }
  return EXIT.done
}

/** What is left of the budgets of an agent and of all above it. */
export async function budget(context: VerbContext, agent: string | undefined): Promise<number> {
  return await withAgentCalls(context, async (calls) => {
    const lines = await calls.call('GET /v1/agents/{id}/budget', of(agent ?? 'self'))
    const columns = {
      AGENT: (row: BudgetLine) => row.name,
      KIND: (row: BudgetLine) => row.kind,
      USED: (row: BudgetLine) => String(row.used),
      CAP: (row: BudgetLine) => String(row.cap),
    }
    await printList(context.output, lines, columns, (row) => `${row.name}:${row.kind}`)
    return EXIT.done
  })
}

async function treesOf(context: VerbContext, agent: string | undefined): Promise<AgentTree[]> {
  return await withAgentCalls(context, async (calls) => {
    if (agent !== undefined || calls.asAgent) {
      return [await calls.call('GET /v1/agents/{id}/tree', of(agent ?? 'self'))]
    }
    const all = await calls.call('GET /v1/agents')
    const roots = all.filter((each) => each.depth === 0 && isLive(each))
    return await Promise.all(
      roots.map(async (root) => await calls.call('GET /v1/agents/{id}/tree', of(root.id))),
    )
  })
}

async function printAgents(context: VerbContext, rows: readonly AgentView[]): Promise<number> {
  const columns = {
    AGENT: (row: AgentView) => row.id.slice(0, shortId),
    CHAIN: (row: AgentView) => row.chain.join(' › '),
    STATE: (row: AgentView) => row.state,
    SESSIONS: (row: AgentView) => String(row.live?.sessions ?? 0),
    TTL: ttl,
  }
  await printList(context.output, rows, columns, (row) => row.id)
  return EXIT.done
}

/** One line an agent, the branches drawn as lines. */
export function treeText(trees: readonly AgentTree[]): string {
  interface Row {
    readonly label: string
    readonly agent: AgentView
  }
  const rows: Row[] = []
  const add = ({ agent, children: below }: AgentTree, lead: string, branch: string): void => {
    rows.push({ label: lead + branch + agent.name, agent })
    const next = lead + (branch === '' ? '' : branch === '└─ ' ? '   ' : '│  ')
    for (const [at, child] of below.entries()) {
      add(child, next, at === below.length - 1 ? '└─ ' : '├─ ')
    }
  }
  for (const each of trees) add(each, '', '')
  return table(rows, {
    AGENT: (row) => row.label,
    ID: (row) => row.agent.id.slice(0, shortId),
    STATE: (row) => row.agent.state,
    SESSIONS: (row) => String(row.agent.live?.sessions ?? 0),
    TTL: (row) => ttl(row.agent),
    FOR: (row) => row.agent.purpose ?? row.agent.ended?.reason ?? '',
  })
}

/** Names an agent in a call; people type ids in any case. */
export function of(agent: string): { readonly params: { readonly id: string } } {
  return { params: { id: agent.toLowerCase() } }
}

function isLive(agent: AgentView): boolean {
  return agent.state === 'active' || agent.state === 'frozen'
}

function ttl(agent: AgentView): string {
  return isLive(agent) ? age(Date.parse(agent.expiresAt) - Date.now()) : '–'
}

function budgetText(agent: AgentView): string {
  const caps = agent.budget ?? []
  const lines = caps.map(({ kind, cap, used }) => `${kind} ${used} of ${cap}`)
  return lines.join(' · ') || 'no caps'
}

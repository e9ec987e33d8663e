import { timingSafeEqual } from 'node:crypto'
import { credentialDigest, secretIdOf } from '../credential-text.ts'
import type { AgentContext } from './agent-context.ts'
import type { AgentNode } from './agent-node.ts'

/** The agent whose handle a text is, whatever its state. */
export function nodeOfHandle(
  handles: AgentContext['handles'],
  text: string,
): AgentNode | undefined {
  const known = handles.get(secretIdOf('spa', text) ?? '')
  if (known === undefined) return undefined
  const isSame = timingSafeEqual(Buffer.from(known.digest), Buffer.from(credentialDigest(text)))
  return isSame ? known.agent : undefined
}

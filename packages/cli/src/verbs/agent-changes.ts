import { withAgentCalls } from '../agent-calls.ts'
import type { VerbContext } from '../context.ts'
import { EXIT } from '../exit-codes.ts'
import { printable, printOne } from '../output.ts'
import { of } from './agents.ts'

/** Takes from what an agent may do, for good. */
export async function narrow(
  context: VerbContext,
  agent: string,
  { allow }: { readonly allow: readonly string[] },
): Promise<number> {
  return await withAgentCalls(context, async (calls) => {
    const view = await calls.call('POST /v1/agents/{id}/narrow', { ...of(agent), body: { allow } })
    const text = `✓ ${printable(view.name)} may do from here on: ${printable(view.grant.join(' · '))}\n`
    await printOne(context.output, view, text, view.id)
    return EXIT.done
  })
}

/** Moves an agent's end. */
export async function renew(
  context: VerbContext,
  agent: string,
  { ttl }: { readonly ttl: string },
): Promise<number> {
  return await withAgentCalls(context, async (calls) => {
    const view = await calls.call('POST /v1/agents/{id}/renew', { ...of(agent), body: { ttl } })
    const text = `✓ ${printable(view.name)} lasts until ${view.expiresAt}\n`
    await printOne(context.output, view, text, view.id)
    return EXIT.done
  })
}

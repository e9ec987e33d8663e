import type { GlassBegun, GlassView } from '@sallyport/gateway'
import { withAgentCalls } from '../agent-calls.ts'
import type { VerbContext } from '../context.ts'
import { age } from '../durations.ts'
import { EXIT } from '../exit-codes.ts'
import { printable, printList, printOne } from '../output.ts'

export interface GlassFlags {
  readonly on: readonly string[]
  readonly reason: string
  readonly for: string
  readonly agent?: string
}

/** The owner breaks it at once; below an agent, the person at its root gets an address to confirm it at. */
export async function breakGlass(context: VerbContext, flags: GlassFlags): Promise<number> {
  return await withAgentCalls(context, async (calls) => {
    const { on: connections, reason, for: time, agent } = flags
    const body = {
      connections: [...connections],
      reason,
      for: time,
      ...(agent === undefined ? {} : { agent }),
    }
    const begun = await calls.call('POST /v1/break-glass', { body })
    const name = begun.glass?.id ?? begun.confirmAt ?? ''
    await printOne(context.output, begun, begunText(begun), name)
    return EXIT.done
  })
}

export async function listGlasses(context: VerbContext): Promise<number> {
  return await withAgentCalls(context, async (calls) => {
    const rows = await calls.call('GET /v1/break-glass')
    const columns = {
      ID: (row: GlassView) => row.id,
      STATE: (row: GlassView) => row.state,
      BY: (row: GlassView) => printable(row.by),
      AGENT: (row: GlassView) => row.agent,
      ON: (row: GlassView) => row.connections.join(', '),
      USES: (row: GlassView) => String(row.uses),
      ENDS: (row: GlassView) =>
        row.state === 'open' ? age(Date.parse(row.until) - Date.now()) : '–',
      INCIDENT: (row: GlassView) => row.incident,
      REASON: (row: GlassView) => printable(row.reason),
    }
    await printList(context.output, rows, columns, (row) => row.id)
    return EXIT.done
  })
}

export async function endGlass(context: VerbContext, glass: string): Promise<number> {
  return await withAgentCalls(context, async (calls) => {
    const view = await calls.call('POST /v1/break-glass/{id}/end', { params: { id: glass } })
    const text = `✓ ended ${view.id} after ${view.uses} commands. The incident is ${view.incident}.\n`
    await printOne(context.output, view, text, view.id)
    return EXIT.done
  })
}

function begunText({ glass, url, confirmAt }: GlassBegun): string {
  if (glass === undefined)
    return `Nothing is let through yet. Log in and say yes here, within 10 minutes: ${confirmAt ?? ''}\n`
  const { id, agent, connections, until, incident } = glass
  const open = `✓ ${id} is open for ${agent} on ${connections.join(', ')} until ${until}.`
  const told = `It is on record. The incident is ${incident}; somebody else closes it.`
  return `${open}\n${told}\n${url === undefined ? '' : `psql "${url}"\n`}`
}

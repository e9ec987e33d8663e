import type { Context } from 'hono'
import { streamSSE } from 'hono/streaming'
import type { AgentEvent } from './agent-events.ts'
import { chainOf } from './agent-node.ts'
import type { AgentService } from './agent-service.ts'
import type { ApiCaller } from './api-caller.ts'

/** A connection that carries nothing for this long is closed by proxies on the way. */
const pingEveryMs = 15_000
/** A watcher that reads slower than this many events behind is cut off; it can ask for the tree again. */
const waitingMax = 1000

/** Server-sent events of what happens to the caller and all below it. `closed` is called when they end. */
export function eventStream(
  context: Context,
  agents: AgentService,
  caller: ApiCaller,
  closed: () => void,
): Response {
  return streamSSE(context, async (stream) => {
    const waiting: AgentEvent[] = []
    let wake = Promise.withResolvers<void>()
    let open = true
    const stop = agents.onEvent((event) => {
      if (!caller.reaches(event.agent.path.map(({ id }) => id))) return
      if (waiting.push(event) > waitingMax) open = false
      wake.resolve()
    })
    stream.onAbort(() => {
      open = false
      wake.resolve()
    })
    const ping = setInterval(() => void stream.write(': ping\n\n'), pingEveryMs)
    try {
      await stream.write(': open\n\n')
      while (open) {
        await wake.promise
        wake = Promise.withResolvers<void>()
        // Who watches reads of the own end, and of nothing after it.
        if (!caller.holds()) break
        for (const event of waiting.splice(0)) await stream.writeSSE(messageOf(event))
        if (caller.isOver()) break
      }
    } finally {
      clearInterval(ping)
      stop()
      closed()
    }
  })
}

function messageOf({ kind, agent, by, atMs, detail }: AgentEvent): { event: string; data: string } {
  const data = {
    kind,
    agent: agent.id,
    chain: chainOf(agent),
    at: new Date(atMs).toISOString(),
    by: by.name,
    ...detail,
  }
  return { event: kind, data: JSON.stringify(data) }
}

import type { DeliveryStatus } from '@sallyport/gateway'
import type { VerbContext } from '../context.ts'
import { age } from '../durations.ts'
import { EXIT } from '../exit-codes.ts'
import { printList, printOne } from '../output.ts'

/** Lists exports, and how far each is behind. */
export async function listExports(context: VerbContext): Promise<number> {
  const api = await context.api()
  const rows = await api.call('GET /v1/event-exports')
  const now = Date.now()
  const columns = {
    NAME: (row: DeliveryStatus) => row.name,
    TYPE: (row: DeliveryStatus) => row.type,
    WHERE: (row: DeliveryStatus) => row.where,
    WAITING: (row: DeliveryStatus) => String(row.waiting),
    BEHIND: (row: DeliveryStatus) => (row.sinceMs === undefined ? '–' : age(now - row.sinceMs)),
    DELIVERED: (row: DeliveryStatus) => String(row.delivered),
    STATE: (row: DeliveryStatus) => row.problem ?? 'ok',
  }
  await printList(context.output, rows, columns, (row) => row.name)
  return EXIT.done
}

/** Sends a test to where an export goes. */
export async function testExport(context: VerbContext, name: string): Promise<number> {
  const api = await context.api()
  const tried = await api.call('POST /v1/event-exports/{name}/test', { params: { name } })
  const text = tried.ok
    ? `✓ ${name}: ${tried.where} took a test event\n`
    : `✕ ${name}: ${tried.where}: ${tried.problem ?? ''}\n`
  await printOne(context.output, tried, text, name)
  return tried.ok ? EXIT.done : EXIT.findings
}

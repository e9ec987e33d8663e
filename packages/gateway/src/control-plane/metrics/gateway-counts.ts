import type { ErrorCode } from '@sallyport/core'
import type { OnClosure } from '../agents/agent-context.ts'
import type { RevocationTable } from '../ports/tables/agent-tables.ts'
import { ApprovalCounts } from './approval-counts.ts'
import { LatencyTotal, WorkerTotals } from './totals.ts'

/** What is counted while the gateway runs. */
export class GatewayCounts {
  readonly workers = new WorkerTotals()
  /** How long it took until the sessions of an agent were closed. */
  readonly closures = new Map<RevocationTable['mode'], LatencyTotal>()
  readonly approvals = new ApprovalCounts()
  readonly apiRefusals = new Map<ErrorCode, number>()

  readonly closure: OnClosure = (mode, { ms }) => {
    if (mode === 'unfreeze') return
    const total = this.closures.get(mode) ?? new LatencyTotal()
    total.addOne(ms / 1000)
    this.closures.set(mode, total)
  }

  readonly apiRefused = (code: ErrorCode): void => {
    this.apiRefusals.set(code, (this.apiRefusals.get(code) ?? 0) + 1)
  }
}

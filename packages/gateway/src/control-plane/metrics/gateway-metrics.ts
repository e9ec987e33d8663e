import { COARSE_CLASSES, ERRORS, type AgentState, type ErrorCode } from '@sallyport/core'
import { COUNTED_VERDICTS } from '../../boundary/counts.ts'
import type { PoolState } from '../ports/store.ts'
import type { RevocationTable } from '../ports/tables/agent-tables.ts'
import type { WorkerState } from '../worker-pool.ts'
import type { Metric, Sample } from './exposition.ts'
import type { JournalSpace } from '../recordings/journal-space.ts'
import { COUNTED_ENDS, type ApprovalCounts } from './approval-counts.ts'
import type { LatencyTotal, WorkerTotals } from './totals.ts'
import type { ChannelStatus } from '../contract/channels.ts'
import type { DeliveryStatus, SearchStatus, ShippingStatus } from '../contract/operations.ts'

/** How the gateway is, as `/metrics` tells it. No agent, principal or statement is in it. */
export interface MetricsView {
  readonly version: string
  readonly policyVersion: number
  readonly nowMs: number
  readonly totals: WorkerTotals
  readonly closures: ReadonlyMap<RevocationTable['mode'], LatencyTotal>
  readonly approvals: Pick<ApprovalCounts, 'ends' | 'decisions'>
  readonly agents: ReadonlyMap<AgentState, number>
  readonly apiRefusals: ReadonlyMap<ErrorCode, number>
  readonly workers: readonly WorkerState[]
  readonly shipping: ShippingStatus
  readonly search: SearchStatus
  readonly exports: readonly DeliveryStatus[]
  readonly channels: readonly ChannelStatus[]
  readonly pool: PoolState
  /** Undefined where the folder cannot be looked at. */
  readonly journals: JournalSpace | undefined
  /** Of the control plane, in seconds. */
  readonly loopLag: number
}

const agentStates = ['active', 'frozen', 'ended', 'expired', 'revoked'] as const
const workerStates = ['starting', 'ready', 'restarting', 'stopped'] as const
/** The only protocol that there is. */
const type = 'postgres'

/** All metrics of the gateway. The names of their series are bounded by the configuration, never by what callers do. */
export function gatewayMetrics(view: MetricsView): Metric[] {
  return [
    ...commandMetrics(view),
    ...agentMetrics(view),
    ...approvalMetrics(view),
    ...recordingMetrics(view),
    ...exportMetrics(view),
    ...channelMetrics(view),
    ...processMetrics(view),
  ]
}

function commandMetrics({ totals, apiRefusals }: MetricsView): Metric[] {
  const commands = [...totals.connections].flatMap(([connection, total]) =>
    COUNTED_VERDICTS.flatMap((verdict) =>
      COARSE_CLASSES.map((name) => ({
        labels: { connection, type, verdict, class: name },
        value: total.commands[verdict][name],
      })),
    ),
  )
  const masked = [...totals.connections].map(([connection, total]) => ({
    labels: { connection },
    value: total.masked,
  }))
  const sessions = [...totals.levels.values()].reduce((sum, each) => sum + each.sessions, 0)
  return [
    counter('commands_total', 'Commands that were judged.', commands),
    latency('decision_seconds', 'From reading a command to its verdict.', [
      totals.decision.distribution({ type }),
    ]),
    latency(
      'added_latency_seconds',
      'From reading a command until it could leave, its verdict stored.',
      [totals.added.distribution({ type })],
    ),
    counter('masked_values_total', 'Values that were masked in answers.', masked),
    counter('refusals_total', 'Errors of the catalogue that callers have read.', [
      ...refusals('callers', totals.refusals),
      ...refusals('api', apiRefusals),
    ]),
    gauge('sessions', 'Sessions that are open.', [{ labels: { type }, value: sessions }]),
    counter('sessions_opened_total', 'Sessions that were opened.', [
      { labels: { type }, value: totals.sessionsOpened },
    ]),
  ]
}

function agentMetrics({ agents, closures }: MetricsView): Metric[] {
  return [
    gauge(
      'agents',
      'Agents that live, or ended a short while ago.',
      agentStates.map((state) => ({ labels: { state }, value: agents.get(state) ?? 0 })),
    ),
    latency(
      'revocation_seconds',
      'From asking for the end or freeze of an agent until its last session was closed.',
      [...closures].map(([mode, total]) => total.distribution({ mode })),
    ),
  ]
}

function approvalMetrics({ approvals }: MetricsView): Metric[] {
  return [
    counter(
      'approvals_total',
      'Requests for approval that have ended.',
      COUNTED_ENDS.map((outcome) => ({
        labels: { outcome },
        value: approvals.ends.get(outcome) ?? 0,
      })),
    ),
    latency('approval_seconds', 'From the question to an answer that somebody gave.', [
      approvals.decisions,
    ]),
  ]
}

function recordingMetrics({ shipping, search, journals, totals, nowMs }: MetricsView): Metric[] {
  const { pendingSinceMs, anchoredAtMs } = shipping
  const age = (sinceMs: number): number => Math.max(0, (nowMs - sinceMs) / 1000)
  return [
    gauge(
      'journal_bytes',
      'Bytes of journals on this disk.',
      journals === undefined ? [] : [{ value: journals.usedBytes }],
    ),
    gauge(
      'journal_free_bytes',
      'Bytes that are left on the disk of the journals.',
      journals === undefined ? [] : [{ value: journals.freeBytes }],
    ),
    latency('journal_fsync_seconds', 'Syncs of journals.', [totals.sync.distribution({})]),
    gauge('recording_lag_bytes', 'Bytes that were read from journals and are not in the store.', [
      { value: shipping.pendingBytes },
    ]),
    gauge('recording_lag_seconds', 'Age of the oldest entry that is not in the store.', [
      { value: pendingSinceMs === undefined ? 0 : age(pendingSinceMs) },
    ]),
    gauge('recording_failing', '1 while recordings are not shipped.', [
      flag(shipping.problem !== undefined),
    ]),
    gauge(
      'recording_problems',
      'What keeps recordings from being whole, found since the start. Alert on anything but 0.',
      [{ value: shipping.problems }],
    ),
    gauge('anchor_age_seconds', 'Time since the newest anchor was signed.', [
      { value: age(anchoredAtMs) },
    ]),
    gauge('index_lag_bytes', 'Bytes of rows that the index of commands has not written.', [
      { value: search.pendingBytes },
    ]),
    gauge('index_failing', '1 while the index of commands does not go on.', [
      flag(search.problem !== undefined),
    ]),
  ]
}

function exportMetrics({ exports, nowMs }: MetricsView): Metric[] {
  const of = (value: (each: DeliveryStatus) => number): Sample[] =>
    exports.map((each) => ({ labels: { export: each.name }, value: value(each) }))
  return [
    gauge(
      'export_waiting',
      'Events that an export has yet to deliver, at most 100000.',
      of(({ waiting }) => waiting),
    ),
    gauge(
      'export_lag_seconds',
      'Age of the oldest event that an export has yet to deliver.',
      of(({ sinceMs }) => (sinceMs === undefined ? 0 : Math.max(0, (nowMs - sinceMs) / 1000))),
    ),
    gauge(
      'export_failing',
      '1 while an export does not go on.',
      of(({ problem }) => (problem === undefined ? 0 : 1)),
    ),
    counter(
      'export_events_total',
      'Events that were delivered.',
      of(({ delivered }) => delivered),
    ),
    counter(
      'export_dropped_total',
      'Spans that were not told: too many waited, or they were refused.',
      of(({ dropped = 0 }) => dropped),
    ),
    counter(
      'export_failures_total',
      'Tries to deliver events that failed.',
      of(({ failures }) => failures),
    ),
  ]
}

function channelMetrics({ channels }: MetricsView): Metric[] {
  const of = (value: (each: ChannelStatus) => number): Sample[] =>
    channels.map((each) => ({ labels: { channel: each.name }, value: value(each) }))
  return [
    gauge(
      'channel_waiting',
      'Messages about approvals that a channel has yet to deliver.',
      of(({ waiting }) => waiting),
    ),
    gauge(
      'channel_failing',
      '1 while a channel does not go on.',
      of(({ problem }) => (problem === undefined ? 0 : 1)),
    ),
    counter(
      'channel_messages_total',
      'Messages about approvals that were delivered.',
      of(({ delivered }) => delivered),
    ),
    counter(
      'channel_failures_total',
      'Tries to deliver them that failed.',
      of(({ failures }) => failures),
    ),
    counter(
      'channel_dropped_total',
      'Messages about approvals that were given up.',
      of(({ dropped }) => dropped),
    ),
  ]
}

function processMetrics(view: MetricsView): Metric[] {
  const { workers, totals, pool } = view
  const inState = (state: string): number => workers.filter((each) => each.state === state).length
  const lags = [...totals.levels].map(([worker, { loopLag }]) => ({
    labels: { process: `worker-${worker}` },
    value: loopLag,
  }))
  return [
    gauge('build_info', 'The version that runs.', [
      { labels: { version: view.version }, value: 1 },
    ]),
    gauge('policy_version', 'Version of the policies that are in force.', [
      { value: view.policyVersion },
    ]),
    gauge(
      'workers',
      'Processes of the data plane.',
      workerStates.map((state) => ({ labels: { state }, value: inState(state) })),
    ),
    counter(
      'worker_restarts_total',
      'Workers that ended unasked and were started again.',
      workers.map(({ worker, restarts }) => ({
        labels: { worker: String(worker) },
        value: restarts,
      })),
    ),
    gauge('event_loop_lag_seconds', 'The longest that a process was late in the last second.', [
      { labels: { process: 'control-plane' }, value: view.loopLag },
      ...lags,
    ]),
    gauge('database_connections', "Connections to the control plane's database.", [
      { labels: { state: 'idle' }, value: pool.idle },
      { labels: { state: 'busy' }, value: pool.total - pool.idle },
    ]),
    gauge('database_waiting', 'Changes that wait for a connection to the database.', [
      { value: pool.waiting },
    ]),
  ]
}

function refusals(at: string, counts: ReadonlyMap<ErrorCode, number>): Sample[] {
  return [...counts]
    .filter(([code]) => code in ERRORS)
    .map(([code, value]) => ({ labels: { code, at }, value }))
}

function counter(name: string, help: string, samples: readonly Sample[]): Metric {
  return { name: `sallyport_${name}`, help, type: 'counter', samples }
}

function gauge(name: string, help: string, samples: readonly Sample[]): Metric {
  return { name: `sallyport_${name}`, help, type: 'gauge', samples }
}

function latency(
  name: string,
  help: string,
  of: readonly ReturnType<LatencyTotal['distribution']>[],
): Metric {
  return { name: `sallyport_${name}`, help, type: 'histogram', of }
}

function flag(isSet: boolean): Sample {
  return { value: isSet ? 1 : 0 }
}

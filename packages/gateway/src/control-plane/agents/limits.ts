import type { AgentLimits } from '../ports/tables/agent-tables.ts'

const minuteMs = 60_000
const hourMs = 60 * minuteMs

/** A root that states nothing else. */
export const LIMITS_DEFAULT: AgentLimits = {
  depth: 8,
  children: 32,
  agents: 500,
  ttlMs: 8 * hourMs,
  detach: false,
}

/** No grant allows more: every command walks the path, and every revocation the tree. */
export const LIMITS_MAX = { depth: 16, children: 256, agents: 10_000 } as const

export const TTL = {
  /** A working day. */
  humanRootMs: 8 * hourMs,
  workloadRootMaxMs: 6 * hourMs,
  childDefaultMs: hourMs,
  /** Owner credentials have always been allowed to live this long. */
  rootMaxMs: 90 * 24 * hourMs,
  credentialMaxMs: 15 * minuteMs,
  ticketMaxMs: 10 * minuteMs,
} as const

/** Credentials stay this long past their expiry, so that the right holder reads `expired` and not `refused`. */
export const KEPT_AFTER_EXPIRY_MS = 10 * minuteMs
/** Ended agents stay in memory while one of their credentials could still be shown. */
export const KEPT_AFTER_END_MS = TTL.credentialMaxMs + KEPT_AFTER_EXPIRY_MS
/** Children of an agent that ended. */
export const GRACE_MS = minuteMs
export const BEAT = {
  frozenAfterMs: minuteMs,
  expiredAfterMs: 5 * minuteMs,
  /** Laptops sleep. */
  expiredUnderHumanMs: hourMs,
} as const
/** A child that sends no heartbeat ends after this long without a sign of use. */
export const IDLE_MS = 30 * minuteMs
export const SPAWNS_PER_SECOND = 10
/** Clients that cannot ask for a new credential before each connection. */
export const CREDENTIAL_USES_MAX = 20
export const PURPOSE_CHARACTERS_MAX = 500
export const REASON_CHARACTERS_MAX = 500
export const LAYERS_MAX = 8
/** All that were ever added to one agent: each is kept. */
export const LAYERS_WRITTEN_MAX = 64
/** A worker that was silent for so long has refused commands for a while, and hears of agents before it serves again. */
export const FENCED_AFTER_MS = 12_000

import { sql } from 'kysely'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Store } from '../ports/store.ts'
import type { WorkerState } from '../worker-pool.ts'
import type { JournalSpace } from '../recordings/journal-space.ts'
import type { ShippingStatus } from '../contract/operations.ts'

/** `degraded` is for people to see to; callers are served. `failed`: callers are, or will be, refused. */
export type CheckState = 'ok' | 'degraded' | 'failed'

export interface Check {
  readonly state: CheckState
  /** Why, where it is not `ok`. Neither secrets nor names of callers stand in it. */
  readonly reason?: string
}

/** What `/readyz` answers. */
export interface Readiness {
  readonly ready: boolean
  readonly checks: Readonly<Record<'workers' | 'database' | 'shipping' | 'disk', Check>>
}

export interface ReadinessSources {
  readonly workers: readonly WorkerState[]
  readonly store: Pick<Store, 'db'>
  readonly shipping: ShippingStatus
  readonly journals: JournalSpace | undefined
  readonly failingJournals: readonly number[]
  readonly limits: JournalLimits
}

/** Below this much free disk, or above this size of one worker's files, in bytes, commands are refused. */
export interface JournalLimits {
  readonly minFreeBytes: number
  readonly maxBytes: number
}

const ok: Check = { state: 'ok' }
const databaseMsMax = 2000
/** New sessions need that much more room than commands do. */
const sessionReserve = 1.1

/** Looks whether callers can be served. */
export async function readiness(sources: ReadinessSources): Promise<Readiness> {
  const checks = {
    workers: workersCheck(sources.workers),
    database: await databaseCheck(sources.store),
    shipping: shippingCheck(sources.shipping),
    disk: diskCheck(sources),
  }
  return { ready: Object.values(checks).every(({ state }) => state !== 'failed'), checks }
}

function workersCheck(workers: readonly WorkerState[]): Check {
  const ready = workers.filter(({ state }) => state === 'ready').length
  if (ready === workers.length) return ok
  return {
    state: ready === 0 ? 'failed' : 'degraded',
    reason: `${ready} of ${workers.length} workers are ready`,
  }
}

/** New sessions are admitted by what stands in the database. */
async function databaseCheck({ db }: Pick<Store, 'db'>): Promise<Check> {
  const asked = sql`select 1`.execute(db).then(
    () => ok,
    // Its own words may hold addresses and names.
    (): Check => ({ state: 'failed', reason: 'the database of the control plane does not answer' }),
  )
  const late = sleep(databaseMsMax, undefined, { ref: false }).then((): Check => ({
    state: 'failed',
    reason: `the database of the control plane has not answered in ${databaseMsMax} ms`,
  }))
  return await Promise.race([asked, late])
}

/** The journals hold what is not shipped: callers are refused when these are full, and the disk's check says so. */
function shippingCheck({ problem, pendingBytes }: ShippingStatus): Check {
  if (problem === undefined) return ok
  return { state: 'degraded', reason: `recordings are not shipped, ${pendingBytes} bytes wait` }
}

function diskCheck({ journals, failingJournals, limits }: ReadinessSources): Check {
  if (failingJournals.length > 0)
    return {
      state: 'failed',
      reason: `the journal of worker ${failingJournals.join(', ')} cannot be written`,
    }
  if (journals === undefined)
    return { state: 'failed', reason: 'the folder of the journals cannot be read' }
  if (journals.freeBytes < limits.minFreeBytes * sessionReserve)
    return { state: 'failed', reason: `${journals.freeBytes} bytes are free for journals` }
  if (journals.largestBytes * sessionReserve >= limits.maxBytes)
    return {
      state: 'failed',
      reason: `journals have reached their maximum: ${journals.largestBytes} bytes of one worker`,
    }
  return ok
}

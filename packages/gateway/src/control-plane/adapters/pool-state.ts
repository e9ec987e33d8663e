import type pg from 'pg'
import type { PoolState } from '../ports/store.ts'

export function poolState(pool: pg.Pool): PoolState {
  return { total: pool.totalCount, idle: pool.idleCount, waiting: pool.waitingCount }
}

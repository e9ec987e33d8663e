import { randomFillSync } from 'node:crypto'

const poolBytes = 8192
const pool = Buffer.alloc(poolBytes)
let used = poolBytes

/** Random bytes from a pool that is refilled at once: one call of the generator costs more than an id may. */
export function pooledRandom(bytes: number): Uint8Array {
  if (used + bytes > poolBytes) {
    randomFillSync(pool)
    used = 0
  }
  used += bytes
  return pool.subarray(used - bytes, used)
}

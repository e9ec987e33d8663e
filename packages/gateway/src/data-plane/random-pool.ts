import { randomFillSync } from 'node:crypto'
import { idCharacters, idLetter } from '@sallyport/core'

const poolIds = 512
const pool = Buffer.alloc(poolIds * idCharacters)
/** The pool as text, one letter for each byte: made all at once, an id is a piece of it. */
let letters = ''
let used = 0

/** An id as `makeId` makes it, from a pool of random bytes: one call of the generator costs more than an id may. */
export function pooledId<Id extends string>(prefix: string): Id {
  if (used === letters.length) {
    randomFillSync(pool)
    for (const [index, byte] of pool.entries()) pool[index] = idLetter(byte)
    letters = pool.toString('latin1')
    used = 0
  }
  used += idCharacters
  return `${prefix}_${letters.slice(used - idCharacters, used)}` as Id
}

import type { Refusal } from '@sallyport/core'
import { encodeClose, encodeExecute, encodeParse, encodeSync } from '@sallyport/wire'
import { Awaited } from './awaited.ts'
import { refusalError } from './refuse.ts'
import { fillSlot, wholeOf, type Unit } from './unit.ts'

/** A portal that cannot exist: executing it fails at the target, which is what a refusal needs. It shows in the target's log. */
export const poisonPortal = 'refused by Sallyport'

/** Statement name of a text that our parser could not read, while the target's own parser says what it thinks of it. */
const probeStatement = 'read by Sallyport'

const hidden = { isHidden: true } as const

/** Replaces the unit's messages by one that the target refuses, so that its transaction fails as after any error. */
export function poison(unit: Unit, refusal: Refusal): void {
  const isProbed =
    unit.classified?.syntaxError === true && (unit.kind === 'query' || unit.kind === 'parse')
  const isAlone = unit.kind === 'query' || unit.kind === 'function'
  const { slot } = unit
  const { batch } = slot
  const messages: Buffer[] = []
  const awaits: Awaited[] = []
  // Before the probe: after an error the target would skip it.
  if (unit.endsUnnamed) {
    messages.push(encodeClose({ target: 'statement', name: '' }))
    awaits.push(new Awaited('close', batch, hidden))
  }
  if (isProbed) {
    // Parse never executes: the caller gets the server's own error, or our refusal where the server can read the text.
    messages.push(
      encodeParse({ statement: probeStatement, text: unit.text, parameterTypes: [] }),
      encodeClose({ target: 'statement', name: probeStatement }),
    )
    awaits.push(new Awaited('parse', batch, hidden), new Awaited('close', batch, hidden))
  }
  messages.push(encodeExecute({ portal: poisonPortal, rowsMax: 0 }))
  awaits.push(new Awaited('poison', batch, { refusal: refusalError(refusal) }))
  if (isAlone) {
    messages.push(encodeSync())
    awaits.push(new Awaited('sync', batch))
  }
  slot.isPoison = true
  fillSlot(slot, wholeOf(Buffer.concat(messages)), awaits)
}

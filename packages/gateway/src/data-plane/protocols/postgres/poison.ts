import type { Refusal } from '@sallyport/core'
import { encodeClose, encodeExecute, encodeParse, encodeSync } from '@sallyport/wire'
import { refusalError } from './refuse.ts'
import type { Unit } from './unit.ts'

/** A portal that cannot exist: executing it fails at the target, which is what a refusal needs. It shows in the target's log. */
export const poisonPortal = 'refused by Sallyport'

/** Statement name of a text that our parser could not read, while the target's own parser says what it thinks of it. */
const probeStatement = 'read by Sallyport'

/** Replaces the unit's messages by one that the target refuses, so that its transaction fails as after any error. */
export function poison(unit: Unit, refusal: Refusal): void {
  const isProbed =
    unit.classified?.syntaxError === true && (unit.kind === 'query' || unit.kind === 'parse')
  const isAlone = unit.kind === 'query' || unit.kind === 'function'
  const hidden = { batch: unit.batch, isHidden: true } as const
  const { slot } = unit
  slot.isPoison = true
  slot.bytes = []
  slot.awaits = []
  // Before the probe: after an error the target would skip it.
  if (unit.endsUnnamed === true) {
    slot.bytes.push(encodeClose({ target: 'statement', name: '' }))
    slot.awaits.push({ kind: 'close', ...hidden })
  }
  if (isProbed) {
    // Parse never executes: the caller gets the server's own error, or our refusal where the server can read the text.
    slot.bytes.push(
      encodeParse({ statement: probeStatement, text: unit.text, parameterTypes: [] }),
      encodeClose({ target: 'statement', name: probeStatement }),
    )
    slot.awaits.push({ kind: 'parse', ...hidden }, { kind: 'close', ...hidden })
  }
  slot.bytes.push(encodeExecute({ portal: poisonPortal, rowsMax: 0 }))
  slot.awaits.push({ kind: 'poison', batch: unit.batch, refusal: refusalError(refusal) })
  if (!isAlone) return
  slot.bytes.push(encodeSync())
  slot.awaits.push({ kind: 'sync', batch: unit.batch })
}

import type { MaskRule } from '@sallyport/core'
import type { StoredEntry } from '../journal/stored-entry.ts'

/**
 * How the answer to one command will be masked and recorded, settled before the command leaves.
 * `forward` takes one and `Answer.expect` is the only way to make it, so no answer can arrive that nobody records.
 */
export class Answer {
  readonly entry: StoredEntry
  readonly masks: readonly MaskRule[]
  /** Rows after which the answer is cut; undefined where it isn't. */
  readonly rowsMax: number | undefined
  /** Rows of the statement under way; a text of several statements is one command. */
  rows = 0
  bytes = 0
  /** Rows of the whole command. */
  rowsOfAll = 0

  private constructor(entry: StoredEntry, masks: readonly MaskRule[], rowsMax: number | undefined) {
    this.entry = entry
    this.masks = masks
    this.rowsMax = rowsMax
  }

  static expect(
    entry: StoredEntry,
    masks: readonly MaskRule[],
    rowsMax: number | undefined,
  ): Answer {
    return new Answer(entry, masks, rowsMax)
  }
}

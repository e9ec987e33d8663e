import { decodeRowDescription, frameBody, type ColumnDescription } from '@sallyport/wire'
import type { Classified } from './classify/classified.ts'

/** Longer descriptions are read again each time: a session must not hoard them. */
const rememberedBytesMax = 16 * 1024

/** What the descriptions of results say. The same list as the last time where the message is the same, so that a plan for it can be kept. */
export class DescribedColumns {
  readonly #known = new WeakMap<
    Classified,
    { readonly frame: Buffer; readonly columns: readonly ColumnDescription[] }
  >()

  /** The columns that the RowDescription from `at` to `end` declares. */
  read(
    whole: Buffer,
    at: number,
    end: number,
    classified: Classified | undefined,
  ): readonly ColumnDescription[] {
    const known = classified === undefined ? undefined : this.#known.get(classified)
    if (known !== undefined && known.frame.compare(whole, at, end) === 0) return known.columns
    const { columns } = decodeRowDescription(frameBody(whole, at))
    if (classified !== undefined && end - at <= rememberedBytesMax) {
      this.#known.set(classified, { frame: Buffer.from(whole.subarray(at, end)), columns })
    }
    return columns
  }
}
